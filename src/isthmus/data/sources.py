"""A path, an array or the name of a data set as a lazy sequence of samples."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.data.base import ArraySource, JoinedSource, ListSource, Source, subset
from isthmus.data.csv_dialect import Dialect
from isthmus.data.in_memory import (
    as_array,
    is_list_of_arrays,
    is_list_of_paths,
    is_torch_data,
    loaded,
    torch_source,
)
from isthmus.data.parquet_rows import parquet_rows
from isthmus.data.parquet_samples import ParquetSamples, sample_column
from isthmus.data.table_files import TEXT, is_table, is_text_table
from isthmus.data.tables import (
    Columns,
    arrow_source,
    csv_source,
    file_source,
    frame_source,
    matched,
)
from isthmus.errors import IsthmusError, unknown_name
from isthmus.registry import named_datasets
from isthmus.remote.paths import RemotePath, as_path
from isthmus.remote.ranges import is_large

if TYPE_CHECKING:
    from isthmus.data.folders import ImageMode, OnMixedSizes

__all__ = ["Source", "check_exists", "open_source", "subset"]

_WITH_MEMBERS = (".npz", ".zarr", ".zip")  # one array of several is named as in "file.npz:name"
_KINDS = (
    "IDX (.gz too), .npy, .npz, .csv, .tsv, .parquet, .feather, .arrow, .jsonl, .xlsx, .zarr, TIFF stacks, images "
    "(PNG, JPEG, WebP, TIFF, BMP, GIF), .wav, .tar shards, and folders of images, .wav, .csv, .npy, Parquet or .tar "
    "files"
)


@dataclass(frozen=True)
class _Options:
    on_mixed_sizes: str
    image_mode: str | None
    columns: Columns
    csv: Mapping[str, Any] | Dialect | None = None

    @property
    def keep(self) -> bool:
        """Whether samples may differ in shape."""
        return self.on_mixed_sizes == "keep"

    def of_images(self) -> dict[str, Any]:
        return {"on_mixed_sizes": self.on_mixed_sizes, "image_mode": self.image_mode}


def open_source(
    data: Any,
    *,
    on_mixed_sizes: OnMixedSizes = "refuse",
    image_mode: ImageMode | None = None,
    labels_column: str | None = None,
    drop_columns: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    csv: Mapping[str, Any] | Dialect | None = None,
) -> Source:
    """Anything that holds samples as a `Source`.

    data : a Source (returned as it is); an array of shape (n, features), (n, height, width) or (n, height, width,
        channels): NumPy (never copied; memory maps stay on disk), torch, Zarr and others; a pandas, pyarrow, polars or
        dask table; lists of numbers, of arrays, of PIL images or of paths; a map-style data set of torch's; the name
        of a data set, as in "mnist" (its training images) or "mnist:test"; or the path of a file or of a folder of
        images, or of signals where it holds no images: a .wav, a .csv or a .npy file of one axis each. The name of a
        data set comes before a path: write "./mnist" for a folder of that name. One array of several in a file is named
        as in "file.npz:x_train".
    on_mixed_sizes : what to do where sizes differ: "refuse", "crop" (the middle of each sample), "resize" (images) or
        "keep". With "keep", a list of arrays or a folder gives a source that is not `uniform`: each sample has its own
        shape and dtype.
    image_mode : "grey", "rgb" or "rgba" to read all images so; None for the narrowest that holds them all.
    labels_column : the column of a table that holds labels, not features.
    drop_columns : columns of a table that are left out.
    columns : the features of data whose columns have names, in this order, such as those that a model was trained with;
        others are left out with a warning.
    csv : how a text table is written, where that is known: encoding, delimiter, quote, decimal, thousands, header,
        index, comment, skipped, as in ``{"delimiter": ";", "header": "no"}``. What is not given is found out; the
        source's ``dialect.sentence`` says how the file was read.

    Raises IsthmusError where the data cannot be read or are not numbers, and where samples differ in shape, unless
    `on_mixed_sizes` allows it.

    Examples
    --------
    >>> from isthmus import open_source
    >>> source = open_source([[1.5, 2.0], [3.0, 4.0], [5.0, 6.5]])
    >>> source.shape, source[2].tolist()
    ((3, 2), [5.0, 6.5])
    """
    options = _Options(on_mixed_sizes, image_mode, Columns(labels_column, drop_columns, columns), csv)
    if isinstance(data, str | os.PathLike):
        name, _, split = data.partition(":") if isinstance(data, str) else ("", "", "")
        if name in named_datasets:
            _refuse_columns(options, "a data set of images")
            return _dataset_source(name, split or "train")
        return _open_path(as_path(data), options)
    if isinstance(data, Source):
        _refuse_columns(options, "a Source")
        if not (data.uniform or options.keep):
            raise _one_shape_needed(data.name)
        return matched(data, columns)
    data = loaded(data)
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        return frame_source(data, options.columns)
    is_column = hasattr(data, "__array__") and not hasattr(data, "columns")  # a Series
    if not is_column and (hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")):
        return _from_arrow(data, options)
    _refuse_columns(options, "an array")
    if hasattr(data, "oindex") and hasattr(data, "shape"):
        from isthmus.data.stacks import ZarrSource

        return ZarrSource(data)
    if is_torch_data(data):
        return torch_source(data, options.keep)
    if is_list_of_paths(data):
        return _open_paths([as_path(path) for path in data], options)
    if is_list_of_arrays(data):
        arrays = [as_array(item) for item in data]
        if options.keep:
            return ListSource(arrays)
        if len({array.shape for array in arrays}) > 1:
            raise _one_shape_needed("list")
    return ArraySource(as_array(data))


def _from_arrow(data: Any, options: _Options) -> Source:
    import pyarrow as pa

    try:
        table = pa.table(data)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError) as error:
        raise IsthmusError(f"data of type {type(data).__name__} are no table of columns; give a table") from error
    return arrow_source(table, options.columns)


def _open_paths(paths: Sequence[Path], options: _Options) -> Source:
    """Files in the order of a list: images, or whatever they hold one after the other."""
    from isthmus.data.folders import ImageFiles
    from isthmus.data.images import SUFFIXES
    from isthmus.data.sample_files import SampleFiles

    for path in paths:
        if not path.exists():
            raise _no_such_path(path)
    if options.keep:
        return SampleFiles(paths, "list")
    if all(path.suffix.lower() in SUFFIXES for path in paths):
        return ImageFiles(paths, name="list", **options.of_images())
    return JoinedSource([_open_path(path, options) for path in paths], name="list")


def _one_shape_needed(name: str) -> IsthmusError:
    return IsthmusError(
        f"{name} holds samples that may differ in shape, and here all must have one; crop or resize them first "
        "(isthmus.open_source does it with images in a folder by on_mixed_sizes='crop' or 'resize')"
    )


def _refuse_columns(options: _Options, what: str) -> None:
    if options.csv is not None:
        raise IsthmusError(f"settings of CSV files (csv) are for {' and '.join(TEXT)} files, not for {what}")
    if options.columns.labels is not None or options.columns.drop:
        raise IsthmusError(f"labels_column and drop_columns are for tables with named columns, not for {what}")


def _dataset_source(name: str, split: str) -> Source:
    from isthmus.data import datasets

    if split not in ("train", "test"):
        raise unknown_name(f"part of data set {name!r}", split, ("train", "test"))
    part = getattr(datasets.load(name), split)
    return ArraySource(part.images, name=f"{name}:{split}", labels=part.labels)


def check_exists(data: str) -> None:
    """Raise what `open_source` would for a path or a name that does not exist, without opening anything."""
    if not data:
        raise IsthmusError("the path or name of the data is empty")
    if data.partition(":")[0] not in named_datasets:
        _path_and_member(as_path(data))


def _path_and_member(path: Path) -> tuple[Path, str | None]:
    """An existing path, and the name of an array in it where one is given."""
    if path.exists():
        return path, None
    whole, _, name = str(path).rpartition(":")
    if not whole.endswith(_WITH_MEMBERS) or not as_path(whole).exists():
        raise _no_such_path(path)
    return as_path(whole), name


def _open_path(path: Path, options: _Options) -> Source:
    path, member = _path_and_member(path)
    suffix = path.suffix.lower()
    if path.is_file() and is_text_table(path):
        return csv_source(path, options.columns, options.csv)
    if (column := sample_column(path)) is not None:
        _refuse_columns(options, "samples in a column")
        return ParquetSamples(path, column)
    if options.csv is None and (rows := parquet_rows(path, options.columns)) is not None:
        return rows
    if options.csv is None and is_table(path):
        return file_source(path, options.columns)
    if path.is_dir():
        return _open_folder(path, member, options)
    _refuse_columns(options, str(path))
    return _open_file(path, suffix, member, options)


def _open_folder(path: Path, member: str | None, options: _Options) -> Source:
    from isthmus.data import folders, npy_shards, sample_files, signal_files, stacks, web_dataset

    if stacks.is_zarr(path):
        _refuse_columns(options, str(path))
        return stacks.zarr_source(path, member)
    signals = signal_files.suffixes_in(path)
    if options.keep or options.columns.labels is not None or signals != signal_files.TABLES:
        _refuse_columns(options, str(path))
    if folders.holds(path, web_dataset.SUFFIX):
        return web_dataset.tar_source(folders.files_in(path, (web_dataset.SUFFIX,), "shards"), str(path), options.keep)
    if options.keep:
        if options.image_mode is not None:
            raise IsthmusError("on_mixed_sizes='keep' keeps each image in its own mode; leave image_mode out")
        return sample_files.sample_folder(path)
    if not signals:
        return folders.folder_source(path, **options.of_images())
    paths = folders.files_in(path, signals, "signals")
    if signals == signal_files.ARRAYS and not npy_shards.holds_signal(paths[0]):
        return npy_shards.NpyShards(paths, str(path))
    read = partial(signal_files.table_signal, drop=options.columns.drop, csv=options.csv)
    return signal_files.SignalFiles(paths, name=str(path), on_mixed_sizes=options.on_mixed_sizes, read_table=read)


def _open_file(path: Path, suffix: str, member: str | None, options: _Options) -> Source:
    from isthmus.data import files, folders, images, npy_shards, signal_files, stacks, web_dataset

    if suffix == ".npy":
        return npy_shards.NpyShards([path], str(path)) if is_large(path) else files.npy_source(path)
    if suffix == ".npz":
        return files.npz_source(path, member)
    if suffix == web_dataset.SUFFIX:
        return web_dataset.tar_source([path], str(path), options.keep)
    if suffix in (".zip", ".zarr") and stacks.is_zarr(path):
        return stacks.zarr_source(path, member)
    if suffix in signal_files.SOUNDS:
        return signal_files.SignalFiles([path], name=str(path))
    if suffix in images.SUFFIXES:
        header = images.read_header(path)
        if header.frames > 1 and suffix in images.TIFF:
            return stacks.tiff_source(path)
        if header.frames > 1:
            return stacks.animation_source(path)
        return folders.ImageFiles([path], name=str(path), headers=[header], **options.of_images())
    if files.is_idx(path):
        return files.idx_source(path)
    raise IsthmusError(f"{path} is of no kind that can be read; these are: {_KINDS}")


def _no_such_path(path: Path) -> IsthmusError:
    """The error for a path that does not exist; it may be a data set's name, misspelt."""
    if isinstance(path, RemotePath):
        return IsthmusError(path.absence())
    known = named_datasets.names()
    near = difflib.get_close_matches(str(path).lower(), known, n=1)
    if near:
        return IsthmusError(f"there is no file or folder {str(path)!r}; did you mean the data set {near[0]!r}?")
    plain = len(path.parts) == 1 and not path.suffix
    return IsthmusError(
        f"there is no file or folder {str(path)!r}"
        + (f", nor a data set; these are: {', '.join(known)}" if plain else "")
    )
