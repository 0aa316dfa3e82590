"""What the network of a table learns: to give back rows whose cells were hidden or moved."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from isthmus.anomalies.cell_network import CellNetwork
from isthmus.anomalies.rows import RowView
from isthmus.share import drawn, whole
from isthmus.training.order import hashed
from isthmus.training.task import Loss, Task

_HIDDEN = (0.1, 0.5)  # share of a row's known cells that are hidden, drawn for each row
_HIDDEN_CATEGORIES = 0.3  # share of the categories that are hidden in rows with noise, which these cannot hold


def group_of(rows: np.ndarray, groups: int, seed: int, n: int) -> np.ndarray:
    """The group of each of some rows among `n`, int64: a hash of its number, and even where there are few.

    The model of a group does not learn from the group's rows, which can therefore judge it.
    """
    if n < 50 * groups:
        return rows % groups
    return hashed(rows.astype(np.uint64) + np.uint64(seed), groups)


class DamagedRowsTask(Task):
    """The mean cost of rows that were damaged: half of them have cells hidden, the others noise in all cells.

    levels : the least and the largest standard deviation of the noise, drawn evenly on a logarithmic scale.
    dropped : share of each batch that is not learned from: the rows that are worst. They are those that may not belong.
    """

    network: CellNetwork

    def __init__(self, network: CellNetwork, view: RowView, levels: tuple[float, float], dropped: float) -> None:
        super().__init__(network)
        self._view, self._levels, self._dropped = view, levels, dropped

    def forward(self, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Loss:
        """batch : rows as networks see them (n, width + columns), and the group of each (n,)."""
        rows, group = self._view.rows(batch[0]), batch[1]
        members, n, device = self.network.members, len(group), group.device
        lots = drawn(torch.rand, (3, members, n, 1), generator, axis=2, device=device)
        hides = lots[0] < 0.5
        low, high = _HIDDEN
        categories = self._view.is_category * _HIDDEN_CATEGORIES
        share = torch.where(hides, low + (high - low) * lots[1], categories)
        lot = drawn(torch.rand, (members, n, rows.seen.shape[1]), generator, axis=1, device=device)
        hidden = rows.seen & (lot < share)
        least, largest = (math.log(level) for level in self._levels)
        level = torch.exp(least + (largest - least) * lots[2]) * ~hides
        noise = drawn(torch.randn, (members, *rows.bent.shape), generator, axis=1, device=device)
        noisy = rows.bent + level * noise * self._view.is_additive
        outputs = self.network(noisy, rows.seen & ~hidden, level)
        counted = torch.where(hides, hidden, rows.seen)
        cost = (self._view.costs(outputs, rows) * counted).sum(2) / counted.sum(2).clamp(min=1)  # (members, n)
        usual = torch.where(hides, torch.ones_like(level), level**2 / (1 + level**2))[..., 0]
        cost, usual = whole(torch.stack([cost, usual]), generator, axis=2)  # the worst of the whole batch are left out
        own = whole(group, generator) == torch.arange(members, device=device)[:, None]
        kept = self._kept((cost.detach() / usual).masked_fill(own, -math.inf)) & ~own
        return Loss((cost * kept).sum() / kept.sum().clamp(min=1) * members)

    def _kept(self, cost: Tensor) -> Tensor:
        """Which rows are learned from, (members, n)."""
        count = int(self._dropped * cost.shape[1])
        if not count:
            return torch.ones_like(cost, dtype=torch.bool)
        return cost < cost.topk(count, dim=1).values[:, -1:]
