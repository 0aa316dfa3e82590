"""Parquet files with a sample in each row: an image or an array in one column, as data sets on hubs are kept."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import Source, check_array
from isthmus.data.images import decoded
from isthmus.data.labels import as_labels
from isthmus.data.parallel import parallel
from isthmus.data.parquet_files import check_sizes, is_parquet, parquet_batches, parquet_files
from isthmus.data.reading import reading
from isthmus.data.row_groups import RowGroup, Unpacked, row_groups
from isthmus.errors import IsthmusError
from isthmus.remote.ranges import opened

_NAMES = ("image", "images", "img", "x", "sample", "samples", "array", "pixels", "signal")  # of columns of samples
_LABELS = ("label", "labels", "y", "target", "targets")
_ROWS = 4096  # that are unpacked at a time


def sample_column(path: Path) -> str | None:
    """The column of a Parquet table that holds a sample in each row; None where there is none, or it is no Parquet."""
    import pyarrow.parquet as pq

    if not path.exists() or not is_parquet(path):
        return None
    first = parquet_files(path)[0]
    with reading(first, "a Parquet file"), opened(first) as raw:
        schema = pq.read_schema(raw)
    found = [f.name for f in schema if f.name.lower() in _NAMES and (_is_list(f.type) or _is_encoded(f.type))]
    return found[0] if len(found) == 1 else None


class ParquetSamples(Source):
    """The samples in a column of Parquet files: lists of numbers, nested for more axes, or encoded images.

    They are unpacked row group by row group, see `Unpacked`.
    """

    def __init__(self, path: Path, column: str) -> None:
        self._column = column
        with reading(path, "Parquet files"):
            check_sizes(path)
            groups = row_groups(path)
            self.read_together = groups[0].rows
            first = next(self._samples(groups[0], 1))
        rows = groups[-1].first + groups[-1].rows
        check_array((rows, *first.shape[1:]), first.dtype, f"column {column!r} of {path}")
        super().__init__((rows, *first.shape[1:]), first.dtype, name=str(path), unit="row", labels=_labels(path))
        self._all = Unpacked(groups, self.shape[1:], self.dtype, self._samples, str(path))

    def _take(self, indices: np.ndarray) -> np.ndarray:
        return self._all.take(indices)

    def _samples(self, group: RowGroup, rows: int = _ROWS) -> Iterator[np.ndarray]:
        """The samples of a row group, some rows at a time."""
        with reading(group.path, "a Parquet file"):
            for batch in group.batches(rows, [self._column]):
                yield self._unpacked(batch.schema.field(0), batch.column(0))

    def _unpacked(self, field: Any, column: Any) -> np.ndarray:
        """Arrow's column as an array (k, *sample)."""
        if column.null_count:
            raise IsthmusError(f"column {self._column!r} has rows without a sample; take them out")
        if _is_encoded(column.type):
            contents = column.field("bytes") if hasattr(column.type, "field") else column
            images = parallel(lambda content: decoded(io.BytesIO(content)), contents.to_pylist())
            shapes = {(image.shape, image.dtype) for image in images}
            if len(shapes) > 1:
                raise IsthmusError(
                    f"column {self._column!r} has images of {len(shapes)} shapes or kinds; one is needed"
                )
            return np.stack(images)
        return _as_array(column, _told_shape(field))


def _as_array(column: Any, told: tuple[int, ...] | None) -> np.ndarray:
    """Lists of numbers, all of one length on each level, as an array. told : the shape of each, where it is known."""
    shape, values = [len(column)], getattr(column, "storage", column)
    while _is_list(values.type):
        count = len(values)
        lengths = np.unique(values.value_lengths().to_numpy(zero_copy_only=False))
        if len(lengths) > 1:
            raise ValueError(f"its samples have {lengths[0]} to {lengths[-1]} values; one number is needed")
        values = values.flatten()
        shape.append(len(values) // max(1, count))
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    return array.reshape(len(column), *(told or shape[1:]))


def _told_shape(field: Any) -> tuple[int, ...] | None:
    """The shape that an extension type of tensors says its lists have."""
    if hasattr(field.type, "shape"):
        return tuple(field.type.shape)
    text = (field.metadata or {}).get(b"ARROW:extension:metadata")
    told = json.loads(text) if text else None
    told = told.get("shape") if isinstance(told, dict) else told
    return tuple(map(int, told)) if isinstance(told, list) else None


def _is_list(type_: Any) -> bool:
    import pyarrow.types as types

    type_ = getattr(type_, "storage_type", type_)
    return bool(types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_))


def _is_encoded(type_: Any) -> bool:
    """Whether cells are the bytes of image files, alone or beside their names."""
    import pyarrow.types as types

    if types.is_struct(type_):
        return bool(type_.get_field_index("bytes") >= 0 and _is_encoded(type_.field("bytes").type))
    return bool(types.is_binary(type_) or types.is_large_binary(type_))


def _labels(path: Path) -> np.ndarray | None:
    """What a column named label, y or target says of each row; None without one."""
    import pyarrow.parquet as pq

    with opened(parquet_files(path)[0]) as raw:
        names = [name for name in pq.read_schema(raw).names if name.lower() in _LABELS]
    if len(names) != 1:
        return None
    batches = parquet_batches(path, 1 << 16, columns=names)
    values = np.concatenate([batch.column(0).to_numpy(zero_copy_only=False) for batch in batches])
    try:
        return as_labels(values, f"column {names[0]!r} of {path}")
    except IsthmusError:
        return None
