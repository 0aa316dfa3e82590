"""Lossless coding of grey images on a plain background: digits, letters, drawings, masks.

Each image is cut to its content and described by one entry of a codebook of histograms, a quantised latent that says
which grey levels it is made of. Its pixels follow in wavefront order: is it background, and if not, which level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.compression.coding import compiled
from isthmus.compression.coding.context import Canvas, Context, Pixels
from isthmus.compression.coding.exact import UNIT, Tables, check_chain, layers
from isthmus.compression.coding.range_coder import RangeDecoder, RangeEncoder, Statics
from isthmus.errors import IsthmusError
from isthmus.typed_json import typed

if TYPE_CHECKING:
    from isthmus.compression.coding.compiled.range_coding import RangeCoder

FEATURE_UNIT = 128  # features are whole numbers that stand for 1/128
_PLACE_STEP = 8
_PRESENT = 128
_LONGEST_SIDE = 4096


@dataclass
class Contents:
    """Images cut to what is not background.

    boxes : int (n, 4), top, left, height, width, all 0 for an empty image. entries : int (n,), of the codebook.
    canvas, pixels : the contents' pixels, and these one row after the other.
    """

    boxes: np.ndarray
    entries: np.ndarray
    canvas: Canvas
    pixels: Pixels


class PlainBackgroundCoding:
    """The model. `tensors` and `config` are all of it; whoever has them can decode.

    config : "background", "window" (offsets), "size" (height, width of the training images), "centre" (position of
        the centre of mass that placed the training images best, in 1/256 pixel).
    tensors : "codebook" int16 (entries, 256), logarithms of histograms in 1/64; "entry_bias" float32 (entries,
        hidden), added in layer "hidden.0"; the layers "hidden.i", "flag" (background or not; weight of the codebook)
        and "level"; the counts "entries", "height", "width", "top", "left".
    """

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], tables: Tables) -> None:
        self.background = typed(config["background"], int, "background")
        self.context = Context.of_json(config["window"])
        self.size = typed(config["size"], tuple[int, int], "size")
        self.centre = np.array(typed(config["centre"], tuple[int, int], "centre"), np.int64)
        self._tables = tables
        self._codebook = tensors["codebook"].astype(np.float32)
        self._entry_bias = tensors["entry_bias"].astype(np.float32)
        self._layers = layers(tensors)
        self._statics = {name: Statics(tensors[name]) for name in ("entries", "height", "width", "top", "left")}
        self._check()

    def _check(self) -> None:
        """IsthmusError where parts do not belong together: what looks up one in another must find it."""
        height, width = self.size
        if not (0 <= self.background <= 255 and min(self.size) >= 1 and max(self.size) <= _LONGEST_SIDE):
            raise IsthmusError(f"the codec is damaged: background {self.background}, images of {height} × {width}")
        if np.abs(self.centre).max() > _LONGEST_SIDE << 8:
            raise IsthmusError(f"the codec is damaged: a centre of mass at {self.centre.tolist()}")
        hidden = [one for name, one in self._layers.items() if name.startswith("hidden")]
        inside = len(hidden[-1].bias) if hidden else 0
        check_chain(hidden, 2 * len(self.context.offsets) + 4, inside)
        check_chain([self._layers["flag"]], inside, 2)
        check_chain([self._layers["level"]], inside, 256)
        counts = {name: len(statics.counts) for name, statics in self._statics.items()}
        entries = counts.pop("entries")
        if counts != {"height": height + 1, "width": width + 1, "top": height, "left": width}:
            raise IsthmusError(f"the codec is damaged: counts of {counts} for images of {height} × {width}")
        shapes = self._codebook.shape, self._entry_bias.shape
        if shapes != ((entries, 256), (entries, len(hidden[0].bias))) or not np.isfinite(self._entry_bias).all():
            raise IsthmusError(f"the codec is damaged: a codebook of shapes {shapes} for {entries} entries")

    def takes(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Whether images of this shape (height, width) and dtype can be coded."""
        return len(shape) == 2 and dtype == np.uint8 and max(shape) <= _LONGEST_SIDE

    def encode(self, images: np.ndarray) -> bytes:
        """uint8 (n, height, width) to bytes."""
        contents = prepare(images, self.background, self.context, self._codebook, self._statics["entries"])
        size = images.shape[1:]
        if compiled.pays(images.size):
            from isthmus.compression.coding.compiled.range_coding import RangeCoder

            coder = RangeCoder.writing(2 * images.size + 5 * len(images))
            self._code_sides(coder, contents, size)
            self._code_compiled(coder, contents)
            self._code_places(coder, contents, size)
            return coder.finish()
        range_encoder = RangeEncoder()
        self._code_sides(range_encoder, contents, size)
        self._encode_pixels(range_encoder, contents)
        self._code_places(range_encoder, contents, size)
        return range_encoder.finish()

    def decode(self, data: bytes, shape: tuple[int, ...]) -> np.ndarray:
        """The images, uint8 (n, height, width)."""
        if compiled.pays(math.prod(shape)):
            from isthmus.compression.coding.compiled.range_coding import RangeCoder

            coder = RangeCoder.reading(data)
            contents = self._decode_sides(coder, shape)
            self._code_compiled(coder, contents)
            self._decode_places(coder, contents, shape[1:])
            return self._paste(contents, shape)
        range_decoder = RangeDecoder(data)
        contents = self._decode_sides(range_decoder, shape)
        self._decode_pixels(range_decoder, contents)
        self._decode_places(range_decoder, contents, shape[1:])
        return self._paste(contents, shape)

    def _encode_pixels(self, range_encoder: RangeEncoder, contents: Contents) -> None:
        values, wave = contents.canvas.values[:, 0], contents.canvas.wave()
        for group, steps in wave.groups():
            symbols = values[wave.positions[group]].astype(np.int32)
            present = symbols != self.background
            hidden, entries = self._hidden(contents, wave[group])
            flags, weight = self._flags(hidden)
            counts = self._levels(hidden[present], entries[present], weight[present])
            first = np.concatenate([[0], np.cumsum(present)])
            for step in steps:
                some = slice(first[step.start], first[step.stop])
                range_encoder.encode(present[step], flags[step])
                range_encoder.encode(symbols[step][present[step]], counts[some])

    def _decode_pixels(self, range_decoder: RangeDecoder, contents: Contents) -> None:
        values, wave = contents.canvas.values[:, 0], contents.canvas.wave()
        for step in wave.steps():
            hidden, entries = self._hidden(contents, wave[step])
            flags, weight = self._flags(hidden)
            present = range_decoder.decode(flags) > 0
            if present.any():
                counts = self._levels(hidden[present], entries[present], weight[present])
                values[wave.positions[step][present]] = range_decoder.decode(counts)

    def _code_compiled(self, coder: RangeCoder, contents: Contents) -> None:
        """What `_encode_pixels` and `_decode_pixels` do, whichever the coder is for."""
        from isthmus.compression.coding.compiled.levels import Levels, code

        hidden = [layer for name, layer in self._layers.items() if name.startswith("hidden")]
        chains = hidden, [self._layers["flag"]], [self._layers["level"]]
        features = self.background, _PRESENT, _PLACE_STEP
        levels = Levels(*features, self._codebook, self._entry_bias, len(hidden))
        code(coder, contents.canvas, contents.entries, chains, self._tables, levels)

    # Probabilities

    def _hidden(self, contents: Contents, pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
        """Activations (n, hidden) for some pixels, and their images' entries."""
        entries = contents.entries[pixels.image]
        first, *others = (layer for name, layer in self._layers.items() if name.startswith("hidden"))
        x = first(features(contents, pixels, self.background), self._entry_bias[entries])
        for layer in others:
            x = layer(x)
        return x, entries

    def _flags(self, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Counts (n, 2) of background and not, and the weight of the codebook in 1/64."""
        out = self._layers["flag"](hidden, hidden=False)
        logits = np.zeros_like(out)
        logits[:, 1] = out[:, 0]
        return self._tables.softmax(logits), np.clip(out[:, 1] + UNIT, 0, 4 * UNIT)

    def _levels(self, hidden: np.ndarray, entries: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Counts (n, 256) of the levels that are not background."""
        logits = self._layers["level"](hidden, hidden=False)
        book = self._codebook[entries]
        book *= weight[:, None] * np.float32(1 / UNIT)
        logits += np.rint(book, out=book)
        logits[:, self.background] = -(1 << 20)
        counts = self._tables.softmax(logits)
        counts[:, self.background] = 0
        return counts

    # What is sent beside the pixels: entry and size of each content before them, its place after them

    def _code_sides(self, range_encoder: RangeEncoder | RangeCoder, contents: Contents, size: tuple[int, ...]) -> None:
        range_encoder.encode_static(contents.entries, self._statics["entries"])
        for axis, name in enumerate(("height", "width")):
            sides = contents.boxes[:, 2 + axis]
            range_encoder.encode_static(sides, self._side(name, size, axis))

    def _decode_sides(self, range_decoder: RangeDecoder | RangeCoder, shape: tuple[int, ...]) -> Contents:
        n = shape[0]
        boxes = np.zeros((n, 4), np.int64)
        entries = range_decoder.decode_static(n, self._statics["entries"])
        for axis, name in enumerate(("height", "width")):
            boxes[:, 2 + axis] = range_decoder.decode_static(n, self._side(name, shape[1:], axis))
        canvas = Canvas(boxes[:, 2:], 1, self.context, self.background)
        return Contents(boxes, entries, canvas, canvas.pixels())

    def _side(self, name: str, size: tuple[int, ...], axis: int) -> Statics:
        """The counts of a training image's sizes, or no preference for images of another size."""
        return self._statics[name] if size == self.size else Statics.uniform(size[axis] + 1)

    def _code_places(self, range_encoder: RangeEncoder | RangeCoder, contents: Contents, size: tuple[int, ...]) -> None:
        expected = self._expected(contents, size)
        for axis, name in enumerate(("top", "left")):
            away = (contents.boxes[:, axis] - expected[:, axis]) % size[axis]
            range_encoder.encode_static(away, self._place(name, size, axis))

    def _decode_places(
        self, range_decoder: RangeDecoder | RangeCoder, contents: Contents, size: tuple[int, ...]
    ) -> None:
        expected = self._expected(contents, size)
        for axis, name in enumerate(("top", "left")):
            away = range_decoder.decode_static(len(expected), self._place(name, size, axis))
            contents.boxes[:, axis] = (away + expected[:, axis]) % size[axis]

    def _place(self, name: str, size: tuple[int, ...], axis: int) -> Statics:
        return self._statics[name] if size == self.size else Statics.uniform(size[axis])

    def _expected(self, contents: Contents, size: tuple[int, ...]) -> np.ndarray:
        """Where each content should lie so that its centre of mass is where it was in training, (n, 2)."""
        shift = (np.asarray(size) - self.size) * 128  # half of what the image is larger
        expected: np.ndarray = (self.centre + shift - centres(contents, self.background) + 128) >> 8
        return expected

    def _paste(self, contents: Contents, shape: tuple[int, ...]) -> np.ndarray:
        images = np.full(shape, self.background, np.uint8)
        pixels, (top, left) = contents.pixels, contents.boxes.T[:2]
        row, column = pixels.row + top[pixels.image], pixels.column + left[pixels.image]
        inside = (row < shape[1]) & (column < shape[2])  # always, unless the data are damaged
        values = contents.canvas.values[pixels.positions, 0]
        images[pixels.image[inside], row[inside], column[inside]] = values[inside]
        return images


def prepare(images: np.ndarray, background: int, context: Context, codebook: np.ndarray, entries: Statics) -> Contents:
    """Cut images to their contents and choose the entry of the codebook that describes each best."""
    boxes = find_boxes(images, background)
    cost = cost_of_entries(histograms(images, background), codebook) - UNIT * np.log(
        entries.counts / entries.counts.sum()
    )
    canvas = Canvas(boxes[:, 2:], 1, context, background)
    pixels = canvas.pixels()
    row, column = pixels.row + boxes[pixels.image, 0], pixels.column + boxes[pixels.image, 1]
    canvas.values[pixels.positions, 0] = images[pixels.image, row, column]
    return Contents(boxes, cost.argmin(1), canvas, pixels)


def cost_of_entries(counts: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """What levels that occur `counts` (n, 256) times cost under each entry, (n, entries), in nats / 64."""
    return -counts @ codebook.T.astype(np.float32)


def find_boxes(images: np.ndarray, background: int) -> np.ndarray:
    """Top, left, height and width of what is not background, (n, 4)."""
    ink = images != background
    boxes = np.zeros((len(images), 4), np.int64)
    for axis, profile in enumerate((ink.any(2), ink.any(1))):
        first = profile.argmax(1)
        last = profile.shape[1] - profile[:, ::-1].argmax(1)
        boxes[:, axis] = np.where(profile.any(1), first, 0)
        boxes[:, 2 + axis] = np.where(profile.any(1), last - first, 0)
    return boxes


def histograms(images: np.ndarray, background: int) -> np.ndarray:
    """How often each level occurs in each image, float32 (n, 256), without the background."""
    numbers = np.arange(len(images))[:, None] * 256 + images.reshape(len(images), -1)
    counts = np.bincount(numbers.ravel(), minlength=256 * len(images)).reshape(-1, 256)
    counts[:, background] = 0
    return counts.astype(np.float32)


def centres(contents: Contents, background: int) -> np.ndarray:
    """Centres of mass of the contents, int (n, 2), in 1/256 pixel from their upper left corner."""
    pixels, n = contents.pixels, len(contents.boxes)
    mass = np.abs(contents.canvas.values[pixels.positions, 0].astype(np.int64) - background)
    sums = [np.bincount(pixels.image, mass * by, n) for by in (1, pixels.row, pixels.column)]
    total, *moments = (each.astype(np.int64) for each in sums)  # whole numbers below 2^53, which floats hold
    return np.stack(moments, 1) * 256 // np.maximum(total, 1)[:, None]


def features(contents: Contents, pixels: Pixels, background: int) -> np.ndarray:
    """What the network sees of some pixels: float32 whole numbers (n, 2 k + 4).

    The values in the context, which of them are not background, and the distances to the four sides.
    """
    height, width = contents.canvas.sizes[pixels.image].T
    seen = contents.canvas.neighbours(pixels.positions)[:, :, 0]
    k = seen.shape[1]
    x = np.empty((len(seen), 2 * k + 4), np.float32)
    x[:, :k] = seen
    np.multiply(seen != background, _PRESENT, out=x[:, k : 2 * k], casting="unsafe")
    distances = pixels.row, pixels.column, height - 1 - pixels.row, width - 1 - pixels.column
    for i, distance in enumerate(distances):
        x[:, 2 * k + i] = np.minimum(_PLACE_STEP * distance, 255)
    return x
