"""A table with columns of any kind as a source: rows of numbers, and the table that they come from."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import ArraySource, shortened
from isthmus.data.column_matching import matched_by_name, with_empty_columns
from isthmus.data.column_types import merged
from isthmus.data.columns import TableSchema, holds_numbers
from isthmus.data.files import read_samples
from isthmus.data.frames import as_frame, as_table, frame_kind, is_frame
from isthmus.data.in_memory import loaded
from isthmus.data.parquet_samples import sample_column
from isthmus.data.reading import reading
from isthmus.data.table_files import is_table, read_table
from isthmus.data.table_streaming import is_streamed, rows_of, streamed, tables_of
from isthmus.data.tables import Columns, arrow_source, labels_of
from isthmus.errors import unknown_name
from isthmus.remote.paths import as_path

_FEW_BYTES = 1 << 26  # of a part of a streamed table that is kept in memory


class TableSource(ArraySource):
    """Rows as float64 (n, used columns): numbers, codes of categories, seconds; NaN where a cell is missing.

    table : the Arrow table. schema : of its columns. frame : the kind of data frame that it came as.
    index : of a pandas frame, else None. like : a pandas frame's columns, without rows, else None. rows : numbers of
    the rows in the whole table, (n,). ids : an Arrow table of columns of a file that number or name its rows and are no
    part of the table; None where there are none.
    """

    ids: Any = None

    def __init__(
        self,
        table: Any,
        schema: TableSchema,
        *,
        frame: str = "arrow",
        index: Any = None,
        like: Any = None,
        name: str | None = None,
        labels: np.ndarray | None = None,
    ) -> None:
        self.table, self.schema, self.frame, self.index, self.like = table, schema, frame, index, like
        names = [column.name for column in schema.used]
        super().__init__(schema.encode(table), name=name, unit="row", labels=labels, feature_names=names)
        self.rows = np.arange(len(self))

    def subset(self, indices: np.ndarray) -> TableSource:
        """Some rows, with all that is known of the table."""
        part = copy.copy(self)
        part._array, part.table = self._array[indices], self.table.take(indices)
        part.shape = (len(indices), *self.shape[1:])
        part.labels = None if self.labels is None else self.labels[indices]
        part.index = None if self.index is None else self.index[indices]
        part.rows = self.rows[indices]
        part.ids = None if self.ids is None else self.ids.take(indices)
        return part

    def location(self, index: int) -> str:
        return super().location(int(self.rows[index]))

    def _facts(self) -> dict[str, str]:
        kinds: dict[str, list[str]] = {}
        for column in self.schema.columns:
            kinds.setdefault(column.kind, []).append(column.name)
        facts = {kind: shortened(names) for kind, names in kinds.items()}
        return {name: text for name, text in super()._facts().items() if name not in ("columns", "values")} | facts

    def read_as(self, schema: TableSchema, missing_columns: str = "refuse") -> TableSource:
        """The same table with the columns that another schema names; see `open_table`."""
        if schema == self.schema:
            return self
        source = TableSource(
            matched_by_name(self.table, schema, missing_columns),
            schema,
            frame=self.frame,
            index=self.index,
            like=self.like,
            name=self._given_name,
            labels=self.labels,
        )
        source.ids = self.ids
        return source

    def in_parts(self, size: int) -> Iterator[tuple[np.ndarray, TableSource]]:
        """Successive parts of `size` rows in memory, and the numbers of their rows here."""
        table = self.table
        for start in range(0, len(self), size):
            yield self._part(start, table.slice(start, size))

    def in_memory(self) -> TableSource:
        """The same rows, of which nothing is read again."""
        return self._part(0, self.table)[1]

    def _part(self, start: int, table: Any) -> tuple[np.ndarray, TableSource]:
        """The rows from `start` on as a source of its own. table : of these rows."""
        here = np.arange(start, start + len(table))
        index = None if self.index is None else self.index[here]
        part = TableSource(table, self.schema, frame=self.frame, index=index, like=self.like, name=self._given_name)
        part.labels = None if self.labels is None else self.labels[here]
        part.rows, part.ids = self.rows[here], None if self.ids is None else self.ids.take(here)
        return here, part

    def rebuilt(self, values: np.ndarray) -> Any:
        """Values (n, used columns) as a data frame of the kind that this came as."""
        return self.as_given(self.schema.decode(values, self.table if self.schema.left_out else None))

    def as_given(self, table: Any) -> Any:
        """An Arrow table of these rows as a data frame of the kind that this came as."""
        return as_frame(table, self.frame, index=self.index, like=self.like)

    def frame_with(self, columns: np.ndarray) -> Any:
        """Numbers (n, used columns) under the columns' names, as a data frame of the kind that this came as."""
        import pyarrow as pa

        table = pa.table(dict(zip([column.name for column in self.schema.used], columns.T, strict=True)))
        return as_frame(table, self.frame, index=self.index)

    @property
    def holes(self) -> int:
        """How many cells of the used columns are missing."""
        return int(np.isnan(self._array).sum())

    def filled(self, values: np.ndarray) -> Any:
        """The table with values (n, used columns) where cells are missing; what is known stays as it is."""
        import pyarrow as pa

        holes = dict(zip([column.name for column in self.schema.used], np.isnan(self._array).T, strict=True))
        decoded = self.schema.decode(values, self.table)
        columns, fields = [], []
        for field, column in zip(decoded.schema, decoded.columns, strict=True):
            given = self.table.column(field.name) if field.name in self.table.column_names else column
            hole = holes.get(field.name)
            columns.append(given if hole is None or not hole.any() else merged(pa.array(hole), column, given))
            fields.append(field.with_type(columns[-1].type))
        return pa.Table.from_arrays(columns, schema=pa.schema(fields, decoded.schema.metadata))

    @property
    def _given_name(self) -> str | None:
        return None if self.name == "table" else self.name


class StreamedTable(TableSource):
    """A table on disk whose rows are numbers in a temporary file, which is deleted when nobody uses it any more.

    The Arrow table itself is read from its own file where it is asked for: of a `subset`, only those rows.
    """

    def __init__(self, path: Path, schema: TableSchema | None, *, name: str, frame: str, **of: Any) -> None:
        self._streamed = streamed(path, schema, **of)
        self.schema = self._streamed.schema
        names = [column.name for column in self.schema.used]
        ArraySource.__init__(self, self._streamed.matrix, name=name, unit="row", feature_names=names)
        self._path, self.frame = path, frame
        self.index = self.like = None
        self.rows = self._places = np.arange(len(self._array))
        if self._streamed.groups:
            self.read_together = self._streamed.groups[0].rows

    @property
    def table(self) -> Any:
        """The rows as an Arrow table."""
        with reading(self._path, "a table"):
            known = self._known(self._streamed.names)
            return self._completed(rows_of(self._path, self._streamed.groups, self.rows, known))

    def in_parts(self, size: int) -> Iterator[tuple[np.ndarray, TableSource]]:
        """Successive parts of `size` rows in memory, and the numbers of their rows here; the file is read once."""
        if self._mapped is None or not np.array_equal(self.rows, np.arange(len(self._array))):  # some rows of the file
            yield from super().in_parts(size)
            return
        start = 0
        for table in tables_of(self._path, size):
            yield self._part(start, self._completed(table.select(self._known(table.column_names))))
            start += len(table)

    def _known(self, names: Sequence[str]) -> list[str]:
        """Of the file's columns those that the schema knows, in its order."""
        return [name for name in self.schema.arrow.names if name in names]

    def _completed(self, table: Any) -> Any:
        """A table of the file with empty columns for those that it lacks."""
        return with_empty_columns(table, self._streamed.lacking, self.schema)

    def subset(self, indices: np.ndarray) -> TableSource:
        """Some rows: as numbers in memory where they are few, else nothing is read yet."""
        part = copy.copy(self)
        part.rows, part.shape = self.rows[indices], (len(indices), *self.shape[1:])
        if part.nbytes <= _FEW_BYTES:
            part._array, part._mapped = self._take(indices), None
            part._places = np.arange(len(indices))
        else:
            part._places = part.rows if self._places is self.rows else self._places[indices]
        return part

    def resident(self) -> np.ndarray | None:
        return self._array if self._mapped is None else None

    def _take(self, indices: np.ndarray) -> np.ndarray:
        places = self._places[indices]
        if self._mapped is not None:
            self._streamed.need(places)
        if self._mapped is None or not hasattr(os, "pread"):  # Windows has none
            return super()._take(places)
        block = np.empty((len(indices), *self.shape[1:]), self.dtype)  # a map's pages would count as this process's
        read_samples(partial(os.pread, self._streamed.file.fileno()), 0, places, block, self.name)
        return block

    def read_as(self, schema: TableSchema, missing_columns: str = "refuse") -> TableSource:
        """The same table with the columns that another schema names."""
        if schema == self.schema:
            return self
        whole = StreamedTable(self._path, schema, name=self.name, frame=self.frame, missing_columns=missing_columns)
        return whole if len(whole) == len(self) else whole.subset(self.rows)

    @property
    def holes(self) -> int:
        """How many cells of the used columns are missing."""
        return sum(int(np.isnan(chunk).sum()) for chunk in self.chunks())


def open_table(
    data: Any,
    kinds: Mapping[str, str] | None = None,
    markers: Sequence[Any] = (),
    *,
    labels: str | None = None,
    drop: Sequence[str] = (),
    csv: Mapping[str, Any] | None = None,
    schema: TableSchema | None = None,
    missing_columns: str = "refuse",
) -> TableSource | None:
    """A data frame, the path of a table or a `TableSource` as columns of any kind; None for anything else.

    kinds, markers : see `TableSchema.of`. labels, drop : columns that are no features. csv : how a text table is
    written. schema : of the data that a model was trained with; columns are then found by name. missing_columns : what
    to do where one of them is missing: "refuse", or "fill" for a column without values, and a warning.
    """
    source = _opened(data, kinds, markers, labels, drop, csv, schema, missing_columns)
    assert source is None or isinstance(source, TableSource)
    return source


def open_table_to_learn(
    data: Any,
    kinds: Mapping[str, str] | None = None,
    markers: Sequence[Any] = (),
    *,
    labels: str | None = None,
    drop: Sequence[str] = (),
    csv: Mapping[str, Any] | None = None,
) -> ArraySource | None:
    """`open_table` for models that also learn from matrices: numbers without holes are not measured in vain.

    A file with a table of numbers without holes comes as a matrix. None for a data frame of that kind, which
    `open_source` reads without a copy, and for anything else.
    """
    return _opened(data, kinds, markers, labels, drop, csv, matrices=True)


def _opened(data: Any, *given: Any, **options: Any) -> ArraySource | None:
    """`_made`; whatever is wrong with a file is said in one line."""
    with reading(os.fspath(data), "a table") if isinstance(data, str | os.PathLike) else nullcontext():
        return _made(data, *given, **options)


def _made(
    data: Any,
    kinds: Mapping[str, str] | None,
    markers: Sequence[Any],
    labels: str | None,
    drop: Sequence[str],
    csv: Mapping[str, Any] | None,
    schema: TableSchema | None = None,
    missing_columns: str = "refuse",
    *,
    matrices: bool = False,
) -> ArraySource | None:
    """matrices : whether a table of numbers without holes comes as `open_table_to_learn` has it."""
    if isinstance(data, TableSource):
        return data if schema is None else data.read_as(schema, missing_columns)
    name, said, ids = None, "", None
    data = loaded(data)
    if is_frame(data):
        table = as_table(data)
    elif isinstance(data, str | os.PathLike) and _holds_rows(path := as_path(data)):
        if labels is None and csv is None and is_streamed(path):
            told = {"missing_columns": missing_columns} if schema is not None else {"kinds": kinds, "markers": markers}
            return StreamedTable(path, schema, name=str(path), frame=frame_kind(data), drop=drop, **told)
        table, said, ids = read_table(path, csv, aside=drop)
        name = str(path)
    else:
        return None
    what = name or "the data frame"
    for column in (*drop, *([] if labels is None else [labels])):
        if column not in table.column_names:
            raise unknown_name(f"column of {what}", column, table.column_names)
    if matrices and holds_numbers(table.drop_columns([*drop, *([] if labels is None else [labels])]), kinds, markers):
        return None if name is None else _matrix(table, Columns(labels, drop), name, said)
    found = None if labels is None else labels_of(table.column(labels), f"column {labels!r} of {what}")
    aside = {*drop, labels}
    table = table.select([i for i, column in enumerate(table.column_names) if column not in aside])
    if schema is None:
        schema = TableSchema.of(table, kinds, markers)
    else:
        table = matched_by_name(table, schema, missing_columns)
    index, like = (data.index, data.iloc[:0]) if hasattr(data, "iloc") else (None, None)
    source = TableSource(table, schema, frame=frame_kind(data), index=index, like=like, name=name, labels=found)
    source.said, source.ids = said, ids
    return source


def _holds_rows(path: Path) -> bool:
    """Whether a path is a table, and not one with a whole sample in each row."""
    return is_table(path) and path.exists() and sample_column(path) is None


def _matrix(table: Any, columns: Columns, name: str, said: str) -> ArraySource:
    source = arrow_source(table, columns, name)
    source.said = said
    return source


def array_source(
    array: np.ndarray, kinds: Mapping[str, str] | None, markers: Sequence[Any], schema: TableSchema | None
) -> TableSource:
    """A matrix with NaN, whose columns have no names, as a source: x0, x1, ...; schema : of the training data."""
    import pyarrow as pa

    table = pa.table({f"x{j}": pa.array(column, from_pandas=True) for j, column in enumerate(array.T)})
    return TableSource(table, TableSchema.of(table, kinds, markers) if schema is None else schema)
