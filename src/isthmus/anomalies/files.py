"""What a detector finds in data, as the commands write it: a row for each sample, and why where one is strange."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.anomalies.findings import Findings, judged
from isthmus.anomalies.guilt import MOST_GUILTY, Guilt, explained, guilty_cells, shares
from isthmus.anomalies.names import others
from isthmus.anomalies.scorer import Parts
from isthmus.data.sources import Source, subset
from isthmus.data.table_source import TableSource, array_source
from isthmus.estimators.table_estimator import matrix_of
from isthmus.files import atomic_path

if TYPE_CHECKING:
    from isthmus.anomalies.detector import AnomalyDetector

_ROWS, _SAMPLES = 1 << 15, 256  # of a table, or others, that are judged at a time
_AXES = ["z", "y", "x"]
_MARGIN = 48  # pixels around a sheet


def opened(detector: AnomalyDetector, samples: Source) -> Source:
    """Samples to be judged: rows of numbers as a table, whose columns can be named."""
    if isinstance(samples, TableSource) or detector.kind_ not in ("table", "series"):
        return samples
    table: Source = array_source(matrix_of(samples), None, (), detector.scorer_.schema)
    return table


def spans(detector: AnomalyDetector, samples: Source) -> list[tuple[int, int]]:
    """The ranges (start, stop) of samples that are judged at a time; a series is looked at as a whole."""
    size = len(samples) if detector.kind_ == "series" else _ROWS if isinstance(samples, TableSource) else _SAMPLES
    return samples.spans(size)


def judged_span(opened: tuple[AnomalyDetector, Source], span: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Strangeness and p-values of a range of samples, which `opened` has made ready."""
    detector, samples = opened
    if detector.kind_ == "series":
        return judged(detector, detector._open(_as_taken(detector, samples)))
    return judged(detector, detector._open(subset(samples, np.arange(*span))))


def strangest(detector: AnomalyDetector, findings: Findings, most: int) -> np.ndarray:
    """The numbers of the strangest samples, the strangest first; time steps of a series at least a window apart."""
    if detector.kind_ != "series":
        return findings.strangest(most)
    window, free, found = detector.scorer_.window, np.ones(len(findings), bool), list[int]()
    for step in findings.order.tolist():
        if len(found) == most:
            break
        if free[step]:
            found.append(step)
            free[max(0, step - window) : step + window + 1] = False
    return np.array(found, np.int64)


def results(
    detector: AnomalyDetector, samples: Source, findings: Findings, anomalies: np.ndarray, reasoned: np.ndarray
) -> Iterator[Any]:
    """Arrow tables with a row for each sample, to be written below each other.

    anomalies : bool (n,). reasoned : the numbers of samples that come with a reason beside these.

    Columns: where the sample is; columns of a table that the model does not look at, as an id; score (as
    `score_samples`), p_value, anomaly; then why. Of a table, up to three columns, the guiltiest first, each with its
    share of the strangeness, its value and the value that would have been expected. Of others the strangest place.
    """
    import pyarrow as pa

    wanted = anomalies.copy()
    wanted[reasoned] = True
    series = detector.kind_ == "series"
    steps = _of_steps(detector, samples) if series and isinstance(samples, TableSource) else None
    for rows, part in _in_memory(samples):
        columns = _places(part, rows) | _others(part, series)
        columns |= {
            "score": -findings.strangeness[rows],
            "p_value": findings.p[rows],
            "anomaly": anomalies[rows],
        }
        yield pa.table(columns | _reasons(detector, part, rows, wanted[rows], steps))


def _in_memory(samples: Source) -> Iterator[tuple[np.ndarray, Source]]:
    """Numbers of samples that are written at a time, and these."""
    if isinstance(samples, TableSource):
        yield from samples.in_parts(_ROWS)
        return
    for rows in _blocks(len(samples), _SAMPLES):
        yield rows, subset(samples, rows)


def cells_of(detector: AnomalyDetector, rows: TableSource) -> list[list[Guilt]]:
    """The three cells of each row that make it strangest."""
    return guilty_cells(*explained(detector, rows), rows.table) if len(rows) else []


def channels_of(detector: AnomalyDetector, series: TableSource, steps: np.ndarray) -> list[list[Guilt]]:
    """The same of some time steps of a series, which is looked at as a whole."""
    return _cells_of_steps(_of_steps(detector, series), series.table.take(steps), steps)


def _of_steps(detector: AnomalyDetector, series: TableSource) -> Parts:
    """The parts of all time steps, as Arrow tables."""
    series = copy.copy(series)
    series.frame = "arrow"
    parts = detector.explain(_as_taken(detector, series))
    if not isinstance(parts.scores, np.ndarray):
        return parts
    names = [column.name for column in series.schema.used]
    return Parts(*(_table(dict(zip(names, values.T, strict=True))) for values in (parts.scores, parts.expected)))


def _as_taken(detector: AnomalyDetector, samples: Source) -> Any:
    """An array where a series was learned from one, whose channels have no names."""
    learned_from_array = detector.kind_ == "series" and detector.scorer_.schema is None
    return samples.take(np.arange(len(samples))) if learned_from_array else samples


def _cells_of_steps(parts: Parts, table: Any, steps: np.ndarray) -> list[list[Guilt]]:
    if not len(steps):
        return []
    scores = np.stack([column.to_numpy() for column in parts.scores.take(steps).columns], 1)
    return guilty_cells(shares(scores), parts.expected.take(steps), table)


def write_sheet(
    detector: AnomalyDetector, images: Source, findings: Findings, anomalies: np.ndarray, most: int, path: Path
) -> None:
    """A picture of the strangest images, what was expected of them, and where they are strange.

    most : how many are drawn at most, at least 1. path : where the PNG is written.
    """
    from PIL import Image

    from isthmus.anomalies.strangest import image_rows
    from isthmus.evaluation.figures.sample_rows import COLUMNS
    from isthmus.evaluation.figures.style import poster
    from isthmus.evaluation.theme import LIGHT

    bands, samples = [], detector._open(images)
    for start in range(0, most, COLUMNS):
        ranks = slice(start, min(start + COLUMNS, most))
        plate = image_rows(detector, samples, findings, anomalies, ranks)
        bands.append(Image.open(io.BytesIO(poster(plate.draw, LIGHT))).convert("RGB"))
    size = bands[0].width + 2 * _MARGIN, sum(band.height + _MARGIN for band in bands) + _MARGIN
    whole, top = Image.new("RGB", size, LIGHT.paper), _MARGIN
    for band in bands:
        whole.paste(band, (_MARGIN, top))
        top += band.height + _MARGIN
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


def _others(part: Source, series: bool) -> dict[str, Any]:
    if not isinstance(part, TableSource):
        return {}
    return {_free(name): column for name, column in others(part, series).items()}


def _free(name: str) -> str:
    """A column's name that is none of ours."""
    ours = {"row", "score", "p_value", "anomaly"} | {
        f"{what}_{i}" for i in range(1, MOST_GUILTY + 1) for what in ("column", "share", "value", "expected")
    }
    return f"{name} (given)" if name in ours else name


def _reasons(
    detector: AnomalyDetector, part: Source, rows: np.ndarray, wanted: np.ndarray, steps: Parts | None
) -> dict[str, Any]:
    """The columns that say why, empty where that is not wanted. steps : the parts of a whole series."""
    strange = np.flatnonzero(wanted)
    if not isinstance(part, TableSource):
        return _place_columns(detector, part, strange, wanted)
    if steps is not None:
        found = _cells_of_steps(steps, part.table.take(strange), rows[strange])
        return _guilty_columns(found, wanted, len(steps.scores.column_names))
    return _guilty_columns(cells_of(detector, part.subset(strange)), wanted, len(part.schema.used))


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

    _, _, heat = explained_samples(detector, detector._open(samples), np.arange(len(samples)))
    return [tuple(map(int, np.unravel_index(int(one.argmax()), one.shape))) for one in heat]


def _guilty_columns(found: list[list[Guilt]], wanted: np.ndarray, most: int) -> dict[str, Any]:
    """found : the guilty cells of what is wanted. most : columns that there are."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for rank in range(min(MOST_GUILTY, most)):
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


def _table(columns: dict[str, Any]) -> Any:
    import pyarrow as pa

    return pa.table(columns)


def _spread(values: list[Any], wanted: np.ndarray, type_: Any) -> Any:
    """Values where they are wanted, and nothing elsewhere, as an Arrow array."""
    import pyarrow as pa

    everywhere = np.full(len(wanted), None, object)
    everywhere[wanted] = values
    return pa.array(everywhere, type_)
