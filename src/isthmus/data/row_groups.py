"""The row groups of Parquet files, each read when one of its rows is first asked for."""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from isthmus.data.files import read_samples
from isthmus.data.parquet_files import parquet_files, partitions, with_partition
from isthmus.data.reading import reading
from isthmus.errors import IsthmusError
from isthmus.remote.ranges import opened


class RowGroup(NamedTuple):
    """Successive rows of a table that are stored together.

    path, number : its file, and which of that file's row groups it is. first, rows : the number of its first row in the
    whole table, and how many it has. metadata : of the file. whole, partition : the schema of a folder's table, and
    what the folders of the file are named; None and nothing for a single file.
    """

    path: Path
    number: int
    first: int
    rows: int
    metadata: Any
    whole: Any
    partition: Mapping[str, Any]

    def batches(self, rows: int, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Record batches of so many rows at most. columns : some of the file's, by name, instead of all."""
        import pyarrow.parquet as pq

        with (
            reading(self.path, "a Parquet file"),
            opened(self.path) as raw,
            pq.ParquetFile(raw, metadata=self.metadata, pre_buffer=False) as file,
        ):
            for batch in file.iter_batches(rows, row_groups=[self.number], columns=columns, use_threads=False):
                batch.validate(full=True)
                is_part = self.whole is not None and columns is None
                yield with_partition(batch, self.partition, self.whole) if is_part else batch


def row_groups(path: Path) -> list[RowGroup]:
    """The row groups of a Parquet file, or of a folder of them that is one table; at least one, with rows."""
    import pyarrow.parquet as pq

    found, first = list[RowGroup](), 0
    with reading(path, "Parquet files"):
        whole, folders = partitions(path) if path.is_dir() else (None, {})
        for file in parquet_files(path):
            with opened(file) as raw:
                metadata = pq.read_metadata(raw)
            for number in range(metadata.num_row_groups):
                rows = metadata.row_group(number).num_rows
                if rows:
                    found.append(RowGroup(file, number, first, rows, metadata, whole, folders.get(str(file), {})))
                    first += rows
    if not found:
        raise IsthmusError(f"{path} has 0 rows; at least 1 is needed")
    return found


class Unpacked:
    """Samples of one shape in a temporary file on this machine, which is deleted with this object.

    A row group is unpacked when one of its rows is first asked for. So any order of samples reads each row group once,
    memory holds a few rows of one, and row groups that nobody asks for are not read.
    """

    def __init__(
        self,
        groups: Sequence[RowGroup],
        shape: Sequence[int],
        dtype: np.dtype,
        unpack: Callable[[RowGroup], Iterator[np.ndarray]],
        name: str,
    ) -> None:
        """shape, dtype : of a sample. unpack : the samples of a row group, block by block, each (k, *shape)."""
        self._groups, self._shape, self._dtype, self._unpack, self._name = groups, tuple(shape), dtype, unpack, name
        self._sample_bytes = math.prod(self._shape) * dtype.itemsize
        rows = groups[-1].first + groups[-1].rows
        free, needed = shutil.disk_usage(tempfile.gettempdir()).free, rows * self._sample_bytes
        if needed > free:
            raise IsthmusError(
                f"the samples of {name} unpacked have {needed / 1e9:,.1f} GB, and {tempfile.gettempdir()} has "
                f"{free / 1e9:,.1f} GB left: set TMPDIR to a folder with more"
            )
        self.file = cast("BinaryIO", tempfile.TemporaryFile(prefix="isthmus-"))  # noqa: SIM115  # gone when it is closed
        self.file.truncate(needed)
        self._here = np.zeros(len(groups), bool)
        self._firsts = np.array([group.first for group in groups])
        self._lock = threading.Lock()

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Some samples, by their numbers, (k, *shape)."""
        self.need(rows)
        block = np.empty((len(rows), *self._shape), self._dtype)
        read_samples(self._read, 0, rows, block, self._name)
        return block

    def need(self, rows: np.ndarray) -> None:
        """Unpack the row groups of these rows that have not been unpacked yet."""
        wanted = np.unique(np.searchsorted(self._firsts, rows, side="right") - 1)
        with self._lock:
            for number in wanted[~self._here[wanted]].tolist():
                self._write(self._groups[number])
                self._here[number] = True

    def _write(self, group: RowGroup) -> None:
        self.file.seek(group.first * self._sample_bytes)
        for samples in self._unpack(group):
            if samples.shape[1:] != self._shape or samples.dtype != self._dtype:
                raise IsthmusError(
                    f"{group.path} holds samples of shape {samples.shape[1:]} and {samples.dtype}, and the first of "
                    f"{self._name} has {self._shape} and {self._dtype}; give samples of one shape and dtype"
                )
            self.file.write(np.ascontiguousarray(samples).data)
        self.file.flush()

    def _read(self, count: int, place: int) -> bytes:
        with self._lock:  # one position for all threads
            self.file.seek(place)
            return self.file.read(count)
