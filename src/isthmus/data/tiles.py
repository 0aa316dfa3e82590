"""Samples of any size a few at a time: arrays of one shape, and tiles of large ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from isthmus.data.base import Source
from isthmus.data.scaling import check_finite, finite_sample

_TILE_VALUES = 1 << 19  # of one tile or batch
Slices = tuple[slice, ...]


def blocks(data: Source) -> Iterator[np.ndarray]:
    """Arrays (n, ...) of samples of one shape, a few at a time; NaN are refused."""
    if not data.uniform:
        for index in range(len(data)):
            yield finite_sample(data, index)[None]
        return
    size = max(1, _TILE_VALUES // max(1, math.prod(data.shape[1:])))
    start = 0
    for chunk in data.chunks(size):
        check_finite(data, chunk, start)
        start += len(chunk)
        yield chunk


def tiles(size: Sequence[int], channels: int, step: int, reach: int) -> Iterator[tuple[Slices, Slices, Slices]]:
    """Parts of a large sample: what is read, what is kept of that, and where it goes.

    A part reads `reach` values around what is kept, and begins at a multiple of `step`: the result equals that of the
    whole sample.
    """
    d = len(size)
    side = max(step, int((_TILE_VALUES / channels) ** (1 / d)) // step * step)
    margin = -(-reach // step) * step
    if math.prod(size) * channels <= _TILE_VALUES:
        side = max(size)
    for start in itertools.product(*(range(0, n, side) for n in size)):
        ends = [min(n, a + side) for a, n in zip(start, size, strict=True)]
        low = [max(0, a - margin) for a in start]
        high = [min(n, b + margin) for b, n in zip(ends, size, strict=True)]
        read = tuple(map(slice, low, high))
        kept = tuple(slice(a - b, c - b) for a, b, c in zip(start, low, ends, strict=True))
        yield read, kept, tuple(map(slice, start, ends))
