"""Several small networks of one architecture, trained together: one product for all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Members(nn.Module):
    """One linear layer for each member: (members, n, n_in) -> (members, n, n_out)."""

    def __init__(self, members: int, n_in: int, n_out: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, n_in, n_out).normal_().mul_(gain).div_(math.sqrt(n_in)))
        self.bias = nn.Parameter(torch.zeros(members, 1, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Every member's rows through its own layer."""
        return torch.baddbmm(self.bias, x, self.weight)
