"""`continuous_tone`, compiled: a wave of pixels, coded from its first step to its last."""

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

_OUTSIDE = -1
_REACH = 3  # digits beside the probable one of which most are: fewer, or all of them, took longer


class Tones(NamedTuple):
    """What the features are made of.

    depth : bits of a value. predicted_from : (3,), where the left, the upper and the upper left neighbour are.
    differences : int16 (2 · top + 1,), the features of differences from -top to top. zero : added to all features,
    which makes them unsigned. bytes_each : of a feature, 1 or 2.
    """

    depth: int
    predicted_from: tuple[int, int, int]
    differences: np.ndarray
    zero: int
    bytes_each: int


def code(
    canvas: Canvas, networks: Sequence[Sequence[Layer]], tables: Tables, tones: Tones, data: bytes | None
) -> bytes:
    """The bytes of what is on a canvas; with `data` these bytes are given, and put what they hold on the canvas."""
    grid = Grid.of(canvas)
    network = Network.of(networks, zero=tones.zero, bytes_each=tones.bytes_each)
    coder = RangeCoder.writing(2 * len(networks) * grid.cells()) if data is None else RangeCoder.reading(data)
    pixels = grid.room()
    most = pixels.shape[1]
    components = int(network.layers[network.ends - 1, 2].max()) // 3
    rooms = pixels, network.room(most), Mixtures.room(most, components, 0 if data is None else _REACH)
    if not _code(coder, grid, grid.steps(), tones, network, Logistics.of(tables), *rooms):
        raise IsthmusError("the compressed data are damaged")
    return coder.finish() if data is None else data


@compiled
def _code(
    coder: RangeCoder,
    grid: Grid,
    steps: int,
    tones: Tones,
    network: Network,
    tables: Logistics,
    pixels: np.ndarray,
    room: Room,
    mixtures: Mixtures,
) -> bool:
    """Code the pixels of images that are on a canvas, or put there those that are read. False: bits are damaged."""
    parts, levels = tones.depth // 8, mixtures.levels
    known = np.empty(grid.channels, np.int64)
    for step in range(steps):
        n = pixels_of(grid, step, pixels)
        for symbol in range(len(network.ends)):
            channel, part = symbol // parts, symbol % parts
            shift = 8 * (parts - 1 - part)
            width = network.layers[network.ends[symbol - 1] if symbol else 0, 0]
            for i in range(n):
                _predict(grid, pixels[3, i], tones, channel, part, known)
                _features(grid, pixels, i, tones, known, room.features, i * width)
                mixtures.centres[i] = known[channel] >> shift & 255
                levels[i] = grid.values[pixels[3, i] + channel] >> shift & 255
            apart = run_chain(network, symbol, n, room)
            components = network.layers[network.ends[symbol] - 1, 2] // 3
            set_mixtures(mixtures, n, 1, room.outputs, apart, components, tables)
            if not code_levels(coder, mixtures, n, components, tables):
                return False
            if coder.reads[0]:
                for i in range(n):
                    at = pixels[3, i] + channel
                    grid.values[at] = (grid.values[at] if part else 0) + (levels[i] << shift)
    return True


@compiled
def _predict(grid: Grid, at: int, tones: Tones, channel: int, part: int, known: np.ndarray) -> None:
    """What is known of a pixel's channels, or predicted of them (see `continuous_tone.features`)."""
    top, values, error = (1 << tones.depth) - 1, grid.values, 0
    to_left, to_above, to_corner = tones.predicted_from
    for c in range(len(known)):
        place = at + c
        left, above, corner = values[place + to_left], values[place + to_above], values[place + to_corner]
        prediction = min(max(left + above - corner, min(left, above)), max(left, above))
        prediction = left if above == _OUTSIDE else (above if left == _OUTSIDE else prediction)
        prediction = (top + 1) // 2 if prediction == _OUTSIDE else prediction
        if c < channel:
            known[c] = values[place]
            error = known[c] - prediction
        elif c == channel and c > 0:
            known[c] = min(max(prediction + error, 0), top)
        else:
            known[c] = prediction
    if part:
        high = values[at + channel] & ~255
        known[channel] = high + min(max(known[channel] - high, 0), 255)


@compiled
def _features(grid: Grid, pixels: np.ndarray, i: int, tones: Tones, known: np.ndarray, x: np.ndarray, to: int) -> None:
    """The features of a pixel, in x from `to` on."""
    values, offsets, differences, top = grid.values, grid.offsets, tones.differences, (1 << tones.depth) - 1
    at, channels, c = pixels[3, i], len(known), 0
    second = (len(offsets) + channels + 3) * (tones.bytes_each - 1)
    for place in range(len(offsets)):
        value = values[np.uint64(at + offsets[place])]
        feature = 0 if value == _OUTSIDE else differences[np.uint64(value - known[c] + top)]
        _put(x, to + place, second, feature + tones.zero)
        c = c + 1 if c + 1 < channels else 0
    to += len(offsets)
    for c in range(channels):
        _put(x, to + c, second, (known[c] >> (tones.depth - 7)) + tones.zero)
    to += channels
    _put(x, to, second, 4 * min(pixels[1, i], grid.rows) + tones.zero)
    _put(x, to + 1, second, 4 * min(pixels[2, i], grid.rows) + tones.zero)
    _put(x, to + 2, second, 4 * min(grid.sizes[pixels[0, i], 1] - 1 - pixels[2, i], grid.rows) + tones.zero)


@compiled
def _put(x: np.ndarray, place: int, second: int, value: int) -> None:
    """A feature, in one byte or as the sum of two, which are `second` apart."""
    if second:
        x[place], x[place + second] = (value + 1) >> 1, value >> 1
    else:
        x[place] = value
