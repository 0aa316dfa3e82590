"""Which quality of a lossy codec meets a target."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from isthmus.compression.coding.archive import Writer
from isthmus.compression.coding.chunks import Group, Member, encode, grouped
from isthmus.compression.coding.protocols import LossyCoding
from isthmus.data.images import Images, open_images
from isthmus.errors import IsthmusError
from isthmus.spec import is_real

_SAMPLES, _VALUES = 2_000, 1 << 23  # that a target is measured on, at most
_GRID = 2047  # places on the dial that are tried
_HEADER = 15  # bytes of an archive that do not grow with what is in it


def find_dial(coding: LossyCoding, X: Any, wanted: Mapping[str, float]) -> float:
    """The place from 0 to 1 that one of "quality" (1 to 100), "target_mse" or "target_bytes" asks for."""
    if len(wanted) != 1:
        raise IsthmusError(f"give one of quality, target_mse and target_bytes, not {' and '.join(wanted)}")
    (name, value), *_ = wanted.items()
    if not (is_real(value) and value > 0):
        raise IsthmusError(f"{name} (={value!r}) must be a number above 0")
    if name == "quality":
        if not 1 <= value <= 100:
            raise IsthmusError(f"quality (={value!r}) must be a number from 1 to 100")
        return (value - 1) / 99
    groups, share = _some(coding, open_images(X))
    if name == "target_mse":
        return _search(lambda dial: -_mse(coding, groups, dial), -value, f"mean squared error of {value:g}")
    return _search(lambda dial: _size(coding, groups, dial, share), value, f"size of {value:,.0f} bytes")


def _some(coding: LossyCoding, images: Images) -> tuple[list[Group], float]:
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


def _mse(coding: LossyCoding, groups: list[Group], dial: float) -> float:
    squares, count = 0.0, 0
    for group in groups:
        assert group.images is not None
        top = float(np.iinfo(group.images.dtype).max)
        difference = (coding.reconstruct(group.images, dial) - group.images.astype(np.float64)) / top
        squares, count = squares + float((difference**2).sum()), count + difference.size
    return squares / count


def _size(coding: LossyCoding, groups: list[Group], dial: float, share: float) -> float:
    file = io.BytesIO()
    writer = Writer(file, bytes(8))
    for group in groups:
        for chunk in encode(group, coding, dial):
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
