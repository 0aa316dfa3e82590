"""A table with columns of any kind as a source: rows of numbers, and the table that they come from."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.data.base import ArraySource
from isthmus.data.columns import TableSchema
from isthmus.data.frames import as_frame, as_table, frame_kind, is_frame
from isthmus.errors import warn


class TableSource(ArraySource):
    """Rows as float64 (n, used columns): numbers, codes of categories, seconds; NaN where a cell is missing.

    table : the Arrow table. schema : of its columns. frame : the kind of data frame that it came as.
    index : of a pandas frame, else None.
    """

    def __init__(
        self,
        table: Any,
        schema: TableSchema,
        *,
        frame: str = "arrow",
        index: Any = None,
        name: str | None = None,
        labels: np.ndarray | None = None,
    ) -> None:
        self.table, self.schema, self.frame, self.index = table, schema, frame, index
        names = [column.name for column in schema.used]
        super().__init__(schema.encode(table), name=name, unit="row", labels=labels, feature_names=names)
        self._rows = np.arange(len(self))

    def subset(self, indices: np.ndarray) -> TableSource:
        """Some rows, with all that is known of the table."""
        part = copy.copy(self)
        part._array, part.table = self._array[indices], self.table.take(indices)
        part.shape = (len(indices), *self.shape[1:])
        part.labels = None if self.labels is None else self.labels[indices]
        part.index = None if self.index is None else self.index[indices]
        part._rows = self._rows[indices]
        return part

    def location(self, index: int) -> str:
        return super().location(int(self._rows[index]))

    def read_as(self, schema: TableSchema) -> TableSource:
        """The same table with the columns that another schema names."""
        if schema == self.schema:
            return self
        _tell_others(self.table.column_names, schema)
        return TableSource(
            self.table, schema, frame=self.frame, index=self.index, name=self._given_name, labels=self.labels
        )

    def rebuilt(self, values: np.ndarray) -> Any:
        """Values (n, used columns) as a data frame of the kind that this came as."""
        return as_frame(self.schema.decode(values, self.table), self.frame, self.index)

    def filled(self, values: np.ndarray) -> Any:
        """The table with values (n, used columns) where cells are missing; what is known stays as it is."""
        import pyarrow as pa
        import pyarrow.compute as pc

        missing = dict(zip([column.name for column in self.schema.used], np.isnan(self._array).T, strict=True))
        decoded = self.schema.decode(values, self.table)
        columns = []
        for name, type_ in zip(decoded.column_names, decoded.schema.types, strict=True):
            known = self.table.column(name) if name in self.table.column_names else decoded.column(name)
            hole = missing.get(name)
            if hole is None or not hole.any():
                columns.append(known)
            elif pa.types.is_dictionary(type_):
                plain = pc.if_else(
                    pa.array(hole), decoded.column(name).cast(type_.value_type), known.cast(type_.value_type)
                )
                columns.append(plain.dictionary_encode().cast(type_))
            else:
                columns.append(pc.if_else(pa.array(hole), decoded.column(name), known.cast(type_, safe=False)))
        return pa.Table.from_arrays(columns, schema=decoded.schema)

    @property
    def _given_name(self) -> str | None:
        return None if self.name == "table" else self.name


def table_source(
    data: Any, kinds: Mapping[str, str] | None = None, markers: Sequence[Any] = (), name: str | None = None
) -> TableSource:
    """A data frame as a source; see `TableSchema.of` for kinds and markers."""
    table = as_table(data)
    schema = TableSchema.of(table, kinds, markers)
    return TableSource(table, schema, frame=frame_kind(data), index=getattr(data, "index", None), name=name)


def _tell_others(names: Sequence[str], schema: TableSchema) -> None:
    known = {column.name for column in schema.columns}
    others = [name for name in names if name not in known]
    if others:
        listed = ", ".join(map(repr, others[:4])) + (", ..." if len(others) > 4 else "")
        warn(f"columns that the model does not know are ignored: {listed}")


def open_table(data: Any, kinds: Mapping[str, str] | None = None, markers: Sequence[Any] = ()) -> TableSource | None:
    """A data frame, the path of a table or a `TableSource` as columns of any kind; None for anything else."""
    if isinstance(data, TableSource):
        return data
    if is_frame(data):
        return table_source(data, kinds, markers)
    if isinstance(data, str | os.PathLike):
        from isthmus.data.tables import read_table

        table = read_table(data)
        return None if table is None else table_source(table, kinds, markers, name=str(data))
    return None


def array_source(
    array: np.ndarray, kinds: Mapping[str, str] | None, markers: Sequence[Any], schema: TableSchema | None
) -> TableSource:
    """A matrix with NaN, whose columns have no names, as a source: x0, x1, ...; schema : of the training data."""
    import pyarrow as pa

    table = pa.table({f"x{j}": pa.array(column, from_pandas=True) for j, column in enumerate(array.T)})
    return TableSource(table, TableSchema.of(table, kinds, markers) if schema is None else schema)
