"""Levels coded with mixtures of logistic distributions: what `exact.Mixture` does, many at once.

A digit's place in the range is where it begins and where the next one does. Both are made for all mixtures together:
of the digit that is written or, when reading, of those around the one that is probable; others are looked for one by
one. All arrays have the mixtures last: loops over them become arithmetic on vectors.
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
_FIRST, _LAST = np.int32(0), np.int32(16)  # digits begin at the one, and end at the other


class Logistics(NamedTuple):
    """The tables. exp, inverse_scale : float32. logistic : float32 (2 t + 1,)."""

    exp: np.ndarray
    logistic: np.ndarray
    inverse_scale: np.ndarray

    @classmethod
    def of(cls, tables: Tables) -> Logistics:
        """Those of a model."""
        return cls(tables.positive, tables.logistic.astype(np.float32), tables.inverse_scale.copy())


class Mixtures(NamedTuple):
    """Room for n mixtures, and for the levels that are coded with them.

    centres : float32 (n,), the levels that means are relative to. weights, means, slopes : float32 (components, n).
    ends : float32 (2, n), counts before the first of 16 digits and after the last. scale : float32 (n,), 2^24 by what
    is between. guesses : int32 (n,), levels as they may be. bases : int32 (n,), the levels of digit 0. digits, places :
    int32 (n,). below : float32 (2 + 2 · reach, n), counts before the digits from `digits - reach` on. left : int32, the
    same, where these begin in 2^24. levels : int64 (n,).
    """

    centres: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    slopes: np.ndarray
    ends: np.ndarray
    scale: np.ndarray
    guesses: np.ndarray
    bases: np.ndarray
    digits: np.ndarray
    places: np.ndarray
    below: np.ndarray
    left: np.ndarray
    levels: np.ndarray

    @classmethod
    def room(cls, n: int, components: int, reach: int) -> Mixtures:
        """Room for n of them. reach : how far from the probable ones lower digits are looked for together."""
        weights, means, slopes = (np.empty((components, n), np.float32) for _ in range(3))
        centres, ends, scale = np.empty(n, np.float32), np.empty((2, n), np.float32), np.empty(n, np.float32)
        guesses, bases, digits, places = (np.empty(n, np.int32) for _ in range(4))
        below, left = np.empty((2 + 2 * reach, n), np.float32), np.empty((2 + 2 * reach, n), np.int32)
        numbers = guesses, bases, digits, places
        return cls(centres, weights, means, slopes, ends, scale, *numbers, below, left, np.empty(n, np.int64))


@compiled
def set_mixtures(
    mixtures: Mixtures, n: int, each: int, outputs: np.ndarray, apart: int, components: int, tables: Logistics
) -> None:
    """Mixtures of n rows of a network's outputs, `apart` numbers from one to the next, `each` mixtures of a row.

    A row is logits, then means around `centres`, then scales.
    """
    for i in range(n * each):
        at = i // each * apart + i % each * components
        most, best, total, all_weights = np.int64(outputs[at]), 0, _NONE, _NONE
        for c in range(1, components):
            if outputs[at + c] > most:
                most, best = np.int64(outputs[at + c]), c
        for c in range(components):
            weight = tables.exp[np.uint64(min(int(most - outputs[at + c]), len(tables.exp) - 1))]
            mixtures.weights[c, i] = weight
            total += weight
        for c in range(components):
            weight = _ONE + np.floor(mixtures.weights[c, i] * _SPREAD / (total / _COUNT))
            mixtures.weights[c, i] = weight
            all_weights += weight
            place = at + each * components + c
            mixtures.means[c, i] = np.float32(outputs[place]) + _SUBLEVEL * mixtures.centres[i]
            number = min(max(int(outputs[place + each * components]), 0), len(tables.inverse_scale) - 1)
            mixtures.slopes[c, i] = tables.inverse_scale[np.uint64(number)]
        mixtures.ends[0, i], mixtures.ends[1, i] = all_weights * tables.logistic[0], all_weights * tables.logistic[-1]
        mixtures.guesses[i] = min(max(np.int32(mixtures.means[best, i] + _HALF) // np.int32(SUBLEVEL), 0), 255)


@compiled
def code_levels(coder: RangeCoder, mixtures: Mixtures, n: int, components: int, tables: Logistics) -> bool:
    """n levels: all upper digits, then all lower ones; found where they are read. False: bits are damaged."""
    levels, guesses, bases, digits = mixtures.levels, mixtures.guesses, mixtures.bases, mixtures.digits
    reach = 0 if not coder.reads[0] else len(mixtures.below) // 2 - 1
    for i in range(n):
        if not coder.reads[0]:
            guesses[i] = levels[i]
        bases[i], digits[i] = 0, guesses[i] >> 4
    _begin(mixtures, n, components, 16, 0, tables.logistic)
    if not _code_digits(coder, mixtures, n, components, 16, 0, tables.logistic):
        return False
    for i in range(n):
        bases[i] = digits[i] << 4
        digits[i] = min(max(guesses[i] - bases[i], 0), 15)
    _begin(mixtures, n, components, 1, reach, tables.logistic)
    if not _code_digits(coder, mixtures, n, components, 1, reach, tables.logistic):
        return False
    for i in range(n):
        levels[i] = bases[i] + digits[i]
    return True


@compiled
def _begin(mixtures: Mixtures, n: int, components: int, step: int, reach: int, logistic: np.ndarray) -> None:
    """Where the digits begin that are at most `reach` before or after `digits`, and the ones after these.

    step : levels between two digits.
    """
    places, digits, bases, ends, scale = mixtures.places, mixtures.digits, mixtures.bases, mixtures.ends, mixtures.scale
    middle, by = np.int32(len(logistic) // 2), np.int32(step)
    low, high = np.float32(-middle), np.float32(middle)
    for i in range(n):
        scale[i] = _FREE / (ends[1, i] - ends[0, i] + np.float32(16 * step))
    for e in range(2 + 2 * reach):
        row, left, away = mixtures.below[e], mixtures.left[e], np.int32(e - reach)
        for i in range(n):
            row[i] = _NONE
        for c in range(components):
            mean, slope, weight = mixtures.means[c], mixtures.slopes[c], mixtures.weights[c]
            for i in range(n):
                level = bases[i] + by * min(max(digits[i] + away, _FIRST), _LAST)
                places[i] = np.int32(min(max(np.rint((_edge(level) - mean[i]) * slope[i]), low), high)) + middle
            for i in range(n):
                row[i] += logistic[np.uint32(places[i])] * weight[i]
        for i in range(n):
            left[i] = _left(row[i], ends[0, i], scale[i], min(max(digits[i] + away, _FIRST), _LAST), by)


@compiled
def _edge(level: np.int32) -> np.float32:
    """Where a level begins, in 1/16."""
    edge = np.float32(level) * _SUBLEVEL - _HALF
    return -_FAR if level == 0 else (_FAR if level == 256 else edge)


@compiled
def _left(count: np.float32, least: np.float32, scale: np.float32, digit: np.int32, step: np.int32) -> np.int32:
    """Where in 2^24 a digit begins that has so much before it."""
    left = np.int32((count - least + np.float32(step * digit)) * scale) + digit
    return _FIRST if digit == _FIRST else (_TOTAL if digit == _LAST else left)


@compiled
def _begin_one(
    mixtures: Mixtures, i: int, components: int, step: int, digit: int, logistic: np.ndarray
) -> tuple[np.float32, np.int32]:
    """What `_begin` makes for one digit of one mixture: what is before it, and where it begins."""
    middle, count, by = len(logistic) // 2, _NONE, np.int32(step)
    edge = _edge(mixtures.bases[i] + by * np.int32(digit))
    for c in range(components):
        place = np.rint((edge - mixtures.means[c, i]) * mixtures.slopes[c, i])
        place = min(max(place, np.float32(-middle)), np.float32(middle))
        count += logistic[np.uint32(np.int32(place) + middle)] * mixtures.weights[c, i]
    return count, _left(count, mixtures.ends[0, i], mixtures.scale[i], np.int32(digit), by)


@compiled
def _code_digits(
    coder: RangeCoder, mixtures: Mixtures, n: int, components: int, step: int, reach: int, logistic: np.ndarray
) -> bool:
    """Digits, one after the other; then `ends` are those of the digits. False where bits are damaged."""
    below, left, ends, digits = mixtures.below, mixtures.left, mixtures.ends, mixtures.digits
    for i in range(n):
        e = reach
        if coder.reads[0]:
            point = quantile(coder)
            if point >= TOTAL:
                return False
            asked, e = np.int32(point), -1
            for row in range(2 + 2 * reach):
                e += left[row, i] <= asked
        first = digits[i] - reach
        if 0 <= e <= 2 * reach:
            digit, low, high, start, end = first + e, below[e, i], below[e + 1, i], left[e, i], left[e + 1, i]
        elif e < 0:
            digit, high, end = max(first, 0) - 1, below[0, i], left[0, i]
            low, start = _begin_one(mixtures, i, components, step, digit, logistic)
            while start > asked:
                digit, high, end = digit - 1, low, start
                low, start = _begin_one(mixtures, i, components, step, digit, logistic)
        else:
            digit, low, start = first + e, below[e, i], left[e, i]
            high, end = _begin_one(mixtures, i, components, step, digit + 1, logistic)
            while end <= asked:
                digit, low, start = digit + 1, high, end
                high, end = _begin_one(mixtures, i, components, step, digit + 1, logistic)
        digits[i], ends[0, i], ends[1, i] = digit, low, high
        narrow(coder, np.uint64(start), np.uint64(end))
    return True
