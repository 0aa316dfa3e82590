"""Training of a lossy codec: distortion and bits at every quality at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from isthmus.networks.latents import LossyNetwork
from isthmus.objectives import Objective
from isthmus.training.device import memory_format
from isthmus.training.loop import Trainer

CROP = 128  # side of what is learned from at a time, where images are larger
_STRIDE = 32
_VALIDATED = (0.1, 0.3, 0.5, 0.7, 0.9)  # qualities
_BATCH = 32


class CropFeed:
    """Images (height, width[, channels]), whole or in crops, as float32 tensors (N, channels, height, width) in [0, 1].

    side : of the crops, None for whole images of one size.
    """

    def __init__(self, images: Sequence[np.ndarray], side: tuple[int, int] | None) -> None:
        self._images = [image.reshape(*image.shape[:2], -1) for image in images]
        self._side = side
        self._places: np.ndarray | None = None
        if side is not None:
            self._places = np.array(
                [
                    (number, top, left)
                    for number, image in enumerate(self._images)
                    for top in _starts(image.shape[0], side[0])
                    for left in _starts(image.shape[1], side[1])
                ]
            )

    def __len__(self) -> int:
        return len(self._images) if self._places is None else len(self._places)

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """One batch for each array of indices."""
        for indices in order:
            block = np.stack([self._crop(index) for index in indices.tolist()])
            top = np.float32(1 / np.iinfo(block.dtype).max)
            yield torch.from_numpy(block.transpose(0, 3, 1, 2).astype(np.float32) * top)

    def _crop(self, index: int) -> np.ndarray:
        if self._places is None or self._side is None:
            return self._images[index]
        number, top, left = self._places[index]
        return self._images[number][top : top + self._side[0], left : left + self._side[1]]


def _starts(size: int, side: int) -> list[int]:
    return [*range(0, size - side, _STRIDE), size - side]


class LossyTrainer(Trainer):
    """Rate plus λ times distortion, λ rising by a fixed factor from quality 0 to quality 1.

    Each sample has a quality of its own, and its loss is divided by the square root of its λ: no quality drowns the
    others.
    """

    network: LossyNetwork
    lambdas: tuple[float, float]
    distortion: Objective

    def _loss(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, None]:
        quality = torch.rand(len(batch), generator=generator, device=self._device)
        return self._costs(batch, quality, generator), None

    def _costs(self, batch: Tensor, quality: Tensor, generator: torch.Generator) -> Tensor:
        x = batch.to(self._device).contiguous(memory_format=memory_format(batch.ndim))
        reconstruction, nats = self.network(x, quality, generator)
        rate = nats / (math.log(2) * x[0].numel())
        low, high = self.lambdas
        weight = low * (high / low) ** quality
        return ((rate + weight * self.distortion.per_sample(reconstruction, x)) / (weight / low).sqrt()).mean()

    @torch.no_grad()
    def _evaluate(self) -> float | None:
        if not len(self._validation):
            return None
        self.network.eval()
        parts = np.array_split(self._validation, -(-len(self._validation) // _BATCH))
        generator = torch.Generator(self._device).manual_seed(0)
        losses = []
        for batch in self._feed.batches(parts):
            qualities = torch.tensor(_VALIDATED, device=self._device)
            losses.append(
                float(torch.stack([self._costs(batch, q.expand(len(batch)), generator) for q in qualities]).mean())
            )
        self.network.train()
        return float(np.average(losses, weights=[len(part) for part in parts]))
