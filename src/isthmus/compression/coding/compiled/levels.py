"""`plain_background`, compiled: a wave of pixels, each background or one of the other levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from isthmus.compression.coding.compiled.jit import compiled
from isthmus.compression.coding.compiled.networks import Network, row_of, run_layer
from isthmus.compression.coding.compiled.range_coding import TOTAL, RangeCoder, left_of, narrow, quantile
from isthmus.compression.coding.compiled.waves import Grid, pixels_of
from isthmus.compression.coding.context import Canvas
from isthmus.compression.coding.exact import UNIT, Layer, Tables
from isthmus.errors import IsthmusError

_NONE, _UNIT = np.float32(0), np.float32(UNIT)
_MOST_WEIGHT, _PER_UNIT = np.float32(4 * UNIT), np.float32(1 / UNIT)
_FURTHEST = 1 << 20  # below all logits
_BLOCK = 16  # levels whose counts are added up together


class Levels(NamedTuple):
    """What probabilities are made of.

    background : the level. present, place_step : features of what is not background, and of the distances to the sides.
    codebook : float32 (entries, 256). entry_bias : float32 (entries, hidden). hidden : how many layers these are; after
    them come those of the flag and of the levels.
    """

    background: int
    present: int
    place_step: int
    codebook: np.ndarray
    entry_bias: np.ndarray
    hidden: int


def code(
    coder: RangeCoder,
    canvas: Canvas,
    entries: np.ndarray,
    chains: Sequence[Sequence[Layer]],
    tables: Tables,
    levels: Levels,
) -> None:
    """Code the pixels on a canvas, of images with these entries of the codebook; put them there when reading."""
    grid, network, exp = Grid.of(canvas), Network.of(chains, branches=True), tables.positive.astype(np.int32)
    pixels = grid.room()
    rooms = pixels, network.room(pixels.shape[1])
    if not _code(coder, grid, grid.steps(), levels, network, exp, entries, *rooms):
        raise IsthmusError("the compressed data are damaged")


@compiled
def _code(
    coder: RangeCoder,
    grid: Grid,
    steps: int,
    levels: Levels,
    network: Network,
    exp: np.ndarray,
    entries: np.ndarray,
    pixels: np.ndarray,
    room: np.ndarray,
) -> bool:
    """Code the pixels of images that are on a canvas, or put there those that are read. False: bits are damaged."""
    most, flag = pixels.shape[1], levels.hidden
    rows, present, weights = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.float32)
    nothing, counts, sums = np.empty((0, 0), np.float32), np.empty(256, np.int32), np.empty(17, np.int32)
    flags = np.empty((most, 2), np.int16)
    for step in range(steps):
        n = pixels_of(grid, step, pixels)
        for i in range(n):
            _features(grid, pixels, i, levels, row_of(room, 0, i, network.layers[0, 0]))
            rows[i] = entries[pixels[0, i]]
        side = 0
        for layer in range(levels.hidden):
            run_layer(network, layer, n, room, side, True, nothing if layer else levels.entry_bias, rows)
            side = 1 - side
        run_layer(network, flag, n, room, side, False, nothing, rows)
        for i in range(n):
            flags[i] = row_of(room, 1 - side, i, network.layers[flag, 1])[:2]
        count = 0
        for i in range(n):
            value = _code_flag(coder, flags[i, 0], exp, grid.values[pixels[3, i]] != levels.background)
            if value < 0:
                return False
            if value:
                weights[count] = min(max(np.float32(flags[i, 1]) + _UNIT, _NONE), _MOST_WEIGHT)
                row_of(room, side, count, network.layers[flag, 0])[:] = row_of(room, side, i, network.layers[flag, 0])
                present[count], rows[count], count = i, rows[i], count + 1
        run_layer(network, flag + 1, count, room, side, False, nothing, rows)
        for i in range(count):
            logits, at = row_of(room, 1 - side, i, network.layers[flag + 1, 1]), pixels[3, present[i]]
            _set_counts(logits, levels.codebook[rows[i]], weights[i], levels.background, exp, counts, sums)
            value = _code_level(coder, counts, sums, grid.values[at])
            if value < 0:
                return False
            grid.values[at] = value
    return True


@compiled
def _features(grid: Grid, pixels: np.ndarray, i: int, levels: Levels, x: np.ndarray) -> None:
    """The features of a pixel."""
    values, offsets, at, k = grid.values, grid.offsets, pixels[3, i], len(grid.offsets)
    for place in range(k):
        value = values[np.uint64(at + offsets[place])]
        x[place] = value
        x[k + place] = levels.present if value != levels.background else 0
    height, width = grid.sizes[pixels[0, i]]
    row, column = pixels[1, i], pixels[2, i]
    x[2 * k] = min(levels.place_step * row, 255)
    x[2 * k + 1] = min(levels.place_step * column, 255)
    x[2 * k + 2] = min(levels.place_step * (height - 1 - row), 255)
    x[2 * k + 3] = min(levels.place_step * (width - 1 - column), 255)


@compiled
def _code_flag(coder: RangeCoder, logit: int, exp: np.ndarray, is_present: bool) -> int:
    """1 where a pixel is not background, 0 where it is; -1 where bits are damaged."""
    most = max(logit, 0)
    absent = exp[min(most, len(exp) - 1)]
    all_counts = np.float32(absent + exp[min(most - logit, len(exp) - 1)])
    left = left_of(1, np.float32(absent), np.float32((1 << 24) - 2) / all_counts)
    if coder.reads[0]:
        point = quantile(coder)
        if point >= TOTAL:
            return -1
        is_present = bool(point >= left)
    if is_present:
        narrow(coder, left, TOTAL)
        return 1
    narrow(coder, np.uint64(0), left)
    return 0


@compiled
def _set_counts(
    logits: np.ndarray,
    book: np.ndarray,
    weight: np.float32,
    background: int,
    exp: np.ndarray,
    counts: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Counts of the levels, int32 (256,), and of all before each block of 16, int32 (17,)."""
    factor, most, last = weight * _PER_UNIT, np.int32(-_FURTHEST), np.int32(len(exp) - 1)
    for level in range(len(counts)):
        counts[level] = np.int32(logits[level]) + np.int32(np.rint(book[level] * factor))
    counts[background] = -_FURTHEST
    for level in range(len(counts)):
        most = max(most, counts[level])
    for level in range(len(counts)):
        counts[level] = min(most - counts[level], last)
    for level in range(len(counts)):
        counts[level] = exp[np.uint32(counts[level])]
    counts[background] = 0
    sums[0] = 0
    for block in range(len(sums) - 1):
        total = np.int32(0)
        for level in range(_BLOCK):
            total += counts[_BLOCK * block + level]
        sums[block + 1] = sums[block] + total


@compiled
def _code_level(coder: RangeCoder, counts: np.ndarray, sums: np.ndarray, level: int) -> int:
    """The level of a pixel that is not background; -1 where bits are damaged."""
    scale = np.float32((1 << 24) - 256) / np.float32(sums[16])
    if coder.reads[0]:
        point = quantile(coder)
        if point >= TOTAL:
            return -1
        block = 0
        while block < 15 and left_of(_BLOCK * (block + 1), np.float32(sums[block + 1]), scale) <= point:
            block += 1
        level, below = _BLOCK * block, sums[block]
        while level < 255 and left_of(level + 1, np.float32(below + counts[level]), scale) <= point:
            below += counts[level]
            level += 1
    else:
        below = sums[level // _BLOCK]
        for before in range(level // _BLOCK * _BLOCK, level):
            below += counts[before]
    left = left_of(level, np.float32(below), scale)
    narrow(coder, left, TOTAL if level == 255 else left_of(level + 1, np.float32(below + counts[level]), scale))
    return level
