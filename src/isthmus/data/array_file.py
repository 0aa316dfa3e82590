"""A .npy file as one sample: a signal where it has one axis, else an image, a volume or a signal with channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from isthmus.data.files import read_npy
from isthmus.data.reading import reading
from isthmus.data.sample_file import Clean, SampleFile, collected
from isthmus.errors import IsthmusError


class ArrayFile(SampleFile):
    """An array of numbers; an array with a single axis is a signal (length, 1)."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with reading(path, "a .npy file"), path.open("rb") as file:
            self._array = read_npy(file, path.stat().st_size)
        if self._array.dtype.kind not in "biuf" or 0 in self._array.shape or not self._array.ndim:
            raise IsthmusError(f"{path} holds {self._array.dtype} of shape {self._array.shape}; numbers are needed")
        self.signal = self._array.ndim == 1

    def samples(self) -> Iterator[np.ndarray]:
        return iter(collected(self._cleaned))

    def rewrite(self, target: Path, clean: Clean) -> None:
        new = self._cleaned(clean).reshape(self._array.shape)
        with target.open("wb") as file:
            np.save(file, np.asarray(new, order="F") if self._array.flags.fnc else new, allow_pickle=False)

    def layout(self, parts: Iterator[np.ndarray]) -> np.ndarray:
        return next(parts, np.zeros(self._array.shape, np.float32)).reshape(self._array.shape)

    def _cleaned(self, clean: Clean) -> np.ndarray:
        values = self._array.reshape(len(self._array), -1) if self.signal else self._array
        return self._without_nan(values, clean, channels=self.signal).astype(self._array.dtype, copy=False)
