"""Lossless coding of continuous tones: photographs, scans, measurements; grey or colour, of any size, 8 or 16 bits.

Every value is coded with a mixture of logistic distributions that a small network makes of the neighbours above and to
the left. In colour, green comes first; red and blue also see what came before them at the same pixel. 16-bit values
are two symbols, the upper and the lower byte.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.compression.coding import compiled
from isthmus.compression.coding.context import Canvas, Context, Pixels
from isthmus.compression.coding.exact import Mixture, Tables, check_chain, layers
from isthmus.compression.coding.range_coder import RangeDecoder, RangeEncoder
from isthmus.errors import IsthmusError
from isthmus.typed_json import typed

FEATURE_UNIT = 16  # features are whole numbers that stand for 1/16
OUTSIDE = -1  # value of positions outside an image
_MOST_DIFFERENCE = 127
_PREDICTED_FROM = ((0, -1), (-1, 0), (-1, -1))  # the neighbours of the median edge detector
_ORDER = {1: (0,), 3: (1, 0, 2), 4: (1, 0, 2, 3)}  # of the channels


@dataclass(frozen=True)
class Values:
    """Images of continuous tones on a canvas. depth : bits of a value, 8 or 16."""

    canvas: Canvas
    depth: int


class ContinuousToneCoding:
    """The model. `tensors` and `config` are all of it; whoever has them can decode.

    config : "window" (offsets), "channels" (1, 3 or 4), "depth" (8 or 16).
    tensors : for each symbol i of a pixel the layers "i.0", "i.1", ..., the last of which gives the logits, the means
        and the scales of the mixture.
    """

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], tables: Tables) -> None:
        self.context = Context.of_json(config["window"])
        self.channels, self.depth = (typed(config[name], int, name) for name in ("channels", "depth"))
        if self.channels not in _ORDER or self.depth not in (8, 16):
            raise IsthmusError(f"the codec is damaged: it is for {self.channels} channels of {self.depth} bits")
        for offset in _PREDICTED_FROM:
            self.context.find(*offset)
        self._tables = tables
        found = layers(tensors)
        symbols = self.channels * self.depth // 8
        self._networks = [[layer for name, layer in found.items() if name.startswith(f"{i}.")] for i in range(symbols)]
        for chain in self._networks:
            check_chain(chain, (len(self.context.offsets) + 1) * self.channels + 3)

    def takes(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Whether images of this shape (height, width) or (height, width, channels) and dtype can be coded."""
        return dtype == np.dtype(f"u{self.depth // 8}") and (*shape, 1)[2] == self.channels and len(shape) in (2, 3)

    def encode(self, images: np.ndarray) -> bytes:
        """uint8 or uint16 (n, height, width[, channels]) to bytes."""
        values = place(list(images), self.context)
        if compiled.pays(images.size):
            return self._compiled(values.canvas)
        range_encoder = RangeEncoder()
        wave = values.canvas.wave()
        for group, steps in wave.groups():
            pixels = wave[group]
            parts: list[tuple[np.ndarray, np.ndarray]] = []
            for number in range(len(self._networks)):
                mixture = self._mixture(number, *features(values, pixels, number))
                parts += mixture.digits(symbol(values, pixels, number))
            for step in steps:
                for digits, counts in parts:
                    range_encoder.encode(digits[step], counts[step])
        return range_encoder.finish()

    def decode(self, data: bytes, shape: tuple[int, ...]) -> np.ndarray:
        """The images, (n, height, width[, channels])."""
        sizes = np.broadcast_to(np.array(shape[1:3]), (shape[0], 2))
        canvas = Canvas(sizes, self.channels, self.context, OUTSIDE, _dtype(self.depth))
        values = Values(canvas, self.depth)
        if compiled.pays(math.prod(shape)):
            self._compiled(canvas, data)
            return pick_up(values, shape)
        range_decoder, wave = RangeDecoder(data), canvas.wave()
        for step in wave.steps():
            pixels = wave[step]
            for number in range(len(self._networks)):
                channel, part = divmod(number, self.depth // 8)
                mixture = self._mixture(number, *features(values, pixels, number))
                decoded = range_decoder.decode_levels(mixture)
                if part:
                    canvas.values[pixels.positions, channel] += decoded
                else:
                    canvas.values[pixels.positions, channel] = decoded << (self.depth - 8)
        return pick_up(values, shape)

    def _compiled(self, canvas: Canvas, data: bytes | None = None) -> bytes:
        """What `encode` does and, where there are data, `decode`: the bytes of a canvas, or the canvas from bytes."""
        from isthmus.compression.coding.compiled.tones import Tones, code

        top = (1 << self.depth) - 1
        left, above, corner = (
            int(canvas.steps[self.context.find(*offset)]) * self.channels for offset in _PREDICTED_FROM
        )
        differences = _difference(np.arange(-top, top + 1), self.depth).astype(np.int16)
        zero, bytes_each = (127, 1) if self.depth == 8 else (255, 2)  # features are from -127 to 128, from -255 to 255
        tones = Tones(self.depth, (left, above, corner), differences, zero, bytes_each)
        return code(canvas, self._networks, self._tables, tones, data)

    def _mixture(self, number: int, x: np.ndarray, centre: np.ndarray) -> Mixture:
        *hidden, output = self._networks[number]
        for layer in hidden:
            x = layer(x)
        return self._tables.mixture(output(x, hidden=False), centre)


def place(images: Sequence[np.ndarray], context: Context) -> Values:
    """Images (height, width[, channels]) of one dtype on a canvas, channels in the order of coding."""
    depth, channels = 8 * images[0].dtype.itemsize, (*images[0].shape, 1)[2]
    canvas = Canvas(np.array([image.shape[:2] for image in images]), channels, context, OUTSIDE, _dtype(depth))
    for number, image in enumerate(images):
        canvas.view(number)[...] = image.reshape(*image.shape[:2], channels)[:, :, _ORDER[channels]]
    return Values(canvas, depth)


def pick_up(values: Values, shape: tuple[int, ...]) -> np.ndarray:
    """The images of `place`."""
    channels = values.canvas.values.shape[1]
    images = np.empty((*shape[:3], channels), f"u{values.depth // 8}")
    for number, image in enumerate(images):
        image[:, :, _ORDER[channels]] = values.canvas.view(number)
    return images.reshape(shape)


def symbol(values: Values, pixels: Pixels, number: int) -> np.ndarray:
    """Symbol `number` of some pixels, int32 (n,)."""
    channel, part = divmod(number, values.depth // 8)
    coded: np.ndarray = values.canvas.values[pixels.positions, channel].astype(np.int32)
    if values.depth > 8:
        coded = coded & 255 if part else coded >> 8
    return coded


def features(values: Values, pixels: Pixels, number: int) -> tuple[np.ndarray, np.ndarray]:
    """What network `number` sees of some pixels: float32 whole numbers (n, features), and the symbols' prediction (n,).

    The neighbours relative to the pixel itself (to its prediction where it is not known yet), what is known of the
    pixel, and how near the image's sides are.
    """
    channel, part = divmod(number, values.depth // 8)
    canvas, top = values.canvas, (1 << values.depth) - 1
    seen = canvas.neighbours(pixels.positions)  # (n, k, channels)
    known = predict(seen, canvas.context, top)
    here = canvas.values[pixels.positions]
    if channel:
        before = here[:, channel - 1] - known[:, channel - 1]
        known[:, channel] = np.clip(known[:, channel] + before, 0, top)
        known[:, :channel] = here[:, :channel]
    if part:
        high = here[:, channel] & ~255
        known[:, channel] = high + np.clip(known[:, channel] - high, 0, 255)
    n, k, channels = seen.shape
    outside = seen == OUTSIDE
    seen -= known[:, None]
    seen[outside] = 0
    x = np.empty((n, (k + 1) * channels + 3), np.float32)
    x[:, : k * channels] = _difference(seen, values.depth).reshape(n, -1)
    x[:, k * channels : (k + 1) * channels] = known >> (values.depth - 7)
    reach, width = canvas.context.rows, canvas.sizes[pixels.image, 1]
    for i, distance in enumerate((pixels.row, pixels.column, width - 1 - pixels.column)):
        x[:, (k + 1) * channels + i] = 4 * np.minimum(distance, reach)
    centre = known[:, channel]
    if values.depth == 16:
        centre = centre & 255 if part else centre >> 8
    return x, centre.astype(np.float32)


def predict(seen: np.ndarray, context: Context, top: int) -> np.ndarray:
    """The median edge detector's prediction of each channel, (n, k, channels) -> (n, channels).

    Weinberger, Seroussi and Sapiro 2000, "The LOCO-I lossless image compression algorithm", IEEE TIP 9(8), section III.
    """
    left, above, corner = (seen[:, context.find(*offset)] for offset in _PREDICTED_FROM)
    low, high = np.minimum(left, above), np.maximum(left, above)
    prediction = np.clip(left + above - corner, low, high)
    prediction = np.where(above == OUTSIDE, left, np.where(left == OUTSIDE, above, prediction))
    return np.where(prediction == OUTSIDE, (top + 1) // 2, prediction)


def _difference(values: np.ndarray, depth: int) -> np.ndarray:
    """Differences as features of at most 8 bits: cut off, or for 16-bit values on a logarithmic scale."""
    if depth == 8:
        clipped: np.ndarray = np.clip(values, -_MOST_DIFFERENCE, _MOST_DIFFERENCE)
        return clipped
    mantissa, exponent = np.frexp(np.abs(values).astype(np.float32))
    size = np.floor(mantissa * 32 - 16) + 16 * np.maximum(exponent - 1, 0)  # piecewise linear, 16 to an octave
    logarithmic: np.ndarray = np.sign(values) * np.clip(size, 0, 255)
    return logarithmic


def _dtype(depth: int) -> type:
    return np.int16 if depth == 8 else np.int32
