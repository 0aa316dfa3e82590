"""Samples that need not have one size, whole or in crops, as batches of tensors."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor


class CropFeed:
    """Samples (*spatial, channels) as float32 tensors (N, channels, *spatial), multiplied by `scale`.

    side : size of the crops, a part of every sample; None for whole samples of one size. stride : from one crop to the
    next.
    """

    def __init__(self, samples: Sequence[np.ndarray], side: Sequence[int] | None, scale: float, stride: int) -> None:
        self._samples, self._side, self._scale = samples, side, np.float32(scale)
        self._places: np.ndarray | None = None
        if side is not None:
            starts = [
                itertools.product(*(_starts(n, length, stride) for n, length in zip(sample.shape, side, strict=False)))
                for sample in samples
            ]
            self._places = np.array([(i, *start) for i, found in enumerate(starts) for start in found])

    def __len__(self) -> int:
        return len(self._samples) if self._places is None else len(self._places)

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """One batch for each array of indices."""
        for indices in order:
            block = np.stack([self._crop(index) for index in indices.tolist()])
            yield torch.from_numpy(np.moveaxis(block, -1, 1).astype(np.float32) * self._scale)

    def _crop(self, index: int) -> np.ndarray:
        if self._places is None or self._side is None:
            return self._samples[index]
        number, *start = self._places[index]
        crop: np.ndarray = self._samples[number][tuple(slice(a, a + n) for a, n in zip(start, self._side, strict=True))]
        return crop


def _starts(size: int, side: int, stride: int) -> list[int]:
    return [*range(0, size - side, stride), size - side]
