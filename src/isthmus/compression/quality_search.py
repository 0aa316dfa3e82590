"""Which quality of a lossy codec meets a target."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from isthmus.compression.coding.archive import Writer
from isthmus.compression.coding.chunks import Group, Member, encode, grouped
from isthmus.compression.coding.protocols import LossyCoding
from isthmus.data.sources import Source
from isthmus.errors import IsthmusError
from isthmus.spec import is_real

_SAMPLES, _VALUES = 2_000, 1 << 23  # that a target is measured on, at most
_GRID = 2047  # qualities that are tried
_HEADER = 15  # bytes of an archive that do not grow with what is in it


def place_of(quality: float) -> float:
    """A quality from 1 to 100 on the scale from 0 to 1 that a lossy coding uses."""
    if not (is_real(quality) and 1 <= quality <= 100):
        raise IsthmusError(f"quality (={quality!r}) must be a number from 1 to 100")
    return (quality - 1) / 99


def find_quality(coding: LossyCoding, images: Source, name: str, target: float) -> float:
    """The quality from 1 to 100 that meets a target; `name` is "target_mse" or "target_bytes"."""
    if not (is_real(target) and target > 0):
        raise IsthmusError(f"{name} (={target!r}) must be a number above 0")
    groups, share = _some(coding, images)
    if name == "target_mse":
        place = _search(lambda place: -_mse(coding, groups, place), -target, f"mean squared error of {target:g}")
    else:
        place = _search(lambda place: _size(coding, groups, place, share), target, f"size of {target:,.0f} bytes")
    return 1 + 99 * place


def _some(coding: LossyCoding, images: Source) -> tuple[list[Group], float]:
    """Groups of samples to measure on, and their share of all."""
    order = np.sort(np.random.default_rng(0).permutation(len(images))[:_SAMPLES])
    chosen, values = [], 0
    for index in order.tolist():
        image = images[index]
        if not coding.takes(image.shape, image.dtype):
            raise IsthmusError(
                f"{images.location(index)} of shape {image.shape} and {image.dtype} does not fit this lossy codec, so "
                f"no target can be met; give a quality"
            )
        chosen.append(image)
        values += image.size
        if values >= _VALUES:
            break
    return list(grouped(Member(image) for image in chosen)), len(chosen) / len(images)


def _mse(coding: LossyCoding, groups: list[Group], place: float) -> float:
    squares, count = 0.0, 0
    for group in groups:
        assert group.images is not None
        top = float(np.iinfo(group.images.dtype).max)
        difference = (coding.reconstruct(group.images, place) - group.images.astype(np.float64)) / top
        squares, count = squares + float((difference**2).sum()), count + difference.size
    return squares / count


def _size(coding: LossyCoding, groups: list[Group], place: float, share: float) -> float:
    file = io.BytesIO()
    writer = Writer(file, bytes(8))
    for group in groups:
        for chunk in encode(group, coding, place):
            writer.add(chunk)
    writer.finish({})
    return _HEADER + (file.tell() - _HEADER) / share


def _search(measure: Callable[[float], float], target: float, what: str) -> float:
    """The quality whose measure is nearest to the target; `measure` grows with it."""
    low, high = 0, _GRID
    ends = measure(0.0), measure(1.0)
    if not min(ends) <= target <= max(ends):
        nearest = ends[0] if target < ends[0] else ends[1]
        raise IsthmusError(f"no quality of this codec gives a {what}; the nearest is {abs(nearest):.4g}")
    values = {low: ends[0], high: ends[1]}
    while high - low > 1:
        middle = (low + high) // 2
        values[middle] = measure(middle / _GRID)
        low, high = (middle, high) if values[middle] <= target else (low, middle)
    return min((low, high), key=lambda number: abs(values[number] - target)) / _GRID
