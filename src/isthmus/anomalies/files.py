"""What a detector finds in data, as the commands write it: a row for each sample, and why where one is strange."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.sources import Source, subset
from isthmus.data.table_source import TableSource

if TYPE_CHECKING:
    from isthmus.anomalies.detector import AnomalyDetector

_ROWS, _SAMPLES = 1 << 15, 256  # of a table, or others, that are judged at a time
_MOST_GUILTY = 3  # parts of a sample that are named
_GUILTY = 0.5  # of the score of a row's guiltiest cell: from there on a cell counts as guilty, too


@dataclass(frozen=True)
class Judged:
    """What a detector says of n samples.

    scores : float64 (n,), the higher, the more normal. p_values : float64 (n,). anomalies : bool (n,).
    """

    scores: np.ndarray
    p_values: np.ndarray
    anomalies: np.ndarray

    def strangest(self, most: int) -> np.ndarray:
        """The numbers of the strangest samples, the strangest first."""
        return np.argsort(self.scores, kind="stable")[:most]


def opened(detector: AnomalyDetector, samples: Source) -> Source:
    """Samples to be judged: rows of numbers as a table, whose columns can be named."""
    table: Source = detector._open(samples) if detector.kind_ == "table" else samples
    return table


def judged_at_once(detector: AnomalyDetector, samples: Source) -> list[Source]:
    """Parts of the samples that can be judged one after the other; a series is looked at as a whole."""
    size = _ROWS if isinstance(samples, TableSource) else _SAMPLES
    if detector.kind_ == "series" or len(samples) <= size:
        return [samples]
    return [subset(samples, rows) for rows in _blocks(len(samples), size)]


def judge(detector: AnomalyDetector, parts: Iterable[Source], fdr: float) -> Judged:
    """The scores and p-values of samples, and which are anomalies at a false-discovery rate. parts : of the samples."""
    scores, p_values = zip(*(scores_and_p_values(detector, part) for part in parts), strict=True)
    p = np.concatenate(p_values)
    return Judged(np.concatenate(scores), p, detector.calibration_.discoveries(p, fdr))


def scores_and_p_values(detector: AnomalyDetector, samples: Source) -> tuple[np.ndarray, np.ndarray]:
    """Both as `AnomalyDetector` gives them, float64 (n,), looking at the samples once."""
    strangeness = detector._strangeness(detector._open(samples))
    return -strangeness.mean(0, dtype=np.float64), detector.calibration_.p_values(strangeness)


def results(detector: AnomalyDetector, samples: Source, judged: Judged, explained: np.ndarray) -> Iterator[Any]:
    """Arrow tables with a row for each sample, to be written below each other.

    explained : the numbers of samples that come with a reason beside those that are anomalies.

    Columns: where the sample is; columns of a table that the model does not look at, as an id; score, p_value, anomaly;
    then why. Of a table, up to three columns, the guiltiest first, each with its score, its value and the value that
    would have been expected. Of anything else the strangest place.
    """
    import pyarrow as pa

    wanted = judged.anomalies.copy()
    wanted[explained] = True
    for rows, part in _in_parts(samples):
        columns = _places(part, rows) | _others(part)
        columns |= {
            "score": judged.scores[rows],
            "p_value": judged.p_values[rows],
            "anomaly": judged.anomalies[rows],
        }
        yield pa.table(columns | _reasons(detector, part, wanted[rows]))


def _in_parts(samples: Source) -> Iterator[tuple[np.ndarray, Source]]:
    """Numbers of samples that are written at a time, and these."""
    if isinstance(samples, TableSource):
        yield from samples.in_parts(_ROWS)
        return
    for rows in _blocks(len(samples), _ROWS):
        yield rows, subset(samples, rows)


@dataclass(frozen=True)
class Guilt:
    """A cell that is strange. score : what it adds to the row's strangeness. value, expected : as in the table."""

    column: str
    score: float
    value: Any
    expected: Any


def guilty_cells(detector: AnomalyDetector, rows: TableSource, most: int = _MOST_GUILTY) -> list[list[Guilt]]:
    """The cells of each row that make it strange, the guiltiest first."""
    rows = copy.copy(rows)
    rows.frame = "arrow"  # of its explanation
    parts = detector.explain(rows)
    names = parts.scores.column_names
    scores = np.stack([column.to_numpy() for column in parts.scores.columns], 1)
    if not len(scores):
        return []
    order = np.argsort(-scores, axis=1, kind="stable")[:, :most]
    given = {name: rows.table.column(name) for name in {names[j] for j in order.ravel()} & {*rows.table.column_names}}
    return [
        [
            Guilt(
                names[j],
                float(scores[i, j]),
                given[names[j]][i].as_py() if names[j] in given else None,
                parts.expected.column(names[j])[i].as_py(),
            )
            for j in columns
            if scores[i, j] > 0
        ]
        for i, columns in enumerate(order)
    ]


def main_cells(cells: Sequence[Guilt]) -> list[Guilt]:
    """Of the guiltiest cells of a row those that are at least half as guilty as the first."""
    return [cell for cell in cells if cell.score >= _GUILTY * cells[0].score]


def others(rows: TableSource) -> dict[str, Any]:
    """Columns that the model does not look at, by which people know a row: ids, free text, what it was not told of."""
    import pyarrow as pa

    used, table = {column.name for column in rows.schema.used}, rows.table
    named = {name or "index": rows.ids.column(name) for name in rows.ids.column_names} if rows.ids is not None else {}
    left = [field.name for field in table.schema if field.name not in used and not pa.types.is_nested(field.type)]
    return named | {name: table.column(name) for name in left}


def _blocks(n: int, size: int) -> Iterator[np.ndarray]:
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))


def _places(part: Source, rows: np.ndarray) -> dict[str, Any]:
    """Where each sample is: its row, counted from 0, or its file."""
    if isinstance(part, TableSource):
        return {"row": part.rows}
    if part.paths is None and part.uniform:
        return {"sample": rows}
    return {"file": [part.location(i) for i in range(len(part))]}


def _others(part: Source) -> dict[str, Any]:
    if not isinstance(part, TableSource):
        return {}
    return {_free(name): column for name, column in others(part).items()}


def _free(name: str) -> str:
    """A column's name that is none of ours."""
    ours = {"row", "score", "p_value", "anomaly"} | {
        f"{what}_{i}" for i in range(1, _MOST_GUILTY + 1) for what in ("column", "score", "value", "expected")
    }
    return f"{name} (given)" if name in ours else name


def _reasons(detector: AnomalyDetector, part: Source, wanted: np.ndarray) -> dict[str, Any]:
    """The columns that say why, empty where that is not wanted."""
    if isinstance(part, TableSource):
        return _guilty_columns(detector, part.subset(np.flatnonzero(wanted)), wanted)
    return {}


def _guilty_columns(detector: AnomalyDetector, strange: TableSource, wanted: np.ndarray) -> dict[str, Any]:
    import pyarrow as pa

    found = guilty_cells(detector, strange) if len(strange) else []
    columns: dict[str, Any] = {}
    for rank in range(min(_MOST_GUILTY, len(strange.schema.used))):
        cells = [row[rank] if rank < len(row) else None for row in found]
        for what, type_ in (
            ("column", pa.string()),
            ("score", pa.float64()),
            ("value", pa.string()),
            ("expected", pa.string()),
        ):
            own = [None if cell is None else getattr(cell, what) for cell in cells]
            texts = own if type_ != pa.string() else [None if value is None else str(value) for value in own]
            columns[f"{what}_{rank + 1}"] = _spread(texts, wanted, type_)
    return columns


def _spread(values: list[Any], wanted: np.ndarray, type_: Any) -> Any:
    """Values where they are wanted, and nothing elsewhere, as an Arrow array."""
    import pyarrow as pa

    everywhere = np.full(len(wanted), None, object)
    everywhere[wanted] = values
    return pa.array(everywhere, type_)
