"""What a detector finds in data, as the commands write it: a row for each sample, and why where one is strange."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.anomalies.findings import Findings
from isthmus.anomalies.scorer import Parts
from isthmus.data.series import NUMBERS
from isthmus.data.sources import Source, subset
from isthmus.data.table_source import TableSource, array_source
from isthmus.files import atomic_path

if TYPE_CHECKING:
    from isthmus.anomalies.detector import AnomalyDetector

Explain = Callable[[TableSource], Parts]

_ROWS, _SAMPLES = 1 << 15, 256  # of a table, or others, that are judged at a time
_AXES = ["z", "y", "x"]
_MOST_GUILTY = 3  # parts of a sample that are named
_GUILTY = 0.5  # of the share of a row's guiltiest cell: from there on a cell counts as guilty, too


def opened(detector: AnomalyDetector, samples: Source) -> Source:
    """Samples to be judged: rows of numbers, and series, as a table, whose columns can be named."""
    if detector.kind_ == "series" and not isinstance(samples, TableSource):
        return array_source(samples.take(np.arange(len(samples))).reshape(len(samples), -1), None, (), None)
    table: Source = detector._open(samples) if detector.kind_ == "table" else samples
    return table


def in_parts(detector: AnomalyDetector, samples: Source) -> Iterator[Any]:
    """The samples as the detector's scorer takes them, part by part; a series is looked at as a whole."""
    size = _ROWS if isinstance(samples, TableSource) else _SAMPLES
    whole = detector.kind_ == "series"
    for rows in _blocks(len(samples), len(samples) if whole else size):
        yield detector._open(samples if whole else subset(samples, rows))


def results(
    detector: AnomalyDetector, samples: Source, findings: Findings, anomalies: np.ndarray, explained: np.ndarray
) -> Iterator[Any]:
    """Arrow tables with a row for each sample, to be written below each other.

    anomalies : bool (n,). explained : the numbers of samples that come with a reason beside these.

    Columns: where the sample is; columns of a table that the model does not look at, as an id; score (as
    `score_samples`), p_value, anomaly; then why. Of a table, up to three columns, the guiltiest first, each with its
    share of the strangeness, its value and the value that would have been expected. Of others the strangest place.
    """
    import pyarrow as pa

    wanted = anomalies.copy()
    wanted[explained] = True
    explain = explainer(detector, samples)
    for rows, part in _in_memory(samples):
        columns = _places(part, rows) | _others(part, detector.kind_)
        columns |= {
            "score": -findings.strangeness[rows],
            "p_value": findings.p[rows],
            "anomaly": anomalies[rows],
        }
        yield pa.table(columns | _reasons(detector, explain, part, wanted[rows]))


def _in_memory(samples: Source) -> Iterator[tuple[np.ndarray, Source]]:
    """Numbers of samples that are written at a time, and these."""
    if isinstance(samples, TableSource):
        yield from samples.in_parts(_ROWS)
        return
    for rows in _blocks(len(samples), _SAMPLES):
        yield rows, subset(samples, rows)


@dataclass(frozen=True)
class Guilt:
    """A cell that is strange. share : of the row's strangeness. value, expected : as in the table."""

    column: str
    share: float
    value: Any
    expected: Any


def explainer(detector: AnomalyDetector, samples: Source) -> Explain:
    """What explains some rows of a table, as Arrow tables; the steps of a series are explained with all others."""
    if not (detector.kind_ == "series" and isinstance(samples, TableSource)):
        return lambda rows: detector.explain(_as_arrow(rows))
    whole = detector.explain(_as_arrow(samples))
    return lambda rows: Parts(whole.scores.take(rows.rows), whole.expected.take(rows.rows))


def _as_arrow(rows: TableSource) -> TableSource:
    rows = copy.copy(rows)
    rows.frame = "arrow"  # of its explanation
    return rows


def guilty_cells(explain: Explain, rows: TableSource, most: int = _MOST_GUILTY) -> list[list[Guilt]]:
    """The cells of each row that make it strange, the guiltiest first. explain : see `explainer`."""
    parts = explain(rows)
    names = parts.scores.column_names
    scores = np.stack([column.to_numpy() for column in parts.scores.columns], 1).clip(min=0)
    if not len(scores):
        return []
    scores /= np.maximum(scores.sum(1, keepdims=True), 1e-30)
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
    return [cell for cell in cells if cell.share >= _GUILTY * cells[0].share]


def others(rows: TableSource, kind: str = "table") -> dict[str, Any]:
    """Columns that the model does not look at, by which people know a row: ids, free text, what it was not told of.

    kind : of the samples; a series is looked at without its times.
    """
    import pyarrow as pa

    seen = [column for column in rows.schema.used if kind != "series" or column.kind in NUMBERS]
    used, table = {column.name for column in seen}, rows.table
    named = {name or "index": rows.ids.column(name) for name in rows.ids.column_names} if rows.ids is not None else {}
    left = [field.name for field in table.schema if field.name not in used and not pa.types.is_nested(field.type)]
    return named | {name: table.column(name) for name in left}


def sheet(
    detector: AnomalyDetector, images: Source, findings: Findings, anomalies: np.ndarray, most: int, path: Path
) -> None:
    """A picture of the strangest images, what was expected of them, and where they are strange.

    most : of them. path : of a PNG.
    """
    from PIL import Image

    from isthmus.anomalies.strangest import image_rows
    from isthmus.evaluation.figures.sample_rows import COLUMNS
    from isthmus.evaluation.figures.style import poster
    from isthmus.evaluation.theme import LIGHT

    bands = []
    for start in range(0, min(most, len(images)), COLUMNS):
        plate = image_rows(detector, images, findings, anomalies, start)
        bands.append(Image.open(io.BytesIO(poster(plate.draw, LIGHT))).convert("RGB"))
    whole = Image.new("RGB", (max(band.width for band in bands), sum(band.height for band in bands)), LIGHT.paper)
    top = 0
    for band in bands:
        whole.paste(band, (0, top))
        top += band.height
    with atomic_path(path) as temporary:
        whole.save(temporary, "PNG")


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


def _others(part: Source, kind: str) -> dict[str, Any]:
    if not isinstance(part, TableSource):
        return {}
    return {_free(name): column for name, column in others(part, kind).items()}


def _free(name: str) -> str:
    """A column's name that is none of ours."""
    ours = {"row", "score", "p_value", "anomaly"} | {
        f"{what}_{i}" for i in range(1, _MOST_GUILTY + 1) for what in ("column", "share", "value", "expected")
    }
    return f"{name} (given)" if name in ours else name


def _reasons(detector: AnomalyDetector, explain: Explain, part: Source, wanted: np.ndarray) -> dict[str, Any]:
    """The columns that say why, empty where that is not wanted."""
    strange = np.flatnonzero(wanted)
    if isinstance(part, TableSource):
        return _guilty_columns(explain, part.subset(strange), wanted)
    return _place_columns(detector, part, strange, wanted)


def _place_columns(detector: AnomalyDetector, part: Source, strange: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    import pyarrow as pa

    places = strangest_places(detector, subset(part, strange)) if len(strange) else []
    dimensions = len(places[0]) if places else len(part.shape) - 1
    names = _AXES[-dimensions:] if detector.kind_ == "images" else ["step"]
    return {
        f"strangest_{name}": _spread([place[i] for place in places], wanted, pa.int64()) for i, name in enumerate(names)
    }


def strangest_places(detector: AnomalyDetector, samples: Source) -> list[tuple[int, ...]]:
    """The place in each image or signal where it is strangest, counted from 0: its row and column, or its step."""
    from isthmus.anomalies.strangest import explained_samples  # figures are slow to import

    _, _, heat = explained_samples(detector, samples, np.arange(len(samples)))
    return [tuple(map(int, np.unravel_index(int(one.argmax()), one.shape))) for one in heat]


def _guilty_columns(explain: Explain, strange: TableSource, wanted: np.ndarray) -> dict[str, Any]:
    import pyarrow as pa

    found = guilty_cells(explain, strange) if len(strange) else []
    columns: dict[str, Any] = {}
    for rank in range(min(_MOST_GUILTY, max(map(len, found), default=0) or len(strange.schema.used))):
        cells = [row[rank] if rank < len(row) else None for row in found]
        for what, type_ in (
            ("column", pa.string()),
            ("share", pa.float64()),
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
