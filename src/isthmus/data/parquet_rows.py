"""Large Parquet tables of numbers: only the row groups that are asked for are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import Source, check_array
from isthmus.data.parquet_files import is_parquet, parquet_batches
from isthmus.data.row_groups import RowGroup, Unpacked, row_groups
from isthmus.data.table_streaming import is_streamed
from isthmus.data.tables import Columns, as_matrix, is_number, labels_of

_ROWS = 1 << 14  # that are unpacked at a time


class ParquetRows(Source):
    """Rows of numbers, unpacked row group by row group, see `Unpacked`."""

    def __init__(
        self, groups: Sequence[RowGroup], names: Sequence[str], dtype: np.dtype, path: Path, labels: np.ndarray | None
    ) -> None:
        shape = (groups[-1].first + groups[-1].rows, len(names))
        check_array(shape, dtype, str(path))
        super().__init__(shape, dtype, name=str(path), unit="row", labels=labels, feature_names=names)
        self.read_together = groups[0].rows
        self._all = Unpacked(groups, shape[1:], dtype, partial(_matrices, names, dtype), str(path))

    def _take(self, indices: np.ndarray) -> np.ndarray:
        return self._all.take(indices)


def parquet_rows(path: Path, columns: Columns) -> ParquetRows | None:
    """A table of numbers that is too large to be read at once, with the same values as a smaller one has.

    None for other tables, and where the files do not say in which columns cells are missing: whole numbers with gaps
    become float64.
    """
    if not is_parquet(path) or not is_streamed(path):
        return None
    groups = row_groups(path)
    own = groups[0].metadata.schema.to_arrow_schema()  # without what folders are named
    schema = groups[0].whole or own
    if len(set(schema.names)) < len(schema.names):
        return None
    features = columns.choose(schema.names, lambda i: None, str(path))
    names = [schema.names[i] for i in features]
    if not set(names) <= set(own.names) or not all(is_number(schema.field(name).type) for name in names):
        return None
    gaps = _with_gaps(groups, names)
    if gaps is None:
        return None
    types = {np.float64 if name in gaps else schema.field(name).type.to_pandas_dtype() for name in names}
    labels = None
    if columns.labels is not None:
        import pyarrow as pa

        batches = parquet_batches(path, _ROWS, [columns.labels])
        column = pa.Table.from_batches(list(batches)).column(columns.labels)
        labels = labels_of(column, f"column {columns.labels!r} of {path}")
    return ParquetRows(groups, names, np.result_type(*types), path, labels)


def _with_gaps(groups: Sequence[RowGroup], names: Sequence[str]) -> set[str] | None:
    """Which columns of whole numbers have missing cells; None where the files do not say."""
    found = set()
    for group in groups:
        held = group.metadata.row_group(group.number)
        chunks = [held.column(i) for i in range(held.num_columns)]
        for chunk in chunks:
            name = chunk.path_in_schema
            if name not in names or chunk.physical_type in ("FLOAT", "DOUBLE"):
                continue
            if not chunk.is_stats_set or not chunk.statistics.has_null_count:
                return None
            if chunk.statistics.null_count:
                found.add(name)
    return found


def _matrices(names: Sequence[str], dtype: np.dtype, group: RowGroup) -> Iterator[np.ndarray]:
    import pyarrow as pa

    for batch in group.batches(_ROWS, list(names)):
        table: Any = pa.Table.from_batches([batch])
        yield as_matrix([table.column(name) for name in names], dtype)
