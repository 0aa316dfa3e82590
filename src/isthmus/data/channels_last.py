"""Signals, images and volumes that need not have one size, as arrays (*spatial, channels) and back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.images import Images
from isthmus.data.sample_files import SampleFiles, sample_paths
from isthmus.data.scaling import check_finite
from isthmus.data.sources import Source, open_source
from isthmus.errors import IsthmusError


def open_samples(X: Any) -> Images | Source:
    """A source of samples of one shape, or images that may differ."""
    if isinstance(X, Images | Source):
        return X
    if isinstance(X, str | os.PathLike):
        path = Path(X).expanduser()
        if path.is_dir() and path.suffix != ".zarr":
            return SampleFiles(sample_paths(path), str(path))
    if is_list_of_arrays(X):
        return _Samples([np.asarray(item) for item in X])
    return open_source(X)


def is_list_of_arrays(X: Any) -> bool:
    """Whether these are arrays that may differ in shape."""
    return isinstance(X, list | tuple) and len(X) > 0 and all(hasattr(item, "shape") for item in X)


def is_labels(y: Any) -> bool:
    """Whether y has one label a sample, and not a sample."""
    if isinstance(y, str | os.PathLike | Images | Source):
        return False
    if isinstance(y, list | tuple):
        return all(np.ndim(item) == 0 for item in y)
    return (y.ndim if hasattr(y, "ndim") else np.asarray(y).ndim) == 1


class _Samples(Images):
    """Arrays in memory that may differ in shape."""

    name = "list"

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = arrays
        for index, array in enumerate(arrays):
            if array.dtype.kind not in "biuf" or not 1 <= array.ndim <= 4 or 0 in array.shape:
                raise IsthmusError(f"sample {index} has shape {array.shape} and {array.dtype}; numbers are needed")

    def __len__(self) -> int:
        return len(self._arrays)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._arrays[index]

    def location(self, index: int) -> str:
        return f"sample {index}"


def sample_at(data: Images | Source, index: int) -> np.ndarray:
    """One sample, checked."""
    sample = data[index] if isinstance(data, Images) else data.take([index])[0]
    check_finite(data, sample[None], index)
    return sample


def as_plane(sample: np.ndarray, axis: int | None) -> np.ndarray:
    """A sample in the user's layout as (*spatial, channels); or several, (n, *spatial, channels)."""
    return sample[..., None] if axis is None else np.moveaxis(sample, axis, -1)


def from_planes(planes: np.ndarray, axis: int | None) -> np.ndarray:
    """(n, *spatial, channels) back to the user's layout; a single channel that there was no axis for goes."""
    if axis is None:
        return planes[..., 0]
    return np.ascontiguousarray(np.moveaxis(planes, -1, axis + 1))


def has_alpha(planes: np.ndarray) -> bool:
    """Whether the last of four channels of an 8- or 16-bit image says how transparent it is."""
    return planes.shape[-1] == 4 and planes.dtype in (np.uint8, np.uint16)


def grey_if_equal(planes: np.ndarray) -> np.ndarray:
    """One channel in place of three that are the same: a grey image in a format that knows colours only."""
    if planes.shape[-1] == 3 and all(np.array_equal(planes[..., 0], planes[..., i]) for i in (1, 2)):
        return planes[..., :1]
    return planes


def unit_of(dtype: np.dtype) -> float:
    """The user's unit in the data's own: the range of integers, 1 for floats and booleans.

    And 1 for integers of 64 bits: nothing fills their range, they are NumPy's default for whole numbers.
    """
    if np.dtype(dtype).kind not in "iu" or np.dtype(dtype).itemsize == 8:
        return 1.0
    limits = np.iinfo(dtype)
    return float(limits.max) - float(limits.min)
