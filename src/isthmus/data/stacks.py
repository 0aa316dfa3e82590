"""TIFF stacks, animations and Zarr arrays as sources; two need optional packages, tifffile and zarr."""

from __future__ import annotations

import base64
import math
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import ArraySource, Source, check_array
from isthmus.data.files import fitting_labels, mapped_source
from isthmus.data.limits import FREE, check_expansion
from isthmus.data.picture_file import PictureFile
from isthmus.data.reading import choose_array, reading
from isthmus.errors import IsthmusError, MissingExtraError

_ZARR_FILES = {"zarr.json", ".zarray", ".zgroup"}
_CODECS = frozenset(
    {"adler32", "astype", "bitround", "blosc", "bytes", "bz2", "crc32", "crc32c", "delta", "fixedscaleoffset"}
    | {"fletcher32", "gzip", "lz4", "lzma", "packbits", "quantize", "sharding_indexed", "shuffle", "transpose"}
    | {"vlen-utf8", "zlib", "zstd"}
)


def tiff_source(path: Path) -> Source:
    """A TIFF stack, whose first axis counts the samples.

    Uncompressed data are read where they lie; compressed pages are decoded when they are asked for.
    """
    try:
        import tifffile
    except ImportError as error:
        raise MissingExtraError("TIFF stacks", "formats") from error

    with reading(path, "a TIFF stack"):
        file = tifffile.TiffFile(path)
        if not file.series:
            raise ValueError("it holds no images")
        if len(file.series) > 1:
            shapes = ", ".join(str(series.shape) for series in file.series)
            raise IsthmusError(f"{path} holds {len(file.series)} series of images, of shapes {shapes}; give it one")
        series = file.series[0]
        shape = tuple(series.shape)
        size = path.stat().st_size
        single = len(shape) == 2 or (len(shape) == 3 and "S" in series.axes)
        if series.axes == "SYX":  # the channels of one image, each for itself
            check_expansion(path, size, series.nbytes)
            return ArraySource(np.moveaxis(series.asarray(), 0, -1)[None], name=str(path))
        if series.dataoffset is not None:
            dtype = np.dtype(file.byteorder + series.dtype.char)
            mapped = np.memmap(path, dtype, "r", series.dataoffset, (1, *shape) if single else shape)
            return mapped_source(mapped, path)
        if single or len(series.pages) != shape[0]:
            check_expansion(path, size, series.nbytes)
            array = series.asarray()
            return ArraySource(array[None] if single else array, name=str(path))
        check_expansion(path, size, series.nbytes // shape[0])
        return _TiffPages(path, file, shape, series.dtype)


def animation_source(path: Path) -> Source:
    """The frames of an animation (GIF, PNG, WebP) as samples, uint8 (n, height, width, 3)."""
    with reading(path, "an animation"):
        return ArraySource(np.stack(list(PictureFile(path).samples())), name=str(path))


class _TiffPages(Source):
    """A TIFF stack with one compressed page for each sample."""

    def __init__(self, path: Path, file: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
        check_array(shape, dtype, str(path))
        super().__init__(shape, dtype, name=str(path))
        self._file = file
        self._lock = threading.Lock()  # one file position for all threads

    def _take(self, indices: np.ndarray) -> np.ndarray:
        block = np.empty((len(indices), *self.shape[1:]), self.dtype)
        for row, index in enumerate(indices):
            with reading(self.location(index), "a TIFF page"), self._lock:
                block[row] = self._file.series[0].pages[int(index)].asarray()
        return block


def is_zarr(path: Path) -> bool:
    """Whether a folder or .zip file holds Zarr arrays."""
    if path.is_dir():
        return any((path / name).is_file() for name in _ZARR_FILES)
    if not zipfile.is_zipfile(path):
        return False
    with reading(path, "a zip archive"), zipfile.ZipFile(path) as file:
        return any(name.rpartition("/")[2] in _ZARR_FILES for name in file.namelist())


def zarr_source(path: Path, member: str | None) -> Source:
    """A Zarr array, or the one of a Zarr group that is its only one of samples or named X, images or data.

    Coordinates, as xarray writes them, are no samples; packed values are unpacked, see `ZarrSource`.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError("Zarr arrays", "formats") from error

    with reading(path, "a Zarr array"):
        store = zarr.storage.ZipStore(path, mode="r") if path.is_file() else zarr.storage.LocalStore(path)
        opened = zarr.open(store, mode="r")
        labels = None
        if isinstance(opened, zarr.Group):
            arrays = {name: array for name, array in sorted(opened.members(max_depth=None))
                      if isinstance(array, zarr.Array)}  # fmt: skip
            axes = {name: 0 if _is_coordinate(name, arrays) else array.ndim for name, array in arrays.items()}
            name, labels_name = choose_array(axes, path, member)
            opened = arrays[name]
            labels = None if labels_name is None else _labels(arrays[labels_name], path)
        return ZarrSource(opened, name=str(path), labels=fitting_labels(labels, opened.shape[:1], path))


def _labels(array: Any, path: Path) -> np.ndarray:
    _check_blocks(array, path)
    check_expansion(path, array.nbytes_stored(), array.nbytes)
    return np.asarray(array[:])


def _check_blocks(array: Any, name: str | Path) -> None:
    """Refuse what a Zarr array's own metadata would have done at reading: code that is run, blocks of any size.

    The one of pickles runs what somebody has put into a block; others of strangers' packages nobody knows.
    """
    metadata = array.metadata
    if metadata.zarr_format == 2:
        used = [one.get_config()["id"] for one in (*(metadata.filters or ()), metadata.compressor) if one is not None]
    else:
        used = [one["name"].removeprefix("numcodecs.") for one in _codecs(metadata.to_dict()["codecs"])]
    unknown = sorted(set(used) - _CODECS)
    if unknown:
        raise IsthmusError(
            f"{name} is packed by {', '.join(unknown)}, which is not read: blocks of pickles run code, and of others "
            f"nobody knows; these are read: {', '.join(sorted(_CODECS))}"
        )
    if "object" in str(array.dtype):
        return
    block = math.prod(min(n, most) for n, most in zip(array.chunks, array.shape, strict=True)) * array.dtype.itemsize
    if block > FREE:
        check_expansion(name, array.nbytes_stored(), block)


def _codecs(found: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The codecs of an array of version 3, and those within them (of shards)."""
    for one in found:
        yield one
        inner = one.get("configuration", {})
        yield from _codecs([*inner.get("codecs", ()), *inner.get("index_codecs", ())])


def _is_coordinate(name: str, arrays: Mapping[str, Any]) -> bool:
    """Whether an array tells where the others' values lie: it is named like its axis, or they name it."""
    group, _, own = name.rpartition("/")
    named = " ".join(str(a.attrs.get("coordinates", "")) for n, a in arrays.items() if n.rpartition("/")[0] == group)
    return list(_dimensions(arrays[name])) == [own] or own in named.split()


def _dimensions(array: Any) -> Sequence[Any]:
    """The names of an array's axes, where it was written by xarray or with such names."""
    names: Sequence[Any] = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS", ())
    return names


@dataclass(frozen=True)
class _Packing:
    """How values are packed, by the conventions of climate and forecast (CF, section 8): missing marks, then
    value · scale + offset."""

    missing: tuple[float, ...] = ()
    scale: float = 1.0
    offset: float = 0.0

    @classmethod
    def of(cls, array: Any) -> _Packing:
        """What an array's attributes say; xarray keeps the mark of missing values in a version 2 array's own field."""
        attributes = dict(array.attrs)
        marks = [attributes.get("_FillValue"), attributes.get("missing_value")]
        if "_ARRAY_DIMENSIONS" in attributes and array.metadata.zarr_format == 2:
            marks.append(array.fill_value)
        numbers = [_mark(mark) for mark in marks if mark is not None]
        scale, offset = attributes.get("scale_factor", 1.0), attributes.get("add_offset", 0.0)
        return cls(tuple(n for n in numbers if not np.isnan(n)), float(scale), float(offset))

    @property
    def is_plain(self) -> bool:
        """Whether values are stored as they are."""
        return self == _Packing()

    def dtype(self, stored: np.dtype) -> np.dtype:
        """The type that holds the values, with NaN for missing ones."""
        return stored if self.is_plain or stored.kind not in "iuf" else np.result_type(stored, np.float32)

    def unpack(self, block: np.ndarray) -> np.ndarray:
        """Values as they are meant."""
        if self.is_plain or block.dtype.kind not in "iuf":
            return block
        values = block.astype(self.dtype(block.dtype))
        gaps = np.isin(values, np.array(self.missing, values.dtype))
        unpacked: np.ndarray = np.where(gaps, np.nan, values * self.scale + self.offset)
        return unpacked


def _mark(value: Any) -> float:
    """A mark of missing values; xarray writes fractions as base64."""
    if isinstance(value, str):
        return float(np.frombuffer(base64.standard_b64decode(value), "<f8")[0])
    return float(value)


class ZarrSource(Source):
    """A Zarr array, of which only the blocks that are asked for are read.

    Values that are packed by the CF conventions (scale_factor, add_offset) are unpacked, and those that mark missing
    ones (_FillValue, missing_value) become NaN.
    """

    def __init__(self, array: Any, *, name: str | None = None, labels: np.ndarray | None = None) -> None:
        check_array(array.shape, array.dtype, name or "the Zarr array")
        _check_blocks(array, name or "the Zarr array")
        self._packing = _Packing.of(array)
        super().__init__(array.shape, self._packing.dtype(array.dtype), name=name, labels=labels)
        self._array = array

    def _take(self, indices: np.ndarray) -> np.ndarray:
        if not len(indices):
            return np.empty((0, *self.shape[1:]), self.dtype)
        needed, back = np.unique(indices, return_inverse=True)  # so that each block is read once
        with reading(self.name, "a Zarr array"):
            if needed[-1] - needed[0] + 1 == len(needed):
                block = np.asarray(self._array[int(needed[0]) : int(needed[-1]) + 1])
            else:
                block = np.asarray(self._array.oindex[needed])
        return np.ascontiguousarray(self._packing.unpack(block)[back], dtype=self.dtype)
