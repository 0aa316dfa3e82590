"""TIFF stacks and Zarr arrays as sources; both need optional packages, tifffile and zarr."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import ArraySource, Source, check_array
from isthmus.data.files import fitting_labels, mapped_source
from isthmus.data.reading import choose_array, reading
from isthmus.errors import IsthmusError, MissingExtraError

_ZARR_FILES = {"zarr.json", ".zarray", ".zgroup"}


def tiff_source(path: Path) -> Source:
    """A TIFF stack, whose first axis counts the samples.

    Uncompressed data are read where they lie; compressed pages are decoded when they are asked for.
    """
    try:
        import tifffile
    except ImportError as error:
        raise MissingExtraError("TIFF stacks", "tifffile") from error

    with reading(path, "a TIFF stack"):
        file = tifffile.TiffFile(path)
        if not file.series:
            raise ValueError("it holds no images")
        if len(file.series) > 1:
            shapes = ", ".join(str(series.shape) for series in file.series)
            raise IsthmusError(f"{path} holds {len(file.series)} series of images, of shapes {shapes}; give it one")
        series = file.series[0]
        shape = tuple(series.shape)
        single = len(shape) == 2 or (len(shape) == 3 and "S" in series.axes)
        if series.axes == "SYX":  # the channels of one image, each for itself
            return ArraySource(np.moveaxis(series.asarray(), 0, -1)[None], name=str(path))
        if series.dataoffset is not None:
            dtype = np.dtype(file.byteorder + series.dtype.char)
            mapped = np.memmap(path, dtype, "r", series.dataoffset, (1, *shape) if single else shape)
            return mapped_source(mapped, path)
        if single or len(series.pages) != shape[0]:
            array = series.asarray()
            return ArraySource(array[None] if single else array, name=str(path))
        return _TiffPages(path, file, shape, series.dtype)


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
    with zipfile.ZipFile(path) as file:
        return any(name.rpartition("/")[2] in _ZARR_FILES for name in file.namelist())


def zarr_source(path: Path, member: str | None) -> Source:
    """A Zarr array, or the one of a Zarr group that is its only one or named X, x, images or data."""
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError("Zarr arrays", "zarr") from error

    with reading(path, "a Zarr array"):
        store = zarr.storage.ZipStore(path, mode="r") if path.is_file() else str(path)
        opened = zarr.open(store, mode="r")
        labels = None
        if isinstance(opened, zarr.Group):
            arrays = {name: array for name, array in sorted(opened.members(max_depth=None))
                      if isinstance(array, zarr.Array)}  # fmt: skip
            name, labels_name = choose_array(list(arrays), path, member)
            opened = arrays[name]
            labels = None if labels_name is None else np.asarray(arrays[labels_name][:])
        return ZarrSource(opened, name=str(path), labels=fitting_labels(labels, opened.shape[:1], path))


class ZarrSource(Source):
    """A Zarr array, of which only the blocks that are asked for are read."""

    def __init__(self, array: Any, *, name: str | None = None, labels: np.ndarray | None = None) -> None:
        check_array(array.shape, array.dtype, name or "the Zarr array")
        super().__init__(array.shape, array.dtype, name=name, labels=labels)
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
        return np.ascontiguousarray(block[back], dtype=self.dtype)
