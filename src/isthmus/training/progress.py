"""What the training loop tells: events, and who listens to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from isthmus.errors import MissingExtraError
from isthmus.files import to_json_lines, write_text

_FULL = 1000  # parts of a whole progress bar


@dataclass(frozen=True)
class Event:
    """The state of a run at one moment.

    kind : "start", "tick" (a few times a second), "entry" (a new entry in the history) or "end".
    progress : share of the run that is done, 0 to 1.
    entry : figures so far: epoch, step, loss (the mean since the entry before), validation_loss (None where there
        was no validation), learning_rate, samples_per_second, seconds.
    """

    kind: str
    progress: float
    entry: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()


class Listener(Protocol):
    """Anything that wants to follow a run."""

    def __call__(self, event: Event, /) -> None:
        """Take notice of an event."""


class JsonLines:
    """Writes one line of JSON for every entry of the history; a resumed run continues the file without repetition."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def __call__(self, event: Event) -> None:
        """Write the history so far at the start, then line by line."""
        if event.kind == "start":
            write_text(self._path, to_json_lines(event.history))
        elif event.kind == "entry":
            with self._path.open("a", encoding="utf-8") as file:
                file.write(to_json_lines([event.entry]))


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


class Bar:
    """A progress bar in the terminal with loss, validation loss, samples a second and the time left."""

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
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            expand=True,
        )
        self._task: Any = None
        self._validation = ""

    def __call__(self, event: Event) -> None:
        """Redraw."""
        if event.kind == "start":
            self._task = self._bar.add_task(
                "", total=_FULL, completed=round(_FULL * event.progress), epoch=1, figures=""
            )
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
