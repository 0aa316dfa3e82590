"""What samples are called: by their ids, their times or their files, and only then by their number."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus.anomalies.findings import UNITS, Detector
from isthmus.data.series import NUMBERS
from isthmus.data.table_source import TableSource
from isthmus.evaluation.table_text import shown
from isthmus.evaluation.theme import clipped

MOST_IDS = 2  # columns by which a row is named
_LENGTH = 24


def others(rows: TableSource, series: bool = False) -> dict[str, Any]:
    """Columns that the model does not judge, by which people know a row, as Arrow arrays by their names.

    These are the index of a data frame, what numbers or names the rows of a file, ids, free text, and what the model
    was not told of. series : whether rows are time steps, which are known by their time.
    """
    import pyarrow as pa

    judged = [column.name for column in rows.schema.used if not series or column.kind in NUMBERS]
    used, table = set(judged), rows.table
    named = {name or "index": rows.ids.column(name) for name in rows.ids.column_names} if rows.ids is not None else {}
    left = [field.name for field in table.schema if field.name not in used and not pa.types.is_nested(field.type)]
    return _index(rows) | named | {name: table.column(name) for name in left}


def named(detector: Detector, samples: Any, indices: np.ndarray) -> list[str]:
    """What some samples are called: an image by its file, a row by its number and by what tells it from others.

    samples : as the detector's scorer opens them, no series.
    """
    unit = UNITS[detector.kind_]
    if isinstance(samples, TableSource):
        rows = samples.subset(indices)
        told = {column.name for column in rows.schema.columns if column.distinct > 1}
        known = {column.name for column in rows.schema.columns}
        ids = [column for name, column in others(rows).items() if name in told or name not in known][:MOST_IDS]
        beside = zip(*([clipped(shown(value), _LENGTH) for value in column.to_pylist()] for column in ids), strict=True)
        numbers = [f"{unit} {row:,}" for row in rows.rows]
        return [", ".join((number, *texts)) for number, texts in zip(numbers, beside, strict=True)] if ids else numbers
    paths = getattr(samples, "paths", None)
    return [f"{unit} {i:,}" if paths is None else clipped(paths[i].name, _LENGTH) for i in indices.tolist()]


def _index(rows: TableSource) -> dict[str, Any]:
    """The index of a pandas frame as columns of text; nothing where it only counts the rows."""
    import pyarrow as pa

    index = rows.index
    if index is None or (index.nlevels == 1 and np.array_equal(index, rows.rows)):
        return {}
    levels = [index.get_level_values(i) for i in range(index.nlevels)]
    return {
        "index" if level.name is None else str(level.name): pa.chunked_array([pa.array([str(cell) for cell in level])])
        for level in levels
    }
