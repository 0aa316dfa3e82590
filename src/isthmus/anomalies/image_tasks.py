"""What is learned of images and signals: to guess parts that are hidden."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.anomalies.hidden_cells import cell_sizes, colouring, hide
from isthmus.networks.unet import UNet
from isthmus.share import whole
from isthmus.training.task import Loss, Task, in_memory_order

_VALIDATED = 64  # samples in a batch of the validation
_LEFT_OUT = 0.15  # of a batch that may hold anomalies: what costs most is not learned


class HiddenCellsTask(Task):
    """The squared error of cells that were hidden, in variances of the data.

    contaminated : whether the samples that cost most may be anomalies, which are not to be learned.
    """

    network: UNet

    def __init__(self, network: UNet, *, contaminated: bool, precision: str) -> None:
        super().__init__(network, precision, validation_batch=_VALIDATED)
        self.contaminated = contaminated

    def forward(self, batch: Tensor, generator: torch.Generator) -> Loss:
        """The cost of samples (N, channels, *spatial)."""
        costs = whole(self._costs(batch.to(self.device), generator), generator)
        if self.contaminated:
            costs = costs.sort().values[: max(1, round((1 - _LEFT_OUT) * len(costs)))]
        return Loss(costs.mean())

    def validation_loss(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """The median cost of samples: anomalies among them do not matter."""
        return whole(self._costs(batch.to(self.device), generator), generator).median()

    def _costs(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """What each sample costs, (N,), with cells of a random size in a random place hidden."""
        shape, sizes = x.shape[2:], cell_sizes(x.shape[2:])
        size = sizes[self._draw(len(sizes), generator)]
        start = [self._draw(2 * size, generator) for _ in shape]
        hidden = colouring(shape, size, start, x.device) == 0
        with self.autocast():
            guess = self.network(in_memory_order(hide(x, hidden, size))).float()
        errors = ((guess - x) / self.network.deviation)[..., hidden]
        costs: Tensor = errors.square().flatten(1).mean(1)
        return costs

    def _draw(self, n: int, generator: torch.Generator) -> int:
        return int(torch.randint(n, (1,), generator=generator, device=self.device))
