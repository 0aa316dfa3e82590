"""Parquet: a file, or a folder of files that are one table, below one another, here or elsewhere.

Folders that are named "column=value" (Hive's partitions) are columns of the table, after those of the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from isthmus.data.folders import files_in, holds
from isthmus.data.images import SUFFIXES as IMAGES
from isthmus.data.reading import reading
from isthmus.data.unpacked_sizes import check_parquet
from isthmus.errors import IsthmusError
from isthmus.remote.paths import RemotePath
from isthmus.remote.ranges import fetch, opened

PARQUET = (".parquet", ".pq")


def is_parquet(path: Path) -> bool:
    """Whether a path is a Parquet file by its name, or a folder of Parquet files and nothing else that is read."""
    if path.is_dir():
        return holds(path, *PARQUET) and not holds(path, *IMAGES, ".npy", ".wav", ".tar", "zarr.json", ".zarray")
    return path.suffix.lower() in PARQUET


def parquet_files(path: Path) -> list[Path]:
    """The files of a table, in natural order of their paths, without the notes of writers, whose names begin with _."""
    if not path.is_dir():
        return [path]
    return [file for file in files_in(path, PARQUET, "Parquet files") if not file.name.startswith("_")]


def parquet_dataset(path: Path) -> Any:
    """The table as a lazy Arrow data set.

    Raises IsthmusError where two of its files have different columns.
    """
    import pyarrow.dataset as ds
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    files = parquet_files(path)
    elsewhere = PyFileSystem(FSSpecHandler(_Elsewhere(files))) if isinstance(path, RemotePath) else None
    hive = ds.partitioning(flavor="hive") if path.is_dir() else None
    whole = ds.dataset([str(file) for file in files], format="parquet", filesystem=elsewhere, partitioning=hive)
    names: list[str] = []
    for fragment in whole.get_fragments():
        names = names or fragment.physical_schema.names
        if set(fragment.physical_schema.names) != set(names):
            other = sorted(set(fragment.physical_schema.names) ^ set(names))
            raise IsthmusError(f"{files[0]} and {fragment.path} have other columns ({', '.join(other[:5])})")
    return whole


def check_sizes(path: Path) -> None:
    """Refuse a table with a file of too many columns, or that unpacks to far more than its own size."""
    fetch(parquet_files(path))
    for file in parquet_files(path):
        with reading(file, "a Parquet file"):
            check_parquet(file)


def parquet_names(path: Path) -> list[str]:
    """The columns' names; two columns may share one."""
    import pyarrow.parquet as pq

    if path.is_dir():
        return list(parquet_dataset(path).schema.names)
    with opened(path) as raw:
        return list(pq.read_schema(raw).names)


def parquet_bytes(path: Path) -> int:
    """Bytes of all cells, according to the files' metadata."""
    import pyarrow.parquet as pq

    total = 0
    for file in parquet_files(path):
        with opened(file) as raw:
            metadata = pq.read_metadata(raw)
        total += sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return total


def parquet_batches(path: Path, rows: int, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """The table's record batches, of so many rows at most, in order; none is read ahead. columns : of the files."""
    import pyarrow.parquet as pq

    if not path.is_dir():
        with opened(path) as raw, pq.ParquetFile(raw, pre_buffer=False) as file:
            batches = file.iter_batches(rows, columns=columns, use_threads=False)
            yield from (batch for batch in batches if len(batch))
        return
    if columns is not None:
        for file in parquet_files(path):
            yield from parquet_batches(file, rows, columns)
        return
    whole, folders = partitions(path)
    for file in parquet_files(path):
        for batch in parquet_batches(file, rows):
            yield with_partition(batch, folders[str(file)], whole)


def partitions(path: Path) -> tuple[Any, dict[str, dict[str, Any]]]:
    """The schema of a folder's table, and for each of its files what Hive's partitions say of it."""
    import pyarrow.dataset as ds

    whole = parquet_dataset(path)
    return whole.schema, {f.path: ds.get_partition_keys(f.partition_expression) for f in whole.get_fragments()}


def with_partition(batch: Any, partition: Mapping[str, Any], whole: Any) -> Any:
    """A batch of a folder's file as rows of the folder's table. partition : of the file. whole : the table's schema."""
    import pyarrow as pa

    for name, value in partition.items():
        field = whole.field(name)
        cells = pa.repeat(pa.scalar(value, field.type), len(batch))
        batch = pa.record_batch([*batch.columns, cells], schema=batch.schema.append(field))
    return batch.select(whole.names).cast(whole)


class _Elsewhere:
    """Files elsewhere, as far as Arrow asks for them in the way of fsspec."""

    protocol = "isthmus"

    def __init__(self, files: list[Path]) -> None:
        self._files = {str(file): file for file in files}

    def isfile(self, path: str) -> bool:
        return path in self._files

    def info(self, path: str) -> dict[str, Any]:
        return {"name": path, "type": "file", "size": self._files[path].stat().st_size}

    def open(self, path: str, mode: str = "rb") -> Any:
        return opened(self._files[path])
