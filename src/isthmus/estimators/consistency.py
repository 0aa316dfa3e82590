"""Training of codes that are useful, not only small: they recognise a sample that was changed a little."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.device import memory_format
from isthmus.networks import AutoEncoderNetwork, seeded
from isthmus.registry import augmentations
from isthmus.spec import Choice, TrainingSpec
from isthmus.training.loop import Trainer

_WEIGHT = 0.1  # of the contrast beside the objective
_TEMPERATURE = 0.2
_HIDDEN, _COMPARED = 128, 64  # widths of the projector


class ConsistencyTrainer(Trainer):
    """Reconstruction, and a contrast between samples and their augmentations.

        x ─────────────▶ f ─▶ z ─▶ g ─▶ x' ≈ x
        └▶ augmented ──▶ f ─▶ z̃      which z̃ of the batch belongs to z?

    The question is put to a small network on top of the codes, the projector, which is forgotten after training: what
    it must ignore, such as the angle, may stay in the code, where the decoder needs it. The answer's cross-entropy is
    NT-Xent: Chen et al. 2020, "A simple framework for contrastive learning of visual representations", ICML,
    arXiv:2002.05709.
    """

    def __init__(
        self, network: AutoEncoderNetwork, feed: Any, spec: TrainingSpec, device: torch.device, **options: Any
    ) -> None:
        super().__init__(network, feed, spec, device, **options)
        assert spec.consistency is not None and self.helper is not None
        choice = Choice.parse(spec.consistency, augmentations)
        self._augment, self._weight = augmentations[choice.name], choice.value(_WEIGHT)

    def _loss(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        assert self._objective is not None and self.helper is not None
        x = batch if self._corruption is None else self._corruption(batch, generator)
        changed = self._augment(batch, generator)
        with self._autocast:
            rebuilt, penalty, z = self.network.with_code(_ordered(x), generator)
            both = self.helper(torch.cat([z, self.network.encode(_ordered(changed))]).flatten(1))
        first, second = F.normalize(both.float(), dim=1).chunk(2)
        similarity = first @ second.T / _TEMPERATURE
        own = torch.arange(len(x), device=x.device)
        contrast = (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2
        penalty = 0.0 if penalty is None else penalty
        return self._objective(rebuilt, batch), penalty + self._weight * contrast


def projector(code_shape: Sequence[int], seed: int) -> nn.Module:
    """The network that codes are compared through."""
    with seeded(seed):
        return nn.Sequential(nn.Linear(math.prod(code_shape), _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, _COMPARED))


def _ordered(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=memory_format(x.ndim))
