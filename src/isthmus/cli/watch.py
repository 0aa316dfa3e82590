"""`isthmus watch`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.addresses import check_writable
from isthmus.cli.models import load_model
from isthmus.errors import IsthmusError
from isthmus.remote.paths import as_path
from isthmus.training.stopping import handled, heard

if TYPE_CHECKING:
    from isthmus import AnomalyDetector, DriftMonitor
    from isthmus.anomalies.drift import Drift
    from isthmus.anomalies.stream import Arrived
    from isthmus.data.sources import Source

_SECONDS = 10.0  # from one writing of the state to the next


@options.grouped
def watch(
    model: options.Model,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Rows or names of files, line by line: - for standard input, or a file or pipe.",
            show_default=False,
        ),
    ],
    *,
    p_value: Annotated[
        float,
        typer.Option(
            "--p-value", help="Largest p-value that raises an alarm: the share of normal samples that raise one, too."
        ),
    ] = 0.01,
    drift: Annotated[
        float,
        typer.Option("--drift", help="Chance of ever reporting a drift where there is none; 0 looks for no drift."),
    ] = 0.01,
    state: Annotated[
        Path | None,
        typer.Option(help="JSON file that keeps what was seen of the stream; a later watch goes on from it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each alarm as a line of JSON.")] = False,
    device: options.Device = "auto",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print alarms and errors only.")] = False,
) -> None:
    """Watch a stream: alarms for anomalies as they arrive, and for a stream that has changed as a whole.

    Rows are CSV with a line of names first, or JSON objects, one a line; images and signals are named, a file a line. A
    line that cannot be read is reported, and the watch goes on.

    Examples:

      tail -f log.csv | isthmus watch log-detector -

      isthmus watch log-detector rows.jsonl --p-value 0.001 --state log-state.json --json

      inotifywait -m -e close_write --format %w%f camera/ | isthmus watch parts-detector -
    """
    for flag, value, low in (("--p-value", p_value, p_value > 0), ("--drift", drift, drift >= 0)):
        if not (low and value < 1):
            raise typer.BadParameter(
                f"{flag} {value:g} must be {'above' if flag == '--p-value' else 'at least'} 0 and below 1"
            )
    if source != "-":
        options.check_data(source)
    if state is not None:
        check_writable(state)
        if drift == 0:
            raise typer.BadParameter("--state keeps what was seen for --drift, which is 0")
    detector = load_model(model, device, "detect")
    if detector.kind_ == "series":
        raise IsthmusError(
            f"{model} holds a detector of series, whose steps are judged by what comes after them, too; watch takes "
            "those of tables, images or signals, and detect takes whole series"
        )
    _check_reach(detector, p_value)
    watcher = Watcher(detector, _monitor(detector, drift, state), p_value, state, as_json)
    with _ended() as ended:
        try:
            with _opened(source) as file:
                if not quiet:
                    name = "standard input" if source == "-" else source
                    typer.echo(f"Watching {name}: alarms for p-values up to {p_value:g} (Ctrl-C ends)", err=True)
                watcher.watch(file)
        except KeyboardInterrupt:
            pass
        except BrokenPipeError:  # who read our alarms has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    watcher.keep()
    if not quiet:
        typer.echo(watcher.summary, err=True)
    if ended:
        raise typer.Exit(128 + ended[0])


class Watcher:
    """Judges samples as they arrive, and tells of those that are strange."""

    def __init__(
        self, detector: AnomalyDetector, monitor: DriftMonitor | None, p_value: float, state: Path | None, as_json: bool
    ) -> None:
        self._detector, self._monitor, self._p_value = detector, monitor, p_value
        self._state, self._as_json, self._kept = state, as_json, time.monotonic()
        self._samples = self._alarms = self._wrong = 0
        self._has_drifted = False

    def watch(self, file: IO[bytes]) -> None:
        """Read a file to its end."""
        from isthmus.anomalies.stream import FileReader, Reader, RowReader, lines_of

        schema = self._detector.scorer_.schema
        reader: Reader = FileReader(self._detector._open) if schema is None else RowReader(schema)
        for lines in lines_of(file, reader.at_once):
            arrived = reader.read(lines)
            for number, what in arrived.wrong.items():
                typer.echo(f"isthmus: line {number} is left out: {what}", err=True)
            self._wrong += len(arrived.wrong)
            if arrived.samples is not None:
                self._judge(arrived.samples, arrived)

    @property
    def summary(self) -> str:
        """What was seen, in a line."""
        from isthmus.anomalies.findings import UNITS
        from isthmus.words import count

        wrong = f", {count(self._wrong, 'line')} left out" if self._wrong else ""
        unit = UNITS[self._detector.kind_]
        return f"{count(self._samples, unit)}, {count(self._alarms, 'alarm')}{wrong}"

    def keep(self) -> None:
        """Write the state, if that is asked for."""
        if self._state is not None and self._monitor is not None:
            self._monitor.save(self._state)
        self._kept = time.monotonic()

    def _judge(self, given: Source, arrived: Arrived) -> None:
        from isthmus.data.sources import subset

        samples = self._detector._open(given)
        strangeness = self._detector._strangeness(samples)
        p_values = self._detector.calibration_.p_values(strangeness)
        found = (p_values <= self._p_value).nonzero()[0]
        self._samples += len(samples)
        self._alarms += len(found)
        told = []
        for i, (text, values) in zip(found, self._reasons(subset(given, found)) if len(found) else (), strict=True):
            line, p = arrived.lines[i], float(p_values[i])
            alarm = {"line": line, "alarm": "anomaly", "p_value": p} | values
            told.append((line, _json(alarm) if self._as_json else f"line {line}: anomaly, p {p:.2g}: {text}"))
        if self._monitor is not None:
            told += self._drift(self._monitor.follow(samples, strangeness), len(samples), arrived)
        for _, text in sorted(told):
            typer.echo(text)
        sys.stdout.flush()
        if time.monotonic() - self._kept > _SECONDS:
            self.keep()

    def _reasons(self, strange: Source) -> list[tuple[str, dict[str, Any]]]:
        """Why each sample is strange, in words and as JSON values."""
        from isthmus.anomalies.files import cells_of, strangest_places
        from isthmus.anomalies.guilt import main_cells
        from isthmus.cli.strangest import in_words
        from isthmus.data.table_source import TableSource
        from isthmus.evaluation.table_text import shown

        if isinstance(strange, TableSource):
            return [
                (
                    ", ".join(f"{c.column} {shown(c.value)} (not {shown(c.expected)})" for c in main_cells(cells)),
                    {"why": [vars(cell) for cell in cells], "row": row},
                )
                for cells, row in zip(cells_of(self._detector, strange), strange.table.to_pylist(), strict=True)
            ]
        return [
            (f"{strange.location(i)}, strangest at {in_words(place)}", {"file": strange.location(i), "place": place})
            for i, place in enumerate(strangest_places(self._detector, strange))
        ]

    def _drift(self, drift: Drift, n: int, arrived: Arrived) -> list[tuple[int, str]]:
        """What is told, once, where the stream has changed: a line's number and a text. n : samples that arrived."""
        from isthmus.anomalies.findings import UNITS

        if drift.since is None or self._has_drifted:
            return []
        self._has_drifted = True
        line = arrived.lines[max(0, drift.since - (drift.seen - n))]  # 0: it was certain before this watch
        if self._as_json:
            return [(line, _json({"line": line, "alarm": "drift", "strongest": drift.strongest}))]
        what = f"{UNITS[self._detector.kind_]}s are no longer like the training data"
        return [(line, f"line {line}: drift: {what}, by {drift.strongest} above all")]


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, default=str, ensure_ascii=False)


def _check_reach(detector: AnomalyDetector, p_value: float) -> None:
    """Refuse a level that no row could reach."""
    smallest = detector.calibration_.smallest
    if smallest > p_value:
        raise IsthmusError(
            f"no sample could have a p-value up to {p_value:g}: the smallest that there is is {smallest:.2g}, by "
            f"{len(detector.calibration_.scores):,} calibration samples; train on more, or raise --p-value"
        )


def _monitor(detector: AnomalyDetector, alpha: float, state: Path | None) -> DriftMonitor | None:
    """What looks for a drift; it goes on from the state, where there is one."""
    if alpha == 0:
        return None
    from isthmus import DriftMonitor

    if state is not None and state.exists():
        return DriftMonitor.load(state, detector)
    return DriftMonitor(detector, alpha)


@contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    """Standard input, or a file, packed or not."""
    if source == "-":
        yield sys.stdin.buffer
        return
    from isthmus.data.packed import compression_of, opened

    path = as_path(source)
    with opened(path, compression_of(path) if path.is_file() else None) as file:
        yield file


@contextmanager
def _ended() -> Iterator[list[int]]:
    """The signal that ended the watch: each raises KeyboardInterrupt, so that the state is kept."""
    ended: list[int] = []

    def end(number: int, frame: Any) -> None:
        ended.append(number)
        raise KeyboardInterrupt

    with handled(end, heard()):
        yield ended
