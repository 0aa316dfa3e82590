"""Training of a lossy codec: distortion and bits at every quality at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus.compression.lossy_network import LossyNetwork
from isthmus.device import memory_format
from isthmus.objectives import Objective
from isthmus.training.loop import Trainer

CROP, STRIDE = 128, 32  # side of what is learned from at a time, where images are larger; and between two of these
_VALIDATED = (0.1, 0.3, 0.5, 0.7, 0.9)  # qualities
_BATCH = 32


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

    def _evaluate(self) -> float | None:
        generator = torch.Generator(self._device).manual_seed(0)

        def cost(batch: Tensor) -> Tensor:
            qualities = torch.tensor(_VALIDATED, device=self._device)
            return torch.stack([self._costs(batch, q.expand(len(batch)), generator) for q in qualities]).mean()

        return self._mean_over_validation(cost, _BATCH)
