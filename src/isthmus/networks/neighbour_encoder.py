"""An encoder of few samples: new ones are placed among those that it remembers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ITERATIONS = 10  # of the mean: more change nothing
_LEAST = 1e-12  # squared distance at which a sample is a remembered one


class NeighbourEncoder(nn.Module):
    """(N, num_features) -> (N, code_size): where most of the nearest remembered samples are.

        x ──projection──▶ p ──▶ its k nearest remembered p_j ──▶ z = argmin Σ_j w_j log(1 + ‖z − z_j‖² / u²)

    with w_j ∝ 1 / ‖p − p_j‖². Layers learn the codes of few samples by heart and misplace new ones. This encoder keeps
    the codes z_j instead, and has nothing to train. The sum is the attraction between neighbours that they were
    learned by (`NeighbourhoodTask`). Its minimum is a robust mean: where a few neighbours lie elsewhere on the map, it
    stays with most of them, and a plain mean would be in between. It is found by weighting a mean again and again, from
    the plain one (Holland and Welsch 1977, "Robust regression using iteratively reweighted least-squares"). A
    remembered sample has its own code.

    projection : numbers that a fixed linear layer in front gives, which is filled by whoever trains. remembered : how
    many samples; `remember` takes them. voters : k.
    """

    samples: Tensor
    codes: Tensor
    unit: Tensor

    def __init__(self, num_features: int, code_size: int, projection: int, remembered: int, voters: int) -> None:
        super().__init__()
        self.voters = min(voters, remembered)
        self.projection = nn.Linear(num_features, projection).requires_grad_(False)
        self.register_buffer("samples", torch.zeros(remembered, projection))
        self.register_buffer("codes", torch.zeros(remembered, code_size))
        self.register_buffer("unit", torch.ones(1))

    @torch.no_grad()
    def remember(self, samples: Tensor, codes: Tensor, unit: float) -> None:
        """Keep the p_j, samples (remembered, projection), their z_j, codes (remembered, code_size), and u."""
        self.samples.copy_(samples)
        self.codes.copy_(codes)
        self.unit.fill_(unit)

    def forward(self, x: Tensor) -> Tensor:
        p = self.projection(x)
        # the order of distances is that of ‖p_j‖² / 2 − p · p_j; their own values would lose too many digits that way
        order = torch.addmm(self.samples.square().sum(1) / 2, p, self.samples.T, alpha=-1)
        nearest = order.topk(self.voters, largest=False).indices  # (N, k)
        distances = (p[:, None] - self.samples[nearest]).square().sum(-1)
        w = 1 / (distances + _LEAST)
        z_near = self.codes[nearest]  # (N, k, code_size)
        z = _mean(z_near, w)
        for _ in range(_ITERATIONS):
            z = _mean(z_near, w / (self.unit**2 + (z_near - z[:, None]).square().sum(-1)))
        return z


def _mean(codes: Tensor, weights: Tensor) -> Tensor:
    """Of codes (N, k, d) with weights (N, k): (N, d)."""
    return (weights[..., None] * codes).sum(1) / weights.sum(1)[:, None]
