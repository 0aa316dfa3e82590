"""The network that predicts cells from the other cells of their row: several members, trained together."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.networks.members import Members
from isthmus.share import drawn
from isthmus.tables.factors import Factors

DROPOUT = 0.2


class CellNetwork(nn.Module):
    """What each cell could be, given the cells that are seen: a linear auto-encoder, and what residual layers add.

        seen cells ──Factors──▶ expectation ─────────────────────────┐
            │                        │                               ▼
            └──────────┬─────────────┘                               + ──▶ outputs
                       └──▶ residual blocks, one set a member ───────┘

    owner : the column of each feature, (width,). additive : the features whose outputs the expectation is added to;
    those of the others are logits. Outputs are (members, n, width).
    """

    owner: Tensor
    additive: Tensor

    def __init__(self, owner: Tensor, additive: Tensor, factors: Factors, members: int, hidden: int) -> None:
        super().__init__()
        self.factors, self.members = factors, members
        self.register_buffer("owner", owner)
        self.register_buffer("additive", additive)
        width, columns = len(owner), int(owner.max()) + 1
        n_in = 2 * width + columns
        self.first = Members(members, n_in, hidden)
        self.inner = nn.ModuleList(Members(members, hidden, hidden) for _ in range(2))
        self.outer = nn.ModuleList(Members(members, hidden, hidden) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(3))
        self.last, self.linear = Members(members, hidden, width, 0.0), Members(members, n_in, width, 0.0)

    def forward(self, x: Tensor, seen: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x : features (n, width). seen : (members, n, columns), or (n, columns) for the same of all.

        generator : of the dropout; without it there is none.
        """
        seen = seen.expand(self.members, *seen.shape[-2:])
        marks = seen[..., self.owner]  # (members, n, width)
        visible = x * marks
        expected, _ = self.factors(visible.flatten(0, 1), marks.flatten(0, 1))
        expected = expected.view(visible.shape)
        given = torch.cat([visible, expected, seen.to(x.dtype)], 2)
        h = self.first(given)
        for norm, inner, outer in zip(self.norms, self.inner, self.outer, strict=False):
            h = h + outer(_dropped(F.silu(inner(norm(h))), generator))
        out: Tensor = self.last(F.silu(self.norms[-1](h))) + self.linear(given) + expected * self.additive
        return out


def _dropped(x: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return x
    kept = drawn(torch.rand, x.shape, generator, axis=1, device=x.device) >= DROPOUT
    return x * kept / (1 - DROPOUT)
