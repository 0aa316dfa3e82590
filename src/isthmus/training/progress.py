"""What the training loop reports: events, and listeners to them."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from isthmus.errors import MissingExtraError
from isthmus.files import to_json_lines, write_text
from isthmus.remote.paths import RemotePath, as_path

_FULL = 1000  # parts of a whole progress bar


@dataclass(frozen=True)
class Event:
    """The state of a run at one moment.

    kind : "start", "tick" (a few times a second), "entry" (a new entry in the history) or "end".
    part : the name of a part, of a run of several parts; else "".
    progress : share of the run that is done, 0 to 1.
    entry : figures so far: epoch, step, loss (the mean since the entry before), validation_loss (None where there
        was no validation), learning_rate, samples_per_second, seconds.
    """

    kind: str
    progress: float
    entry: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    part: str = ""


class Listener(Protocol):
    """Anything that wants to follow a run."""

    def __call__(self, event: Event, /) -> None:
        """Take notice of an event."""


class JsonLines:
    """Writes one line of JSON for every entry of the history; a resumed run continues the file without repetition."""

    def __init__(self, path: str | Path) -> None:
        self._path = as_path(path)

    def __call__(self, event: Event) -> None:
        """Write the history so far at the start, then line by line."""
        if event.kind == "start":
            self._text = to_json_lines(event.history)
            write_text(self._path, self._text)
        elif event.kind == "entry":
            line = to_json_lines([event.entry])
            self._text += line
            if isinstance(self._path, RemotePath):  # an object cannot be added to
                write_text(self._path, self._text)
                return
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)


class TensorBoard:
    """Writes the losses, the learning rate and the speed for TensorBoard."""

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("TensorBoard", "tensorboard") from error
        self._writer = SummaryWriter(str(folder))

    def __call__(self, event: Event) -> None:
        """Write the figures of every entry."""
        if event.kind == "entry":
            for name in ("loss", "validation_loss", "learning_rate", "samples_per_second"):
                if event.entry.get(name) is not None:
                    self._writer.add_scalar(name, event.entry[name], event.entry["step"])
        elif event.kind == "end":
            self._writer.close()


def shown(console: Any = None) -> Listener:
    """What shows a run to somebody: a bar in a terminal or a notebook, else plain lines on standard error.

    console : a console of rich; by default one for standard error.
    """
    from rich.console import Console

    console = console or Console(stderr=True)
    if console.is_jupyter:
        return NotebookBar()
    return Bar(console) if console.is_interactive else Lines()


class Lines:
    """A plain line every few seconds: for logs and pipes."""

    def __init__(self, seconds: float = 5.0) -> None:
        self._seconds, self._told, self._began = seconds, 0.0, (0.0, 0.0)
        self._validation: float | None = None

    def __call__(self, event: Event) -> None:
        """Say where the run stands, if it was not said just now."""
        now = time.monotonic()
        if event.kind == "start":
            self._began, self._told, self._validation = (now, event.progress), now, None
            self._say(event, "training")
            return
        if event.entry.get("validation_loss") is not None:
            self._validation = event.entry["validation_loss"]
        if event.kind != "end" and now - self._told < self._seconds:
            return
        self._told = now
        if event.entry:
            self._say(event, self._figures(event, now - self._began[0]))

    def _figures(self, event: Event, seconds: float) -> str:
        entry, done = event.entry, event.progress - self._began[1]
        said = [f"{event.progress:.0%}", f"epoch {entry['epoch']:,}", f"step {entry['step']:,}"]
        said.append(f"loss {entry['loss']:.5f}")
        if self._validation is not None:
            said.append(f"validation {self._validation:.5f}")
        if event.kind == "end":
            said.append(f"took {_clock(seconds)}")
        elif done > 0:
            said.append(f"{_clock(seconds * (1 - event.progress) / done)} left")
        return ", ".join(said)

    def _say(self, event: Event, text: str) -> None:
        print(f"{event.part}: {text}" if event.part else text, file=sys.stderr, flush=True)


class NotebookBar(Lines):
    """A bar with the same words below a notebook's cell; needs no widgets, and its last line stays when it is saved."""

    def __init__(self) -> None:
        super().__init__(seconds=0.0)
        self._display: Any = None

    def _say(self, event: Event, text: str) -> None:
        from IPython.display import display  # there is one where there is a notebook

        line = f"{event.part}: {text}" if event.part else text
        bar = "" if event.kind == "end" else f'<progress value="{event.progress:.3f}"></progress> '
        shown = {"text/plain": line, "text/html": f"<div>{bar}{html.escape(line)}</div>"}
        if event.kind == "start":  # each part of a run has a bar of its own
            self._display = display(shown, raw=True, display_id=True)
        else:
            self._display.update(shown, raw=True)


def _clock(seconds: float) -> str:
    """A time as 1:05 or 2:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Bar:
    """A progress bar with loss, validation loss, samples a second and the time left."""

    def __init__(self, console: Any = None) -> None:
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            expand=True,
        )
        self._task: Any = None

    def __call__(self, event: Event) -> None:
        """Redraw."""
        if event.kind == "start":
            if self._task is not None:  # the part before this one, which stays on the screen as it ended
                self._bar.remove_task(self._task)
            part = f"{event.part}, " if event.part else ""
            done = round(_FULL * event.progress)
            self._task = self._bar.add_task(part, total=_FULL, completed=done, epoch=1, figures="")
            self._validation = ""
            self._bar.start()
            return
        entry = event.entry
        if entry.get("validation_loss") is not None:
            self._validation = f"  validation {entry['validation_loss']:.5f}"
        figures = (
            f"loss {entry['loss']:.5f}{self._validation}  {entry['samples_per_second']:,.0f} samples/s" if entry else ""
        )
        epoch = entry.get("epoch", 1)
        self._bar.update(self._task, completed=_FULL * event.progress, epoch=epoch, figures=figures)
        if event.kind == "end":
            self._bar.stop()
