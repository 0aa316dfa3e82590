"""Exact coding of an auto-encoder's rounded codes: grids of whole numbers with many channels.

Every number is coded with a mixture of logistic distributions that a small network makes of the codes above and to
the left and of the groups of channels before it. Training makes the same features of tensors, with a gradient
(`compression.lossy_network.RateNetwork`); what they are made of is said here once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.compression.coding import compiled
from isthmus.compression.coding.context import Canvas, Context, Pixels
from isthmus.compression.coding.exact import ACTIVATION, Mixture, Tables, check_chain, layer
from isthmus.compression.coding.range_coder import RangeDecoder, RangeEncoder
from isthmus.errors import IsthmusError
from isthmus.typed_json import typed

MOST_CODE = 127  # codes run from -127 to 127
QUALITIES = 255  # qualities are whole numbers from 0 to 255
FEATURE_UNIT = 8  # features are whole numbers that stand for 1/8
MOST_FEATURE = 63  # what codes are cut off at as features
_MIDDLE = 128  # the symbol of 0
_REACH, _PLACE_STEP, _QUALITY_STEP = 7, 8, 4
_MOST_CODES, _FEW = 1 << 24, 16  # numbers of a chunk's codes; positions of fewer channels cost as much as of so many


class CodesCoding:
    """The model of the codes. config : "window" (offsets), "channels", "groups" (their sizes). tensors : for each
    group i of channels the layers "i.0", "i.1", "i.2", the last of which gives the mixtures."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], tables: Tables) -> None:
        self.context = Context.of_json(config["window"])
        self.channels = typed(config["channels"], int, "channels")
        sizes = typed(config["groups"], list[int], "groups")
        if not sizes or sum(sizes) != self.channels or min(sizes) < 1:
            raise IsthmusError(f"the codec is damaged: groups {sizes} of {self.channels} channels")
        bounds = np.cumsum([0, *sizes]).tolist()
        self._groups = [slice(a, b) for a, b in pairwise(bounds)]
        largest = (MOST_FEATURE, ACTIVATION, ACTIVATION)
        self._networks = [
            [layer(tensors, f"{i}.{j}", most) for j, most in enumerate(largest)] for i in range(len(sizes))
        ]
        for size, chain in zip(sizes, self._networks, strict=True):
            outputs = len(chain[-1].bias)
            check_chain(chain, (len(self.context.offsets) + 1) * self.channels + 4, outputs)
            if outputs % (3 * size) or not outputs:
                raise IsthmusError(f"the codec is damaged: {outputs} outputs for {size} channels")
        self._tables = tables

    def encode(self, codes: np.ndarray, quality: int) -> bytes:
        """int (n, height, width, channels) within ±127 to bytes; `quality` is a whole number from 0 to 255."""
        canvas = Canvas(np.broadcast_to(codes.shape[1:3], (len(codes), 2)), self.channels, self.context, 0)
        for number, grid in enumerate(codes):
            canvas.view(number)[...] = grid
        if compiled.pays(codes.size):
            return self._compiled(canvas, quality)
        range_encoder = RangeEncoder()
        wave = canvas.wave()
        for group, steps in wave.groups():
            pixels = wave[group]
            x = features(canvas, pixels, quality)
            values = canvas.values[pixels.positions].astype(np.int32)
            parts = []
            for number, channels in enumerate(self._groups):
                mixture = self._mixture(number, x, values)
                for digits, counts in mixture.digits((values[:, channels] + _MIDDLE).ravel()):
                    parts.append((digits.reshape(len(pixels), -1), counts.reshape(len(pixels), -1, 16)))
            for step in steps:
                for digits, counts in parts:
                    range_encoder.encode(digits[step].ravel(), counts[step].reshape(-1, 16))
        return range_encoder.finish()

    def decode(self, data: bytes, shape: tuple[int, int, int], quality: int) -> np.ndarray:
        """int16 codes (n, height, width, channels); `shape` is (n, height, width)."""
        if math.prod(shape) * max(self.channels, _FEW) > _MOST_CODES:
            raise IsthmusError(f"codes of shape {shape} are too large")
        canvas = Canvas(np.broadcast_to(shape[1:], (shape[0], 2)), self.channels, self.context, 0)
        if compiled.pays(math.prod(shape) * self.channels):
            self._compiled(canvas, quality, data)
        else:
            self._decode(canvas, quality, data)
        return np.stack([canvas.view(number) for number in range(shape[0])]).astype(np.int16)

    def _decode(self, canvas: Canvas, quality: int, data: bytes) -> None:
        range_decoder = RangeDecoder(data)
        wave = canvas.wave()
        for step in wave.steps():
            pixels = wave[step]
            x = features(canvas, pixels, quality)
            values = np.zeros((len(pixels), self.channels), np.int32)
            for number, channels in enumerate(self._groups):
                mixture = self._mixture(number, x, values)
                values[:, channels] = (range_decoder.decode_levels(mixture) - _MIDDLE).reshape(len(pixels), -1)
            canvas.values[pixels.positions] = values

    def _compiled(self, canvas: Canvas, quality: int, data: bytes | None = None) -> bytes:
        """What `encode` does and, where there are data, `decode`: the bytes of a canvas, or the canvas from bytes."""
        from isthmus.compression.coding.compiled.codes import Codes, code

        ends = np.array([group.stop for group in self._groups], np.int64)
        codes = Codes(ends, quality_feature(quality), MOST_FEATURE, _MIDDLE, _REACH, _PLACE_STEP)
        return code(canvas, self._networks, self._tables, codes, data)

    def _mixture(self, number: int, x: np.ndarray, values: np.ndarray) -> Mixture:
        """The mixtures of all numbers of a group, one after the other for each position."""
        channels = self._groups[number]
        one, two, output = self._networks[number]
        out = output(two(one(with_known(x, values, channels.start))), hidden=False)
        size = channels.stop - channels.start
        parts = out.reshape(len(out), 3, size, -1).transpose(0, 2, 1, 3)  # (n, size, 3, components)
        outputs = np.ascontiguousarray(parts).reshape(len(out) * size, -1)
        return self._tables.mixture(outputs, np.full(len(outputs), _MIDDLE, np.float32))


def features(canvas: Canvas, pixels: Pixels, quality: int) -> np.ndarray:
    """What the networks see of some positions: float32 whole numbers (n, (k + 1) · channels + 4).

    The codes in the context, the quality, how near the sides are, and zeros in place of what `with_known` puts there.
    """
    seen = np.clip(canvas.neighbours(pixels.positions), -MOST_FEATURE, MOST_FEATURE)
    n, k, channels = seen.shape
    x = np.zeros((n, (k + 1) * channels + 4), np.float32)
    x[:, : k * channels] = seen.reshape(n, -1)
    x[:, k * channels] = quality_feature(quality)
    place = place_features(pixels.row, pixels.column, canvas.sizes[pixels.image, 1])
    for i, feature in enumerate(place, k * channels + 1):
        x[:, i] = feature
    return x


def with_known(x: np.ndarray, codes: np.ndarray, count: int) -> np.ndarray:
    """Features with the first `count` channels of the positions themselves, `codes` (n, channels)."""
    x, first = x.copy(), x.shape[1] - codes.shape[1]
    x[:, first : first + count] = np.clip(codes[:, :count], -MOST_FEATURE, MOST_FEATURE)
    return x


def quality_feature(quality: Any) -> Any:
    """The feature of a quality from 0 to 255, which may be a number, an array or a tensor."""
    return quality // _QUALITY_STEP


def place_features(row: Any, column: Any, width: Any) -> list[Any]:
    """How near the top, the left and the right side are; of arrays or of tensors."""
    return [_PLACE_STEP * distance.clip(max=_REACH) for distance in (row, column, width - 1 - column)]
