"""What the networks that predict pixels learn: batches of pixels with what is known when each is coded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from isthmus.compression.coding import continuous_tone, plain_background
from isthmus.compression.coding.context import Canvas, Context, Pixels, cells
from isthmus.compression.coding.exact import UNIT
from isthmus.compression.coding.range_coder import Statics
from isthmus.compression.pixel_networks import ContinuousToneNetwork, PlainBackgroundNetwork, bits
from isthmus.share import ratio
from isthmus.training.task import Loss, Task

BLOCK = 16  # side of the blocks of pixels that a photograph's samples are


class PlainBackgroundFeed:
    """Whole images on a plain background, uint8 (n, height, width)."""

    def __init__(
        self, images: np.ndarray, background: int, context: Context, codebook: np.ndarray, entries: Statics
    ) -> None:
        self._images, self._background, self._context = images, background, context
        self._codebook, self._entries = codebook, entries

    def __len__(self) -> int:
        return len(self._images)

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
        """Features, entries and symbols of all pixels that are coded of some images, and how many pixels these have."""
        for indices in order:
            images = self._images[indices]
            contents = plain_background.prepare(images, self._background, self._context, self._codebook, self._entries)
            wave = contents.canvas.wave()
            x = plain_background.features(contents, wave, self._background) / np.float32(plain_background.FEATURE_UNIT)
            symbols = contents.canvas.values[wave.positions, 0].astype(np.int64)
            yield (
                torch.from_numpy(x),
                torch.from_numpy(contents.entries[wave.image]),
                torch.from_numpy(symbols),
                images.size,
            )


class ContinuousToneFeed:
    """Blocks of 16 × 16 pixels of continuous-tone images, each (height, width[, channels])."""

    def __init__(self, images: Sequence[np.ndarray], context: Context, symbols: int) -> None:
        self._symbols = symbols
        sizes = np.array([image.shape[:2] for image in images])
        self._values = continuous_tone.place(images, context)
        self._image, row, column = cells(-(-sizes // BLOCK))
        self._row, self._column = BLOCK * row, BLOCK * column
        self._within = np.divmod(np.arange(BLOCK * BLOCK), BLOCK)

    def __len__(self) -> int:
        return len(self._image)

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[list[tuple[Tensor, Tensor, Tensor]]]:
        """For each symbol of a pixel: features, centres and symbols of the pixels of some blocks."""
        for indices in order:
            pixels = self._pixels(indices)
            batch = []
            for number in range(self._symbols):
                x, centre = continuous_tone.features(self._values, pixels, number)
                symbols = continuous_tone.symbol(self._values, pixels, number).astype(np.float32)
                x *= np.float32(1 / continuous_tone.FEATURE_UNIT)
                batch.append((torch.from_numpy(x), torch.from_numpy(centre), torch.from_numpy(symbols)))
            yield batch

    def _pixels(self, blocks: np.ndarray) -> Pixels:
        canvas: Canvas = self._values.canvas
        image = np.repeat(self._image[blocks], BLOCK * BLOCK)
        row = (self._row[blocks, None] + self._within[0]).ravel()
        column = (self._column[blocks, None] + self._within[1]).ravel()
        height, width = canvas.sizes[image].T
        inside = (row < height) & (column < width)
        image, row, column = image[inside], row[inside], column[inside]
        return Pixels(image, row, column, canvas.positions(image, row, column))


class PlainBackgroundTask(Task):
    """Bits per pixel of images on a plain background."""

    network: PlainBackgroundNetwork

    def __init__(self, network: PlainBackgroundNetwork) -> None:
        super().__init__(network, validation_batch=64)

    def forward(self, batch: tuple[Tensor, Tensor, Tensor, int], generator: torch.Generator) -> Loss:
        """What the pixels of a batch of `PlainBackgroundFeed` cost."""
        *parts, count = batch
        return Loss(bits(self.network(*(part.to(self.device) for part in parts)), count))


class ContinuousToneTask(Task):
    """Bits per value of continuous-tone images; a value of 16 bits is two symbols."""

    network: ContinuousToneNetwork

    def __init__(self, network: ContinuousToneNetwork, depth: int) -> None:
        super().__init__(network, validation_batch=16)
        self._symbols_of_a_value = depth // 8

    def forward(self, batch: list[tuple[Tensor, Tensor, Tensor]], generator: torch.Generator) -> Loss:
        """What the values of a batch of `ContinuousToneFeed` cost."""
        nats = self.network([tuple(part.to(self.device) for part in parts) for parts in batch])
        count = sum(len(symbols) for _, _, symbols in batch)  # not the same in all shares: blocks at edges have fewer
        loss = ratio(nats, math.log(2) * count, generator)
        others = (self._symbols_of_a_value - 1) * loss.detach()  # told, but no part of the gradient, which is clipped
        return Loss(loss + others)


def learn_codebook(
    images: np.ndarray, background: int, entries: int, seed: int, rounds: int = 30
) -> tuple[np.ndarray, Statics]:
    """Histograms of grey levels such that each image is well described by one of them, by expectation-maximisation.

    A mixture of multinomials (Bishop 2006, "Pattern Recognition and Machine Learning", section 9.3). Returns int16
    (entries, 256), logarithms in 1/64, and how often each entry is the best.
    """
    counts = plain_background.histograms(images, background)
    counts = counts[counts.sum(1) > 0]
    entries = max(1, min(entries, len(counts) // 8))
    mean = counts.mean(0) if len(counts) else np.ones(256, np.float32)
    rng = np.random.default_rng([seed, 3])
    start = counts[rng.choice(len(counts), entries, replace=False)] if len(counts) else np.zeros((1, 256), np.float32)
    books = start + 0.1 * mean + 1e-3
    prior = np.full(entries, 1 / entries)
    for _ in range(rounds if len(counts) else 0):
        scores = counts @ np.log(books / books.sum(1, keepdims=True)).T + np.log(prior)
        share = np.exp(scores - scores.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        books = share.T @ counts + 0.02 * mean + 1e-3
        prior = share.mean(0) + 1e-6
    logs = np.log(books / books.sum(1, keepdims=True))
    logs[:, background] = -16
    codebook = np.rint(UNIT * np.clip(logs, -16, 0)).astype(np.int16)
    cost = plain_background.cost_of_entries(plain_background.histograms(images, background), codebook) - UNIT * np.log(
        prior
    )
    return codebook, Statics.of(cost.argmin(1), entries)
