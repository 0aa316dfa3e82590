"""`codes`, compiled: a wave of positions, each with many channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from isthmus.compression.coding.compiled.jit import compiled
from isthmus.compression.coding.compiled.mixtures import Logistics, Mixtures, code_levels, set_mixture
from isthmus.compression.coding.compiled.networks import Network, row_of, run_chain
from isthmus.compression.coding.compiled.range_coding import RangeCoder
from isthmus.compression.coding.compiled.waves import Grid, pixels_of
from isthmus.compression.coding.context import Canvas
from isthmus.compression.coding.exact import Layer, Tables
from isthmus.errors import IsthmusError


class Codes(NamedTuple):
    """What the features are made of.

    groups : int64, where each group of channels ends. quality : its feature. most : what codes are cut off at.
    middle : the symbol of 0. reach, place_step : of the distances to the sides.
    """

    groups: np.ndarray
    quality: int
    most: int
    middle: int
    reach: int
    place_step: int


def code(
    canvas: Canvas, networks: Sequence[Sequence[Layer]], tables: Tables, codes: Codes, data: bytes | None
) -> bytes:
    """The bytes of what is on a canvas; with `data` these bytes are given, and put what they hold on the canvas."""
    grid, network = Grid.of(canvas), Network.of(networks)
    coder = RangeCoder.writing(2 * grid.channels * grid.cells()) if data is None else RangeCoder.reading(data)
    pixels = grid.room()
    most = pixels.shape[1]
    sizes = np.diff(codes.groups, prepend=0)
    components = network.layers[network.ends - 1, 2] // (3 * sizes)
    rooms = pixels, network.room(most), Mixtures.room(most * int(sizes.max()), int(components.max()))
    if not _code(coder, grid, grid.steps(), codes, network, Logistics.of(tables), *rooms):
        raise IsthmusError("the compressed data are damaged")
    return coder.finish() if data is None else data


@compiled
def _code(
    coder: RangeCoder,
    grid: Grid,
    steps: int,
    codes: Codes,
    network: Network,
    tables: Logistics,
    pixels: np.ndarray,
    room: np.ndarray,
    mixtures: Mixtures,
) -> bool:
    """Code the positions of grids that are on a canvas, or put there those that are read. False: bits are damaged."""
    levels, values, middle = mixtures.levels, grid.values, np.float32(codes.middle)
    for step in range(steps):
        n = pixels_of(grid, step, pixels)
        for group in range(len(network.ends)):
            start, end = codes.groups[group - 1] if group else 0, codes.groups[group]
            size, last = end - start, network.ends[group] - 1
            width = network.layers[network.ends[group - 1] if group else 0, 0]
            components = network.layers[last, 2] // (3 * size)
            for i in range(n):
                _features(grid, pixels, i, codes, start, row_of(room, 0, i, width))
            side, apart = run_chain(network, group, n, room)
            for i in range(n):
                outputs = row_of(room, side, i, apart)
                for c in range(size):
                    number = i * size + c
                    set_mixture(
                        mixtures, number, outputs[c * components :], components, size * components, middle, tables
                    )
                    levels[number] = values[pixels[3, i] + start + c] + codes.middle
            if not code_levels(coder, mixtures, n * size, components, tables):
                return False
            if coder.reads[0]:
                for i in range(n):
                    for c in range(size):
                        values[pixels[3, i] + start + c] = levels[i * size + c] - codes.middle
    return True


@compiled
def _features(grid: Grid, pixels: np.ndarray, i: int, codes: Codes, known: int, x: np.ndarray) -> None:
    """The features of a position of which `known` channels are known."""
    values, offsets, at = grid.values, grid.offsets, pixels[3, i]
    for place in range(len(offsets)):
        x[place] = min(max(values[np.uint64(at + offsets[place])], -codes.most), codes.most)
    place = len(offsets)
    x[place] = codes.quality
    x[place + 1] = codes.place_step * min(pixels[1, i], codes.reach)
    x[place + 2] = codes.place_step * min(pixels[2, i], codes.reach)
    x[place + 3] = codes.place_step * min(grid.sizes[pixels[0, i], 1] - 1 - pixels[2, i], codes.reach)
    place += 4
    for c in range(grid.channels):
        x[place + c] = min(max(values[at + c], -codes.most), codes.most) if c < known else 0
