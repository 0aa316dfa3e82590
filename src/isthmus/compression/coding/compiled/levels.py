"""`plain_background`, compiled: a wave of pixels, each background or one of the other levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from isthmus.compression.coding.compiled.jit import compiled, inlined
from isthmus.compression.coding.compiled.networks import Network, Room, run_layer
from isthmus.compression.coding.compiled.products import LANES, put_marks, put_values
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
    missing = int(network.layers[0, 1]) - levels.entry_bias.shape[1]
    levels = levels._replace(entry_bias=np.pad(levels.entry_bias, ((0, 0), (0, missing))))
    if not _code(coder, grid, grid.runs(), grid.steps(), levels, network, exp, entries, *rooms):
        raise IsthmusError("the compressed data are damaged")


@compiled
def _code(
    coder: RangeCoder,
    grid: Grid,
    runs: np.ndarray,
    steps: int,
    levels: Levels,
    network: Network,
    exp: np.ndarray,
    entries: np.ndarray,
    pixels: np.ndarray,
    room: Room,
) -> bool:
    """Code the pixels of images that are on a canvas, or put there those that are read. False: bits are damaged."""
    most, flag = pixels.shape[1], levels.hidden
    rows, present, weights = np.empty(len(room.none), np.int64), np.empty(most, np.int64), np.empty(most, np.float32)
    counts, sums = np.empty(256, np.int32), np.empty(17, np.int32)
    rows[:] = 0
    for step in range(steps):
        n, side = pixels_of(grid, step, pixels), 0
        _features(grid, runs, pixels, n, levels, network.layers[0, 0], room.features)
        for i in range(n):
            rows[i] = entries[pixels[0, i]]
        run_layer(network, 0, n, room.features, room.hidden[0], levels.entry_bias, rows)
        for layer in range(1, levels.hidden):
            run_layer(network, layer, n, room.hidden[side], room.hidden[1 - side], network.nothing, room.none)
            side = 1 - side
        hidden = room.hidden[side]
        run_layer(network, flag, n, hidden, room.outputs, network.nothing, room.none)
        count, inside, apart = 0, network.layers[flag, 0], network.layers[flag, 1]
        for i in range(n):
            logit, weight = room.outputs[i * apart], np.float32(room.outputs[i * apart + 1])
            value = _code_flag(coder, logit, exp, grid.values[pixels[3, i]] != levels.background)
            if value < 0:
                return False
            if value:
                weights[count] = min(max(weight + _UNIT, _NONE), _MOST_WEIGHT)
                for j in range(inside):
                    hidden[count * inside + j] = hidden[i * inside + j]
                present[count], rows[count], count = i, rows[i], count + 1
        run_layer(network, flag + 1, count, hidden, room.outputs, network.nothing, room.none)
        apart = network.layers[flag + 1, 1]
        for i in range(count):
            at = pixels[3, present[i]]
            _set_counts(room.outputs, i * apart, levels, rows[i], weights[i], exp, counts, sums)
            value = _code_level(coder, counts, sums, grid.values[at])
            if value < 0:
                return False
            grid.values[at] = value
    return True


@compiled
def _features(
    grid: Grid, runs: np.ndarray, pixels: np.ndarray, n: int, levels: Levels, width: int, x: np.ndarray
) -> None:
    """The features of n pixels, `width` apart in x; what is put behind those of a pixel is not to be used."""
    k, background, mark = len(grid.offsets), np.int32(levels.background), np.int32(levels.present)
    for i in range(n):
        at, to = pixels[3, i], i * width
        for run in range(len(runs)):
            start, length = runs[run, 0], runs[run, 1]
            for j in range(0, length, LANES):
                put_values(x, to + j, grid.values, at + start + j)
            to += length
        for run in range(len(runs)):
            start, length = runs[run, 0], runs[run, 1]
            for j in range(0, length, LANES):
                put_marks(x, to + j, grid.values, at + start + j, background, mark)
            to += length
        to = i * width + 2 * k
        height, columns = grid.sizes[pixels[0, i], 0], grid.sizes[pixels[0, i], 1]
        row, column = pixels[1, i], pixels[2, i]
        x[to] = min(levels.place_step * row, 255)
        x[to + 1] = min(levels.place_step * column, 255)
        x[to + 2] = min(levels.place_step * (height - 1 - row), 255)
        x[to + 3] = min(levels.place_step * (columns - 1 - column), 255)


@inlined
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


@inlined
def _set_counts(
    logits: np.ndarray,
    at: int,
    levels: Levels,
    entry: int,
    weight: np.float32,
    exp: np.ndarray,
    counts: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Counts of the levels, int32 (256,), and of all before each block of 16, int32 (17,); logits begin `at`."""
    factor, most, last = weight * _PER_UNIT, np.int32(-_FURTHEST), np.int32(len(exp) - 1)
    background, book = levels.background, levels.codebook
    for level in range(len(counts)):
        counts[level] = np.int32(logits[at + level]) + np.int32(np.rint(book[entry, level] * factor))
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


@inlined
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
