"""Tables larger than memory: read in two passes, batch by batch, and kept as numbers in a file of their own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from isthmus.data.column_matching import columns_to_fill, with_empty_columns
from isthmus.data.columns import Column, TableSchema, refuse_twice
from isthmus.data.parquet_files import (
    check_sizes,
    is_parquet,
    parquet_batches,
    parquet_bytes,
    parquet_dataset,
    parquet_names,
)
from isthmus.data.reading import reading
from isthmus.data.row_groups import RowGroup, Unpacked, row_groups
from isthmus.data.unpacked_sizes import check_arrow
from isthmus.errors import IsthmusError

LARGEST_READ_WHOLE = 1 << 28  # bytes of cells: tables up to this size are read at once
_FEATHER = (".feather", ".arrow")
_ROWS = 1 << 16  # that are read and encoded at a time
_MEASURED = 8  # batches, from all over the table, that kinds are guessed and measured from


def is_streamed(path: Path) -> bool:
    """Whether a file holds a table that is too large to be read at once."""
    if is_parquet(path):
        with reading(path, "a Parquet file"):
            check_sizes(path)
            return parquet_bytes(path) > LARGEST_READ_WHOLE
    if path.suffix.lower() not in _FEATHER:
        return False
    with reading(path, "an Arrow file"):
        check_arrow(path)
    return path.stat().st_size > LARGEST_READ_WHOLE


class Streamed(NamedTuple):
    """A table whose rows are numbers in a file without a name.

    schema, lacking : its columns, and the names of those that it lacks. names : of those that the file has. file,
    matrix : the rows, and their map, (n, used columns). need : a function to be called with row numbers before these
    rows are read. groups : row groups of Parquet files; none for other files.
    """

    schema: TableSchema
    lacking: list[str]
    names: list[str]
    file: BinaryIO
    matrix: np.memmap
    need: Callable[[np.ndarray], None]
    groups: Sequence[RowGroup]


def streamed(
    path: Path,
    schema: TableSchema | None,
    *,
    drop: Collection[str] = (),
    missing_columns: str = "refuse",
    **of: Any,
) -> Streamed:
    """A table in a Parquet or Arrow file, or in a folder of Parquet files.

    schema : of the training data; a row group of Parquet is then read when one of its rows is first asked for. Without
    it, it is measured in some rows, and its ranges are widened to those of all. drop : names of columns that are left
    aside. missing_columns : see `columns_to_fill`. of : `kinds` and `markers` of `TableSchema.of`.
    """
    with reading(path, "a table"):
        names = _names(path)
        refuse_twice(names)
        rows = dataset(path).count_rows()
    if rows == 0:
        raise IsthmusError(f"{path} has 0 rows; at least 1 is needed")
    aside = set(drop)
    found = schema or _measured(path, rows, aside, **of)
    others = [name for name in names if name not in aside]
    lacking = [] if schema is None else columns_to_fill(others, schema, missing_columns)
    groups, need = row_groups(path) if is_parquet(path) else [], _everything
    if schema is not None and groups:
        encode = partial(_encoded, schema, lacking)
        unpacked = Unpacked(groups, (len(schema.used),), _dtype(schema), encode, str(path))
        file, need = unpacked.file, unpacked.need
    else:
        file = cast("BinaryIO", tempfile.TemporaryFile(prefix="isthmus-"))  # noqa: SIM115  # gone when it is closed
        found = _write(file, path, found, rows, lacking, is_new=schema is None)
        file.flush()
    matrix = np.memmap(file, _dtype(found), "r", shape=(rows, len(found.used)))
    return Streamed(found, lacking, names, file, matrix, need, groups)


def _everything(rows: np.ndarray) -> None:
    """All rows are there already."""


def _encoded(schema: TableSchema, lacking: Sequence[str], group: RowGroup) -> Iterator[np.ndarray]:
    """The rows of a row group as numbers."""
    import pyarrow as pa

    done = group.first
    for batch in group.batches(_ROWS):
        table = with_empty_columns(pa.Table.from_batches([batch]), lacking, schema)
        yield schema.encode(table, first_row=done).astype(_dtype(schema), copy=False)
        done += len(batch)


def _measured(path: Path, rows: int, aside: set[str], **of: Any) -> TableSchema:
    """A schema from rows from all over the table, some 500,000 at most."""
    import pyarrow as pa

    step = max(1, -(-rows // _ROWS) // _MEASURED)
    kept: list[Any] = []
    for number, batch in enumerate(_batches(path)):
        if number % step == 0 and len(kept) < 2 * _MEASURED:
            kept.append(batch)
    table = pa.Table.from_batches(kept)
    return TableSchema.of(table.select([column for column in table.column_names if column not in aside]), **of)


def _write(
    file: BinaryIO, path: Path, schema: TableSchema, rows: int, lacking: Sequence[str], *, is_new: bool
) -> TableSchema:
    """Write the rows as numbers; the schema, with the ranges and the numbers of missing cells of all rows if new.

    lacking : columns that the file has not.
    """
    import pyarrow as pa

    dtype, done = _dtype(schema), 0
    missing = np.zeros(len(schema.used), np.int64)
    low, high = np.full(len(schema.used), np.inf), np.full(len(schema.used), -np.inf)
    for batch in _batches(path):
        table = with_empty_columns(pa.Table.from_batches([batch]), lacking, schema)
        matrix = schema.encode(table, first_row=done)
        gone = np.isnan(matrix)
        missing += gone.sum(0)
        low = np.minimum(low, np.where(gone, np.inf, matrix).min(0))
        high = np.maximum(high, np.where(gone, -np.inf, matrix).max(0))
        file.write(matrix.astype(dtype, copy=False).data)
        done += len(matrix)
    if not is_new:
        return schema
    ranges = iter(zip(missing.tolist(), low.tolist(), high.tolist(), strict=True))
    columns = [_widened(c, rows, *next(ranges)) if c.is_used else replace(c, rows=rows) for c in schema.columns]
    return TableSchema(tuple(columns), schema.arrow)


def _widened(column: Column, rows: int, missing: int, low: float, high: float) -> Column:
    settings = column.settings | ({"low": low, "high": high} if "low" in column.settings else {})
    return replace(column, rows=rows, missing=missing, settings=settings)


def _dtype(schema: TableSchema) -> np.dtype:
    """float32 where it holds all cells of the used columns exactly, else float64."""
    narrow = ("float", "halffloat", "bool", "int8", "uint8", "int16", "uint16")
    fits = (c.is_category or str(schema.arrow.field(c.name).type) in narrow for c in schema.used)
    return np.dtype(np.float32 if all(fits) else np.float64)


def _names(path: Path) -> list[str]:
    """The columns' names, of which two may be one."""
    import pyarrow as pa

    if is_parquet(path):
        return parquet_names(path)
    with pa.OSFile(os.fspath(path)) as file, pa.ipc.open_file(file) as batches:
        return list(batches.schema.names)


def dataset(path: Path) -> Any:
    """The file as Arrow's lazy table."""
    import pyarrow.dataset as ds

    return parquet_dataset(path) if is_parquet(path) else ds.dataset(os.fspath(path), format="feather")


def rows_of(path: Path, groups: Sequence[RowGroup], rows: np.ndarray, columns: Sequence[str]) -> Any:
    """Some rows as an Arrow table, by their numbers. groups : row groups of Parquet files; none for other files."""
    import pyarrow as pa

    if not groups:
        return dataset(path).take(rows, columns=columns)
    which = np.searchsorted([group.first for group in groups], rows, side="right") - 1
    parts, places = [], []
    for number in np.unique(which).tolist():
        start = groups[number].first
        for batch in groups[number].batches(_ROWS):
            here = np.flatnonzero((rows >= start) & (rows < start + len(batch)))
            parts.append(batch.select(columns).take(pa.array(rows[here] - start)))
            places.append(here)
            start += len(batch)
    table = pa.Table.from_batches(parts).unify_dictionaries()
    return table.take(pa.array(np.argsort(np.concatenate(places))))


def tables_of(path: Path, size: int) -> Iterator[Any]:
    """The table as Arrow tables of `size` rows, in order; the last may be shorter."""
    import pyarrow as pa

    kept: list[Any] = []
    for batch in _batches(path):
        kept.append(batch)
        while sum(map(len, kept)) >= size:
            table = pa.Table.from_batches(kept)
            yield table.slice(0, size)
            kept = table.slice(size).to_batches()
    if kept:
        yield pa.Table.from_batches(kept)


def _batches(path: Path) -> Iterator[Any]:
    """The table's batches in order; none is read ahead, and what was read is given back."""
    import pyarrow as pa

    with reading(path, "a table"):
        if is_parquet(path):
            yield from parquet_batches(path, _ROWS)
        else:
            with pa.OSFile(os.fspath(path)) as file, pa.ipc.open_file(file) as batches:
                for number in range(batches.num_record_batches):
                    batch = batches.get_batch(number)
                    batch.validate(full=True)
                    yield from (batch.slice(start, _ROWS) for start in range(0, len(batch), _ROWS))
        pa.default_memory_pool().release_unused()
