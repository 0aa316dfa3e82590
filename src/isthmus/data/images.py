"""Images that need not have one size: what a codec or a denoiser of photographs reads."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.folders import SUFFIXES, image_paths, read_image
from isthmus.data.sources import Source, open_source
from isthmus.errors import IsthmusError


class Images(ABC):
    """A lazy sequence of images, arrays (height, width[, channels]) that may differ in shape and dtype.

    name : what it is called in messages. paths : the files, where each image is one.
    """

    name = "images"
    paths: Sequence[Path] | None = None
    feature_names: Sequence[str] | None = None  # images have none; sources of tables do

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> np.ndarray: ...

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def location(self, index: int) -> str:
        """Where an image lies, for messages."""
        return f"image {index} of {self.name}"


class _Arrays(Images):
    """Arrays in memory."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._arrays)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._arrays[index]


class _OfSource(Images):
    """The samples of a source, which have one shape."""

    def __init__(self, source: Source) -> None:
        self.source, self.name = source, source.name

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.source.take([index])[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        for chunk in self.source.chunks():
            yield from chunk

    def location(self, index: int) -> str:
        return self.source.location(index)


class ImagePaths(Images):
    """Image files, each in its own size, mode and depth."""

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.paths = self._files = list(paths)
        self.name = name

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_image(self._files[index])

    def location(self, index: int) -> str:
        return str(self._files[index])


def open_images(data: Any) -> Images:
    """Anything that holds images as `Images`.

    data : what `open_source` takes, where samples have 2 or 3 axes; a folder or file of images, which may differ in
    size; or a list of arrays (height, width[, channels]).
    """
    if isinstance(data, Images):
        return data
    if isinstance(data, str | os.PathLike):
        path = Path(data).expanduser()
        if path.is_dir() and path.suffix != ".zarr":
            return ImagePaths(image_paths(path), str(path))
        if path.is_file() and path.suffix.lower() in SUFFIXES:
            return ImagePaths([path], str(path))
    if isinstance(data, list | tuple) and data and all(hasattr(item, "shape") for item in data):
        return _Arrays([_checked(np.asarray(item), i) for i, item in enumerate(data)])
    source = open_source(data)
    if not 2 <= len(source.shape) - 1 <= 3:
        raise IsthmusError(
            f"{source.name} has samples of shape {source.shape[1:]}; images have shape (height, width) or "
            f"(height, width, channels)"
        )
    return _OfSource(source)


def _checked(array: np.ndarray, index: int) -> np.ndarray:
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise IsthmusError(
            f"image {index} has shape {array.shape}; images have shape (height, width) or (height, width, channels)"
        )
    return array
