"""`codes`, compiled: a wave of positions, each with many channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from isthmus.compression.coding.compiled.jit import compiled
from isthmus.compression.coding.compiled.mixtures import Logistics, Mixtures, code_levels, set_mixtures
from isthmus.compression.coding.compiled.networks import Network, Room, run_chain
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
    grid, network = Grid.of(canvas), Network.of(networks, zero=codes.most)
    coder = RangeCoder.writing(2 * grid.channels * grid.cells()) if data is None else RangeCoder.reading(data)
    pixels = grid.room()
    most = pixels.shape[1]
    sizes = np.diff(codes.groups, prepend=0)
    components = network.layers[network.ends - 1, 2] // (3 * sizes)
    rooms = pixels, network.room(most), Mixtures.room(most * int(sizes.max()), int(components.max()), 0)
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
    room: Room,
    mixtures: Mixtures,
) -> bool:
    """Code the positions of grids that are on a canvas, or put there those that are read. False: bits are damaged."""
    levels, values, width = mixtures.levels, grid.values, network.layers[0, 0]
    mixtures.centres[:] = codes.middle
    for step in range(steps):
        n = pixels_of(grid, step, pixels)
        _features(grid, pixels, n, codes, width, room.features)
        for group in range(len(network.ends)):
            start, end = codes.groups[group - 1] if group else 0, codes.groups[group]
            size = end - start
            apart = run_chain(network, group, n, room)
            components = network.layers[network.ends[group] - 1, 2] // (3 * size)
            set_mixtures(mixtures, n, size, room.outputs, apart, components, tables)
            for i in range(n):
                for c in range(size):
                    levels[i * size + c] = values[pixels[3, i] + start + c] + codes.middle
            if not code_levels(coder, mixtures, n * size, components, tables):
                return False
            for i in range(n):
                place = i * width + len(grid.offsets) + 4
                for c in range(size):
                    value = levels[i * size + c] - codes.middle
                    values[pixels[3, i] + start + c] = value
                    room.features[place + start + c] = min(max(value, -codes.most), codes.most) + codes.most
    return True


@compiled
def _features(grid: Grid, pixels: np.ndarray, n: int, codes: Codes, width: int, x: np.ndarray) -> None:
    """The features of n positions of which no channel is known, `width` apart in x, all with `most` added."""
    most, channels, values = np.int32(codes.most), grid.channels, grid.values
    for i in range(n):
        at, to = pixels[3, i], i * width
        for k in range(0, len(grid.offsets), channels):
            start = at + grid.offsets[k]
            for c in range(channels):
                x[to + c] = min(max(values[np.uint64(start + c)], -most), most) + most
            to += channels
        x[to] = codes.quality + codes.most
        x[to + 1] = codes.place_step * min(pixels[1, i], codes.reach) + codes.most
        x[to + 2] = codes.place_step * min(pixels[2, i], codes.reach) + codes.most
        x[to + 3] = codes.place_step * min(grid.sizes[pixels[0, i], 1] - 1 - pixels[2, i], codes.reach) + codes.most
        for c in range(channels):
            x[to + 4 + c] = codes.most
