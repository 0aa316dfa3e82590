"""The strangest samples in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from isthmus import AnomalyDetector
    from isthmus.anomalies.findings import Findings
    from isthmus.anomalies.guilt import Guilt
    from isthmus.data.sources import Source
    from isthmus.data.table_source import TableSource

_PIPE = 1_000  # columns of what is no terminal: a line for each sample, however long
_MOST_COLUMNS = 6  # of the table that are shown
_GAP = 2  # between columns


def print_summary(detector: AnomalyDetector, anomalies: np.ndarray, fdr: float) -> None:
    """How many samples are anomalies."""
    from isthmus.anomalies.findings import UNITS
    from isthmus.words import count

    found, of_all = int(anomalies.sum()), count(len(anomalies), UNITS[detector.kind_])
    verb = "is an anomaly" if found < 2 else "are anomalies"
    number = f"{found:,}" if found else "None"
    typer.echo(f"{number} of {of_all} {verb} at a false-discovery rate of {100 * fdr:.3g} %")


def print_strangest(
    detector: AnomalyDetector, samples: Source, findings: Findings, anomalies: np.ndarray, strangest: np.ndarray
) -> None:
    """The strangest samples, the strangest first; of a table with the cells that make them so."""
    from isthmus.anomalies.files import cells_of, channels_of, strangest_places
    from isthmus.data.sources import subset
    from isthmus.data.table_source import TableSource

    console, chosen = Console(), subset(samples, strangest)
    columns: dict[str, list[Text]] = {
        "p-value": [Text(f"{p:.2g}") for p in findings.p[strangest]],
        "anomaly": [Text("yes", "bold red") if found else Text("") for found in anomalies[strangest]],
    }
    if isinstance(samples, TableSource) and isinstance(chosen, TableSource):
        chosen, series = chosen.in_memory(), detector.kind_ == "series"
        found = channels_of(detector, samples, strangest) if series else cells_of(detector, chosen)
        columns = _ids(chosen, series) | columns
        room = console.width - sum(map(_width, columns.items())) if console.is_terminal else _PIPE
        columns |= _cells(chosen, found, room)
    else:
        columns = {"sample": [Text(chosen.location(i)) for i in range(len(chosen))]} | columns
        columns["strangest at"] = [Text(in_words(place)) for place in strangest_places(detector, chosen)]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for name in columns:
        table.add_column(Text(name), no_wrap=True, overflow="ellipsis")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    _print(console, table)


def in_words(place: tuple[int, ...]) -> str:
    """A place in an image, from the left and the top, or a time step."""
    return (
        " ".join(f"{axis} {at}" for axis, at in zip("xyz", place[::-1], strict=False))
        if len(place) > 1
        else str(*place)
    )


def _ids(rows: TableSource, series: bool) -> dict[str, list[Text]]:
    """What people know rows by."""
    from isthmus.anomalies.names import MOST_IDS, others
    from isthmus.evaluation.table_text import shown

    ids = list(others(rows, series).items())[:MOST_IDS]
    numbers = {"row": [Text(str(row)) for row in rows.rows]}
    return numbers | {name: [Text(shown(value)) for value in column.to_pylist()] for name, column in ids}


def _cells(rows: TableSource, found: list[list[Guilt]], room: int) -> dict[str, list[Text]]:
    """The columns that are guiltiest, as many as there is room for; guilty cells with what was expected."""
    from isthmus.anomalies.guilt import main_cells
    from isthmus.evaluation.table_text import shown

    guilty: list[dict[str, Any]] = [{cell.column: cell for cell in main_cells(row)} for row in found]
    weights: dict[str, float] = {}
    for row in guilty:
        for name, cell in row.items():
            weights[name] = weights.get(name, 0.0) + cell.share / sum(other.share for other in row.values())

    def column(name: str) -> list[Text]:
        given = rows.table.column(name).to_pylist() if name in rows.table.column_names else [None] * len(rows)
        texts = []
        for value, strange in zip(given, guilty, strict=True):
            text = Text(shown(value), "bold red" if name in strange else "")
            if name in strange and strange[name].expected != value:
                text.append(f" (not {shown(strange[name].expected)})", "not bold default")
            texts.append(text)
        return texts

    kept: dict[str, list[Text]] = {}
    for name in sorted(weights, key=lambda name: -weights[name])[:_MOST_COLUMNS]:
        texts = column(name)
        room -= _width((name, texts))
        if kept and room < 0:
            break
        kept[name] = texts
    return {name: kept[name] for name in (column.name for column in rows.schema.used) if name in kept}


def _width(column: tuple[str, list[Text]]) -> int:
    name, texts = column
    return max(Text(name).cell_len, *(text.cell_len for text in texts)) + _GAP


def _print(console: Console, table: Table) -> None:
    if console.is_terminal:
        console.print()
        console.print(table)
        console.print()
        return
    wide = Console(width=_PIPE)
    with wide.capture() as captured:
        wide.print(table)
    typer.echo("\n".join(("", *(line.rstrip() for line in captured.get().splitlines()), "")))
