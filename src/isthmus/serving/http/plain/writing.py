"""Answers as bodies: arrays and Arrow tables as JSON, CSV, Parquet, .npy or a picture, files as they are."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.serving.http.limits import Limits, Refusal
from isthmus.serving.http.plain.formats import CSV, JSON, NPY, PARQUET, PNG, Format
from isthmus.serving.http.rows import size_of

_PIXELS = ("uint8", "uint16", "bool")


@dataclass(frozen=True)
class Result:
    """What a model has found.

    parts : arrays (n, ...) or Arrow tables of n rows, by name; one alone is written without its name. columns : what an
    array's columns are called in a table. single : whether the array is one sample. notes : what was left out or could
    not be kept.
    """

    parts: Mapping[str, Any]
    columns: Sequence[str] = ()
    single: bool = False
    notes: Sequence[str] = field(default_factory=list)

    @property
    def formats(self) -> list[Format]:
        """The formats that can hold it."""
        values = list(self.parts.values())
        arrays = [value for value in values if isinstance(value, np.ndarray)]
        found = [JSON, CSV, PARQUET] if all(array.ndim <= 2 for array in arrays) else [JSON]
        if len(values) == 1 and arrays:
            found.append(NPY)
            if len(arrays[0]) == 1 and _is_picture(arrays[0][0]):
                found.append(PNG)
        return found


@dataclass(frozen=True)
class File:
    """A file that is the answer. content : its bytes."""

    content: bytes
    format: Format
    notes: Sequence[str] = field(default_factory=list)


def written(result: Result, form: Format, limits: Limits) -> bytes:
    """A result in one of its formats; a `Refusal` where it is too much for JSON."""
    first = next(iter(result.parts.values()))
    if form is PNG:
        return _png(first[0])
    if form is NPY:
        buffer = io.BytesIO()
        np.save(buffer, first[0] if result.single else first, allow_pickle=False)
        return buffer.getvalue()
    if form is JSON:
        return _json(result, limits)
    return _table_file(_table(result), form)


def _is_picture(sample: np.ndarray) -> bool:
    is_flat = sample.ndim == 2 or (sample.ndim == 3 and sample.shape[2] in (3, 4) and sample.dtype == np.uint8)
    return sample.dtype.name in _PIXELS and is_flat


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _json(result: Result, limits: Limits) -> bytes:
    """A list with an entry for each row; where there are several parts, records of them."""
    values = sum(size_of(value) for value in result.parts.values())
    most = limits.json_bytes // 8
    if values > most:
        others = ", ".join(one.media for one in result.formats if one is not JSON)
        raise Refusal(406, f"{values:,} values; as JSON at most {most:,} are written: send Accept: {others}")
    rows: Iterator[Any] | list[Any]
    if len(result.parts) == 1:
        (value,) = result.parts.values()
        rows = _rows(value)
    else:
        names = list(result.parts)
        rows = [dict(zip(names, row, strict=True)) for row in zip(*map(_rows, result.parts.values()), strict=True)]
    return json.dumps(rows, default=str, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _rows(value: Any) -> list[Any]:
    """An array's or a table's rows as JSON has them: null for what is no number."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f" and not (finite := np.isfinite(value)).all():
            value = value.astype(object)
            value[~finite] = None
        found: list[Any] = value.tolist()
        return found
    return [{name: _finite(cell) for name, cell in row.items()} for row in value.to_pylist()]


def _finite(cell: Any) -> Any:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _table(result: Result) -> Any:
    """All parts side by side; where there are several, columns are called PART.COLUMN."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for part, value in result.parts.items():
        prefix = f"{part}." if len(result.parts) > 1 else ""
        if isinstance(value, np.ndarray):
            flat = value.reshape(len(value), -1)
            unnamed = "" if prefix else f"{part}_"
            names = result.columns or [f"{unnamed}{j}" for j in range(flat.shape[1])]
            columns |= {prefix + name: flat[:, j] for j, name in enumerate(names)}
        else:
            columns |= {prefix + name: value.column(name) for name in value.column_names}
    return pa.table(columns)


def _table_file(table: Any, form: Format) -> bytes:
    """An Arrow table as a file has it."""
    from isthmus.data.table_files import WRITERS

    buffer: Any = io.BytesIO()
    writer = WRITERS[form.suffix](buffer, table.schema)
    writer.write_table(table)
    writer.close()
    content: bytes = buffer.getvalue()
    return content


def file_of(path: Path, form: Format, notes: Sequence[str] = ()) -> File:
    """A file on disk as an answer."""
    return File(path.read_bytes(), form, list(notes))
