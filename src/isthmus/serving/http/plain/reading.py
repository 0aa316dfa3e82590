"""Samples in the files of a request: arrays (n, ...) or Arrow tables, as the model takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.columns import refuse_twice
from isthmus.data.limits import unpacking_at_most
from isthmus.serving.http.columns import as_arrow
from isthmus.serving.http.limits import Limits, Refusal
from isthmus.serving.http.plain.formats import CSV, IMAGES, JSON, NPY, PARQUET, TABLES, WAV
from isthmus.serving.http.plain.uploads import Upload
from isthmus.serving.http.rows import size_of
from isthmus.serving.http.served import INPUT, Served, TensorSpec
from isthmus.serving.http.tensors import DATATYPES, read_json

_MOST_DIMENSIONS = 8
_MOST_COLUMNS = 10_000
_HEAD = 1 << 20  # bytes in which the first line of a text table ends
_LEAVES: Mapping[str, tuple[set[type], str]] = {
    "b": ({bool}, "true or false"),
    "i": ({int}, "a whole number"),
    "u": ({int}, "a whole number"),
    "f": ({int, float, type(None)}, "a number"),
}


@dataclass(frozen=True)
class Rows:
    """Samples of a request.

    values : array (n, ...) or Arrow table. single : whether the client sent one sample, not a list. notes : what was
    left out.
    """

    values: Any
    single: bool = False
    notes: list[str] = field(default_factory=list)


def read_rows(uploads: Sequence[Upload], served: Served, given: str, limits: Limits) -> Rows:
    """The samples of files, for an input of a model.

    given : the name of the input. Raises `Refusal` or IsthmusError with what is wrong and where.
    """
    with unpacking_at_most(limits.unpacked_bytes):
        if given == INPUT and served.schema is not None:
            rows = _table(only(uploads), served, limits)
        else:
            rows = _numbers(uploads, served, given, limits)
    count, values = len(rows.values), size_of(rows.values)
    if count > limits.rows or values > limits.values:
        raise Refusal(
            413, f"{count:,} rows of {values:,} values; at most {limits.rows:,} and {limits.values:,} are read"
        )
    return rows


def check_size(uploads: Sequence[Upload], limits: Limits) -> int:
    """How many values files say they hold, before any is decoded; a `Refusal` where pictures hold too many."""
    from isthmus.data.images import read_header

    total = 0
    for upload in uploads:
        if upload.format in IMAGES:
            header = read_header(upload.path)
            total += header.frames * header.height * header.width * math.prod(header.kind.channels)
        elif upload.format is NPY:
            total += math.prod(_npy_shape(upload.path))
        else:
            total += upload.path.stat().st_size
        if total > limits.pixels:
            raise Refusal(413, f"{upload.path.name} has {total:,} values; at most {limits.pixels:,} are read")
    return total


def read_body(upload: Upload, limits: Limits) -> Any:
    """The JSON of a file."""
    size = upload.path.stat().st_size
    if size > limits.json_bytes:
        raise Refusal(413, f"{size:,} bytes of JSON; at most {limits.json_bytes:,} are read: send a file")
    return read_json(upload.path.read_bytes())


def only(uploads: Sequence[Upload]) -> Upload:
    """The only file of a request; a `Refusal` where there are several."""
    if len(uploads) > 1:
        raise Refusal(400, f"there are {len(uploads)} files; send one")
    return uploads[0]


def read_list(upload: Upload, limits: Limits) -> list[Any]:
    """JSON rows: records or lists."""
    rows = read_body(upload, limits)
    if not isinstance(rows, list) or not rows:
        raise Refusal(400, 'the body must be a list of rows, as in [[1.5, 2], [0, 3]] or [{"width": 1.5}]')
    if len(rows) > limits.rows:
        raise Refusal(413, f"there are {len(rows):,} rows; at most {limits.rows:,} are read")
    return rows


# Tables with columns of any kind


def _table(upload: Upload, served: Served, limits: Limits) -> Rows:
    assert served.schema is not None
    names: list[str] = list(served.schema.arrow.names)
    if upload.format is JSON:
        columns, notes = _columns(read_list(upload, limits), names)
        return Rows(as_arrow(columns, served.schema), notes=notes)
    if upload.format not in TABLES:
        raise Refusal(415, f"{served.name!r} takes rows of a table, not {upload.format.media}")
    table = _read_table(upload, limits)
    known, notes = _known_columns(table.column_names, names)
    return Rows(table.select(known), notes=notes)


def _columns(rows: Sequence[Any], names: Sequence[str]) -> tuple[dict[str, list[Any]], list[str]]:
    """Rows as columns by name; cells that records lack are missing."""
    kind = _one_kind(rows)
    if kind is list:
        wrong = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
        if wrong is not None:
            raise Refusal(
                400, f"row {wrong} has {len(rows[wrong])} cells; the model's columns: {', '.join(names[:20])}"
            )
        return {name: [row[j] for row in rows] for j, name in enumerate(names)}, []
    known, notes = _known_columns(list(dict.fromkeys(chain.from_iterable(rows))), names)
    return {name: [row.get(name) for row in rows] for name in known}, notes


def _known_columns(given: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of the given columns those that the model knows, and a note of the others; `Refusal` where it knows none."""
    wanted = set(names)
    refuse_twice([name for name in given if name in wanted])
    known = [name for name in given if name in wanted]
    others = [name for name in given if name not in wanted]
    if not known:
        raise Refusal(400, f"there is no column that the model knows; it knows {', '.join(names[:20])}")
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    left = ", ".join(repr(name[:60]) for name in others[:5]) + more
    return known, [f"columns that the model does not know are left out: {left}"] if others else []


def _one_kind(rows: Sequence[Any]) -> type:
    kind = type(rows[0])
    wrong = next((i for i, row in enumerate(rows) if type(row) is not kind or kind not in (list, dict)), None)
    if wrong is not None:
        raise Refusal(400, f"row {wrong} is {_shown(rows[wrong])}; rows are all lists, or all records as in {{...}}")
    return kind


def _read_table(upload: Upload, limits: Limits) -> Any:
    """A table, whose size is looked at before it is read."""
    from isthmus.data.table_files import read_table

    if upload.format is CSV:
        _check_text(upload.path, limits)
    elif upload.format is PARQUET:
        import pyarrow.parquet as pq

        from isthmus.data.reading import reading

        with reading(upload.path, "a Parquet file"):
            metadata = pq.read_metadata(upload.path)
        _check_table(metadata.num_rows, metadata.num_columns, limits)
    return read_table(upload.path).table


def _check_text(path: Path, limits: Limits) -> None:
    lines = 0
    with path.open("rb") as file:
        first = file.read(_HEAD).partition(b"\n")[0]
        file.seek(0)
        while piece := file.read(_HEAD):
            lines += piece.count(b"\n") or piece.count(b"\r")
    separators = max(first.count(mark) for mark in (b",", b";", b"\t", b"|", b" "))
    _check_table(lines - _MOST_DIMENSIONS, separators, limits)  # titles and the header are no rows


def _check_table(rows: int, columns: int, limits: Limits) -> None:
    if rows > limits.rows or columns > _MOST_COLUMNS:
        raise Refusal(
            413,
            f"the table has {rows:,} rows and {columns:,} columns; at most {limits.rows:,} and {_MOST_COLUMNS:,} "
            "are read",
        )


# Arrays


def _numbers(uploads: Sequence[Upload], served: Served, given: str, limits: Limits) -> Rows:
    """Samples as an array (n, ...)."""
    spec = served.inputs[given][0]
    if any(upload.format in IMAGES for upload in uploads):
        check_size(uploads, limits)
    if len(uploads) == 1:
        return _array(uploads[0], served, spec, limits)
    found = [_array(upload, served, spec, limits) for upload in uploads]
    shapes = {rows.values.shape[1:] for rows in found}
    if len(shapes) > 1 or not all(rows.single for rows in found):
        raise Refusal(400, f"files of several samples, or of several shapes {sorted(shapes)[:3]}, need a request each")
    return Rows(np.concatenate([rows.values for rows in found]))


def _array(upload: Upload, served: Served, spec: TensorSpec, limits: Limits) -> Rows:
    names = getattr(served.model, "feature_names_in_", None) if spec.name == INPUT else None
    if upload.format is JSON:
        rows = read_list(upload, limits)
        if isinstance(rows[0], dict):
            return _from_records(rows, names, spec)
        return Rows(_fitting(nested_array(rows, spec.datatype), spec, upload.path)[0])
    if upload.format in TABLES:
        return _from_table(_read_table(upload, limits), names)
    values, single = _fitting(_read_array(upload, limits), spec, upload.path)
    return Rows(values, single)


def _read_array(upload: Upload, limits: Limits) -> np.ndarray:
    from isthmus.data.images import read_image
    from isthmus.data.sample_files import open_sample

    if upload.format is NPY:
        return _read_npy(upload.path, limits)
    if upload.format is WAV:
        (sound,) = open_sample(upload.path).samples()  # (length, channels)
        return sound[:, 0] if sound.shape[1] == 1 else sound
    return read_image(upload.path)


def _read_npy(path: Path, limits: Limits) -> np.ndarray:
    from isthmus.data.files import read_npy
    from isthmus.data.reading import reading

    shape = _npy_shape(path)
    if math.prod(shape) > limits.values:
        raise Refusal(413, f"an array of shape {shape[:8]}; at most {limits.values:,} values are read")
    with reading(path, "a .npy file"), path.open("rb") as file:
        array = read_npy(file, path.stat().st_size)
    if array.dtype.kind not in "biuf" or 0 in array.shape:
        raise Refusal(400, f"{path.name} holds {str(array.dtype)[:60]} of shape {array.shape[:8]}; numbers are needed")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _npy_shape(path: Path) -> tuple[int, ...]:
    from isthmus.data.files import npy_header
    from isthmus.data.reading import reading

    with reading(path, "a .npy file"), path.open("rb") as file:
        shape, _ = npy_header(file)
    return shape


def _fitting(array: np.ndarray, spec: TensorSpec, path: Path) -> tuple[np.ndarray, bool]:
    """An array with the axis of samples in front, and whether it had none."""
    if array.ndim == len(spec.shape):
        return array, False
    if array.ndim == len(spec.shape) - 1:
        return array[None], True
    wanted = ", ".join("n" if size < 0 else str(size) for size in spec.shape)
    raise Refusal(400, f"{path.name} has shape {list(array.shape)}; the model takes ({wanted})")


def _from_records(rows: Sequence[Any], names: Sequence[str] | None, spec: TensorSpec) -> Rows:
    if names is None:
        raise Refusal(400, f"the model's columns have no names: send rows as lists of {spec.shape[-1]} numbers")
    columns, notes = _columns(rows, list(names))
    lacking = [name for name in names if name not in columns]
    if lacking:
        raise Refusal(400, f"the rows lack {', '.join(map(repr, lacking[:5]))}, which the model was trained with")
    return Rows(
        nested_array([list(row) for row in zip(*(columns[n] for n in names), strict=True)], "FP64"), notes=notes
    )


def _from_table(table: Any, names: Sequence[str] | None) -> Rows:
    from isthmus.data.tables import Columns, arrow_source

    notes: list[str] = []
    if names is not None:
        known, notes = _known_columns(table.column_names, list(names))
        table = table.select(known)
    source = arrow_source(table, Columns(only=names), "the table")
    return Rows(source.take(np.arange(len(source))).astype(np.float64, copy=False), notes=notes)


def nested_array(rows: list[Any], datatype: str) -> np.ndarray:
    """Lists in lists of one shape as an array of a datatype.

    Raises `Refusal` with the position of the first value that does not fit.

    >>> nested_array([[1, 2], [3, None]], "FP64")
    array([[ 1.,  2.],
           [ 3., nan]])
    """
    flat, shape = rows, [len(rows)]
    while flat and list in (kinds := set(map(type, flat))):
        lengths = {len(one) if type(one) is list else -1 for one in flat}
        if len(kinds) > 1 or len(lengths) > 1 or len(shape) >= _MOST_DIMENSIONS:
            other = next((i for i, one in enumerate(flat) if type(one) is not list or len(one) != len(flat[0])), 0)
            raise Refusal(400, f"{_place(other, shape)} has another shape than those before it")
        shape.append(lengths.pop())
        flat = list(chain.from_iterable(flat))
    dtype = np.dtype(DATATYPES[datatype])
    fitting, wanted = _LEAVES[dtype.kind]
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (-np.inf, np.inf)
    for i, value in enumerate(flat):
        if type(value) not in fitting or (value is not None and not low <= value <= high):
            bounds = f" from {low} to {high}" if dtype.kind in "iu" else ""
            raise Refusal(400, f"{_place(i, shape)} is {_shown(value)}; {wanted}{bounds} is needed")
    try:
        with np.errstate(over="ignore"):
            return np.array(flat, dtype).reshape(shape)
    except OverflowError as error:
        raise Refusal(400, f"a number of the rows is too large for {dtype}") from error


def _place(index: int, shape: Sequence[int]) -> str:
    """Where a value is, in words: "row 3, value 0, 7"."""
    first, *rest = (int(i) for i in np.unravel_index(index, shape))
    return f"row {first}" + (f", value {', '.join(map(str, rest))}" if rest else "")


def _shown(value: Any) -> str:
    return repr(value)[:40]
