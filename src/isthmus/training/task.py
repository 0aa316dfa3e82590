"""What a training step costs: the seam between the one training loop and everything that is trained.

    indices ──Feed──▶ batch ──Task──▶ Loss ──Trainer──▶ a step

A `Feed` gathers batches, a `Task` says what a batch costs, and the `Trainer` knows neither's inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.device import memory_format


class Loss(NamedTuple):
    """What a batch costs: `loss` is what the history tells, `penalty` is minimised beside it. Both are 0-d."""

    loss: Tensor
    penalty: Tensor | None = None


class Feed(Protocol):
    """Samples by their numbers, in batches of whatever kind the task takes."""

    def __len__(self) -> int:
        """How many samples there are."""

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[Any]:
        """One batch for each array of sample numbers."""


class Task(nn.Module):
    """What is learned: the networks, and the loss of a batch.

    A task owns everything that learns, so that `loss, penalty = task(batch, generator)` is all that a step computes and
    the module can be wrapped as it is, by DistributedDataParallel for one. It is complete once it is constructed.
    Subclasses define `forward`, and `validation_loss` where validation differs from it.

    network : what remains after training: its weights of the best validation are kept. What else learns (a projector, a
        model of the rate) are further submodules.
    precision : "float32" or "bfloat16", of the products inside `autocast()`.
    validation_batch : samples in a batch of the validation.
    """

    def __init__(self, network: nn.Module, precision: str = "float32", validation_batch: int = 512) -> None:
        super().__init__()
        self.network = network
        self.precision, self.validation_batch = precision, validation_batch

    def forward(self, batch: Any, generator: torch.Generator) -> Loss:
        """What a batch of the feed costs; random numbers come from the generator alone."""
        raise NotImplementedError

    def validation_loss(self, batch: Any, generator: torch.Generator) -> Tensor:
        """The mean loss of held-out samples; the generator starts at the same seed in every validation."""
        loss: Loss = self(batch, generator)
        return loss.loss

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.parameters()).device

    def autocast(self) -> torch.autocast:
        """The context for products that may run in bfloat16."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")


def in_memory_order(x: Tensor) -> Tensor:
    """A batch (N, C, *spatial) laid out as convolutions like it best."""
    return x.contiguous(memory_format=memory_format(x.ndim))
