"""What an auto-encoder learns: to rebuild its samples and, on request, codes that are useful as well as small."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.corruptions import Corruption
from isthmus.estimators.table_objective import TableObjective
from isthmus.networks import AutoEncoderNetwork, seeded
from isthmus.objectives import Objective
from isthmus.registry import augmentations
from isthmus.spec import Choice, TrainingSpec
from isthmus.training.contrast import contrast
from isthmus.training.task import Loss, Task, in_memory_order

_WEIGHT = 0.1  # of the contrast beside the objective
_TEMPERATURE = 0.2
_HIDDEN, _COMPARED = 128, 64  # widths of the projector


class ReconstructionTask(Task):
    """The objective between samples and what is rebuilt of them, or of their corrupted selves.

    x ──corruption──▶ f ──▶ z ──▶ g ──▶ x' ≈ x
    """

    network: AutoEncoderNetwork

    def __init__(
        self, network: AutoEncoderNetwork, spec: TrainingSpec, objective: Objective | TableObjective | None = None
    ) -> None:
        super().__init__(network, spec.precision)
        self.objective = objective or Objective(spec.objective)
        self.corruption = None if spec.corruption is None else Corruption(spec.corruption)

    def forward(self, batch: Tensor, generator: torch.Generator) -> Loss:
        """The objective, and the bottleneck's penalty if it has one; batch : scaled samples (N, *network_shape)."""
        x = self.corrupted(batch, generator)
        with self.autocast():
            rebuilt, penalty = self.network(x, generator)
        return Loss(self._cost(rebuilt, batch, generator), penalty)

    def validation_loss(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """The objective of deterministic reconstructions of clean samples."""
        x = in_memory_order(batch)
        with self.autocast():
            rebuilt = self.network.reconstruct(x)
        return self._cost(rebuilt, x, generator)

    def _cost(self, rebuilt: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        if isinstance(self.objective, TableObjective):
            return self.objective(rebuilt, x, generator)
        return self.objective(rebuilt, x)

    def corrupted(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """What f is given."""
        return in_memory_order(batch if self.corruption is None else self.corruption(batch, generator))


class ConsistencyTask(ReconstructionTask):
    """Reconstruction, and a contrast between samples and their augmentations.

        x ─────────────▶ f ─▶ z ─▶ g ─▶ x' ≈ x
        └▶ augmented ──▶ f ─▶ z̃      which z̃ of the batch belongs to z?

    The question is put to a small network on top of the codes, the projector, which is forgotten after training: what
    it must ignore, such as the angle, may stay in the code, where the decoder needs it. The answer's cross-entropy is
    NT-Xent: Chen et al. 2020, "A simple framework for contrastive learning of visual representations", ICML,
    arXiv:2002.05709.
    """

    def __init__(
        self,
        network: AutoEncoderNetwork,
        spec: TrainingSpec,
        code_shape: Sequence[int],
        objective: Objective | TableObjective | None = None,
    ) -> None:
        super().__init__(network, spec, objective)
        assert spec.consistency is not None
        choice = Choice.parse(spec.consistency, augmentations)
        self.augment, self.weight = augmentations[choice.name], choice.value(_WEIGHT)
        device = self.device
        with seeded(spec.seed):
            layers = [nn.Linear(math.prod(code_shape), _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, _COMPARED)]
        self.projector = nn.Sequential(*layers).to(device)

    def forward(self, batch: Tensor, generator: torch.Generator) -> Loss:
        """The objective; the contrast is a penalty beside that of the bottleneck."""
        x = self.corrupted(batch, generator)
        changed = self.augment(batch, generator)
        with self.autocast():
            rebuilt, penalty, z = self.network.with_code(x, generator)
            both = self.projector(torch.cat([z, self.network.encode(in_memory_order(changed))]).flatten(1))
        first, second = F.normalize(both.float(), dim=1).chunk(2)
        told_apart = contrast(first, second, lambda a, b: a @ b.T / _TEMPERATURE, generator)
        penalty = (0.0 if penalty is None else penalty) + self.weight * told_apart
        return Loss(self._cost(rebuilt, batch, generator), penalty)


def reconstruction_task(
    network: AutoEncoderNetwork,
    spec: TrainingSpec,
    code_shape: Sequence[int],
    objective: TableObjective | None = None,
) -> Task:
    """The task that a specification asks for. objective : of tables with columns of any kind."""
    if spec.consistency is None:
        return ReconstructionTask(network, spec, objective)
    return ConsistencyTask(network, spec, code_shape, objective)
