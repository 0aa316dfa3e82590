"""What a lossy codec learns: distortion and bits at every quality at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus.compression.lossy_network import LossyNetwork
from isthmus.objectives import Objective
from isthmus.share import drawn
from isthmus.training.task import Loss, Task, in_memory_order

CROP, STRIDE = 128, 32  # side of what is learned from at a time, where images are larger; and between two of these
_VALIDATED = (0.1, 0.3, 0.5, 0.7, 0.9)  # qualities
_BATCH = 32


class LossyTask(Task):
    """Rate plus λ times distortion, λ rising by a fixed factor from quality 0 to quality 1.

    Each sample has a quality of its own, and its loss is divided by the square root of its λ: no quality drowns the
    others.

    lambdas : the least and the largest λ. distortion : what "close" means.
    """

    network: LossyNetwork

    def __init__(self, network: LossyNetwork, lambdas: tuple[float, float], distortion: Objective) -> None:
        super().__init__(network, validation_batch=_BATCH)
        self.lambdas, self.distortion = lambdas, distortion

    def forward(self, batch: Tensor, generator: torch.Generator) -> Loss:
        """The cost of images (N, channels, height, width) in [0, 1], each at a random quality."""
        quality = drawn(torch.rand, (len(batch),), generator, device=self.device)
        return Loss(self._cost(batch, quality, generator))

    def validation_loss(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """The mean cost over several qualities."""
        qualities = torch.tensor(_VALIDATED, device=self.device)
        return torch.stack([self._cost(batch, q.expand(len(batch)), generator) for q in qualities]).mean()

    def _cost(self, batch: Tensor, quality: Tensor, generator: torch.Generator) -> Tensor:
        x = in_memory_order(batch.to(self.device))
        reconstruction, nats = self.network(x, quality, generator)
        rate = nats / (math.log(2) * x[0].numel())
        low, high = self.lambdas
        weight = low * (high / low) ** quality
        cost: Tensor = ((rate + weight * self.distortion.per_sample(reconstruction, x)) / (weight / low).sqrt()).mean()
        return cost
