"""Parquet files with a sample in each row: an image or an array in one column, as data sets on hubs are kept."""

from __future__ import annotations

import io
import json
import math
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from isthmus.data.base import Source, as_labels, check_array
from isthmus.data.files import read_samples
from isthmus.data.images import decoded
from isthmus.data.parallel import parallel
from isthmus.data.parquet_files import check_sizes, is_parquet, parquet_batches, parquet_files
from isthmus.data.reading import reading
from isthmus.errors import IsthmusError
from isthmus.remote.ranges import opened

_NAMES = ("image", "images", "img", "x", "sample", "samples", "array", "pixels", "signal")  # of columns of samples
_LABELS = ("label", "labels", "y", "target", "targets")
_ROWS = 4096  # that are unpacked at a time


class _Group(NamedTuple):
    """A row group: its file, its number there, and the first of its rows here."""

    path: Path
    number: int
    first: int


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

    A row group is unpacked when one of its samples is first asked for, into a file on this machine that goes with the
    source. So any order of samples reads each row group once, and memory holds a few rows of one.
    """

    def __init__(self, path: Path, column: str) -> None:
        self._column, self._groups, rows = column, list[_Group](), 0
        import pyarrow.parquet as pq

        with reading(path, "Parquet files"):
            check_sizes(path)
            for file in parquet_files(path):
                with opened(file) as raw:
                    metadata = pq.read_metadata(raw)
                for number in range(metadata.num_row_groups):
                    self._groups.append(_Group(file, number, rows))
                    rows += metadata.row_group(number).num_rows
            if not rows:
                raise IsthmusError(f"{path} has 0 rows; at least 1 is needed")
            first = self._unpacked(next(iter(self._batches(self._groups[0], rows=1))))
        check_array((rows, *first.shape[1:]), first.dtype, f"column {column!r} of {path}")
        super().__init__((rows, *first.shape[1:]), first.dtype, name=str(path), unit="row", labels=_labels(path))
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if self.nbytes > free:
            raise IsthmusError(
                f"the samples of {path} unpacked have {self.nbytes / 1e9:,.1f} GB, and {tempfile.gettempdir()} has "
                f"{free / 1e9:,.1f} GB left: set TMPDIR to a folder with more"
            )
        self._file = tempfile.TemporaryFile(prefix="isthmus-")  # noqa: SIM115  # gone when it is closed
        self._here = np.zeros(len(self._groups), bool)
        self._firsts = np.array([group.first for group in self._groups])
        self._lock = threading.Lock()

    def _take(self, indices: np.ndarray) -> np.ndarray:
        needed = np.unique(np.searchsorted(self._firsts, indices, side="right") - 1)
        with self._lock:
            for number in needed[~self._here[needed]].tolist():
                self._unpack(self._groups[number])
                self._here[number] = True
        block = np.empty((len(indices), *self.shape[1:]), self.dtype)
        read_samples(self._read, 0, indices, block, self.name)
        return block

    def _read(self, count: int, place: int) -> bytes:
        with self._lock:  # one position for all threads
            self._file.seek(place)
            return self._file.read(count)

    def _unpack(self, group: _Group) -> None:
        """Write the samples of a row group to their places."""
        with reading(group.path, "a Parquet file"):
            self._file.seek(group.first * math.prod(self.shape[1:]) * self.dtype.itemsize)
            for column in self._batches(group, _ROWS):
                samples = self._unpacked(column)
                if samples.shape[1:] != self.shape[1:] or samples.dtype != self.dtype:
                    raise IsthmusError(
                        f"{group.path} holds samples of shape {samples.shape[1:]} and {samples.dtype}, and the first "
                        f"of {self.name} has {self.shape[1:]} and {self.dtype}; give samples of one shape and dtype"
                    )
                self._file.write(np.ascontiguousarray(samples).data)
            self._file.flush()

    def _batches(self, group: _Group, rows: int) -> Any:
        """The column of a row group, some rows at a time, with what its field says of the shape."""
        import pyarrow.parquet as pq

        with opened(group.path) as raw, pq.ParquetFile(raw, pre_buffer=False) as file:
            for batch in file.iter_batches(rows, row_groups=[group.number], columns=[self._column], use_threads=False):
                yield batch.schema.field(0), batch.column(0)

    def _unpacked(self, found: tuple[Any, Any]) -> np.ndarray:
        """Arrow's column as an array (k, *sample)."""
        field, column = found
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
