"""Levels coded with mixtures of logistic distributions: what `exact.Mixture` does, many at once.

All arrays have the mixtures last: loops over them become arithmetic on vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isthmus.compression.coding.compiled.jit import compiled
from isthmus.compression.coding.compiled.range_coding import TOTAL, RangeCoder, narrow, quantile
from isthmus.compression.coding.exact import COUNT, SUBLEVEL, Tables

_FAR = np.float32(1 << 22)
_SUBLEVEL, _HALF = np.float32(SUBLEVEL), np.float32(SUBLEVEL // 2)
_SPREAD, _COUNT = np.float32(252 / COUNT), np.float32(COUNT)
_TOTAL, _FREE = np.int32(TOTAL), np.float32((1 << 24) - 16)
_NONE, _ONE = np.float32(0), np.float32(1)


class Logistics(NamedTuple):
    """The tables. exp, inverse_scale : float32. logistic : float32 (2 t + 1,)."""

    exp: np.ndarray
    logistic: np.ndarray
    inverse_scale: np.ndarray

    @classmethod
    def of(cls, tables: Tables) -> Logistics:
        """Of a model."""
        return cls(tables.positive, tables.logistic.astype(np.float32), tables.inverse_scale.copy())


class Mixtures(NamedTuple):
    """Room for n mixtures, and for the levels that are coded with them.

    weights, means, slopes : float32 (components, n). below : float32 (17, n), counts of all digits before each of 16.
    left : int32 (17, n), where each of them begins in 2^24. scale : float32 (n,), 2^24 by all counts. digits, places :
    int32 (n,). levels : int64 (n,).
    """

    weights: np.ndarray
    means: np.ndarray
    slopes: np.ndarray
    below: np.ndarray
    left: np.ndarray
    scale: np.ndarray
    digits: np.ndarray
    places: np.ndarray
    levels: np.ndarray

    @classmethod
    def room(cls, n: int, components: int) -> Mixtures:
        """Room for n of them."""
        weights, means, slopes = (np.empty((components, n), np.float32) for _ in range(3))
        below, left, scale = np.empty((17, n), np.float32), np.empty((17, n), np.int32), np.empty(n, np.float32)
        digits, places, levels = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int64)
        return cls(weights, means, slopes, below, left, scale, digits, places, levels)


@compiled
def set_mixture(
    mixtures: Mixtures, i: int, outputs: np.ndarray, components: int, apart: int, centre: np.float32, tables: Logistics
) -> None:
    """Mixture i of a network's outputs: logits, `apart` numbers later means, and as much later scales."""
    most, total = np.int64(outputs[0]), _NONE
    for c in range(1, components):
        most = max(most, np.int64(outputs[c]))
    for c in range(components):
        weight = tables.exp[np.uint64(min(int(most - outputs[c]), len(tables.exp) - 1))]
        mixtures.weights[c, i] = weight
        total += weight
    for c in range(components):
        mixtures.weights[c, i] = _ONE + np.floor(mixtures.weights[c, i] * _SPREAD / (total / _COUNT))
        mixtures.means[c, i] = np.float32(outputs[apart + c]) + _SUBLEVEL * centre
        number = min(max(int(outputs[2 * apart + c]), 0), len(tables.inverse_scale) - 1)
        mixtures.slopes[c, i] = tables.inverse_scale[np.uint64(number)]


@compiled
def _divide(mixtures: Mixtures, n: int, components: int, step: int, logistic: np.ndarray) -> None:
    """Where 16 digits begin in 2^24: of levels 16 apart, or of those one apart from 16 · digit on."""
    below, left, places, digits = mixtures.below, mixtures.left, mixtures.places, mixtures.digits
    middle = len(logistic) // 2
    low, high = np.float32(-middle), np.float32(middle)
    fine = np.float32(0 if step == 16 else 16)
    for e in range(17):
        row = below[e]
        for i in range(n):
            row[i] = _NONE
        for c in range(components):
            mean, slope, weight = mixtures.means[c], mixtures.slopes[c], mixtures.weights[c]
            for i in range(n):
                level = fine * np.float32(digits[i]) + np.float32(step * e)
                edge = level * _SUBLEVEL - _HALF
                edge = -_FAR if level == 0 else (_FAR if level == 256 else edge)
                places[i] = np.int32(min(max(np.rint((edge - mean[i]) * slope[i]), low), high)) + np.int32(middle)
            for i in range(n):
                row[i] += logistic[np.uint32(places[i])] * weight[i]
    scale, least = mixtures.scale, below[0]
    for i in range(n):
        scale[i] = _FREE / (below[16, i] - least[i] + np.float32(16 * step))
    for e in range(1, 16):
        count, to = below[e], left[e]
        for i in range(n):
            to[i] = np.int32((count[i] - least[i] + np.float32(step * e)) * scale[i]) + np.int32(e)
    for i in range(n):
        left[0, i], left[16, i] = 0, _TOTAL


@compiled
def _code_digits(coder: RangeCoder, mixtures: Mixtures, n: int) -> bool:
    """Digits, one after the other; False where bits are damaged."""
    left, digits = mixtures.left, mixtures.digits
    for i in range(n):
        if coder.reads[0]:
            point = quantile(coder)
            if point >= TOTAL:
                return False
            asked, digit = np.int32(point), np.int32(0)
            for s in range(1, 16):
                digit += np.int32(left[s, i] <= asked)
            digits[i] = digit
        digit = digits[i]
        narrow(coder, np.uint64(left[digit, i]), np.uint64(left[digit + 1, i]))
    return True


@compiled
def code_levels(coder: RangeCoder, mixtures: Mixtures, n: int, components: int, tables: Logistics) -> bool:
    """n levels: all upper digits, then all lower ones; found where they are read. False: bits are damaged."""
    levels, digits = mixtures.levels, mixtures.digits
    for i in range(n):
        digits[i] = levels[i] >> 4
    _divide(mixtures, n, components, 16, tables.logistic)
    if not _code_digits(coder, mixtures, n):
        return False
    _divide(mixtures, n, components, 1, tables.logistic)
    for i in range(n):
        high = digits[i]
        digits[i], levels[i] = levels[i] & 15, 16 * high
    if not _code_digits(coder, mixtures, n):
        return False
    for i in range(n):
        levels[i] += digits[i]
    return True
