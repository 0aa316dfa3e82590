"""A network that tells what each cell of a row could be, given any of the others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.networks.blocks import linear
from isthmus.share import drawn

_EMBEDDING = 16  # numbers that stand for a slot
_BLOCKS = 2
_WAVES = 4.0  # standard deviation of the frequencies, over the range of a column, that ordered slots begin with


class RowNetwork(nn.Module):
    """Slots (n, columns), of which some are given, to the logits of all slots of all columns (n, sum of sizes).

    sizes : slots of each column. hidden : width of the residual blocks. ordered : of each column, how many of its first
    slots are in an order; these begin alike where they are neighbours, which few rows could not teach.
    """

    starts: Tensor

    def __init__(self, sizes: Sequence[int], hidden: int, dropout: float = 0.0, ordered: Sequence[int] = ()) -> None:
        super().__init__()
        self.sizes, self.dropout = list(sizes), dropout
        total, columns = sum(sizes), len(sizes)
        starts = list(itertools.accumulate([0, *sizes[:-1]]))
        self.register_buffer("starts", torch.tensor(starts), persistent=False)
        self.embedding = nn.Embedding(total, _EMBEDDING)
        for start, count in zip(starts, ordered, strict=False):
            self.embedding.weight.data[start : start + count] = _smooth(count)
        self.first = linear(columns * (_EMBEDDING + 1), hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(_BLOCKS + 1))
        self.inner = nn.ModuleList(linear(hidden, hidden) for _ in range(_BLOCKS))
        self.outer = nn.ModuleList(linear(hidden, hidden) for _ in range(_BLOCKS))
        self.last = linear(hidden, total)
        nn.init.zeros_(self.last.weight)

    def forward(
        self, slots: Tensor, given: Tensor, generator: torch.Generator | None = None, column: int | None = None
    ) -> Tensor:
        """given : bool (n, columns). column : the only one whose logits are wanted, (n, its slots).

        generator : of the dropout; without it there is none.
        """
        marks = given.to(self.embedding.weight.dtype)
        seen = self.embedding(slots + self.starts) * marks[..., None]
        h = self.first(torch.cat([seen.flatten(1), marks], 1))
        for norm, inner, outer in zip(self.norms, self.inner, self.outer, strict=False):
            h = h + outer(self._dropped(F.silu(inner(norm(h))), generator))
        h = self.norms[-1](h)
        if column is None:
            logits: Tensor = self.last(h)
            return logits
        mine = slice(int(self.starts[column]), int(self.starts[column]) + self.sizes[column])
        return F.linear(h, self.last.weight[mine], self.last.bias[mine])

    def start_from(self, shares: Tensor) -> None:
        """Begin with the shares of all slots (sum of sizes,), whatever is given."""
        with torch.no_grad():
            self.last.bias.copy_(shares.log())

    def _dropped(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None or not self.dropout:
            return x
        kept = drawn(torch.rand, x.shape, generator, device=x.device) >= self.dropout
        return x * kept / (1 - self.dropout)


def _smooth(count: int) -> Tensor:
    """Numbers of variance 1 for slots in an order, (count, _EMBEDDING): waves over them (Rahimi and Recht 2007)."""
    place = torch.linspace(0, 1, count)[:, None]
    frequency, phase = _WAVES * torch.randn(_EMBEDDING), 2 * math.pi * torch.rand(_EMBEDDING)
    return math.sqrt(2) * torch.cos(place * frequency + phase)
