"""What judges rows: networks that give cells back, the distance to other rows, the distance from the centre.

A judge's score of a row is a sum over columns, so that a weighted sum of judges is one, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.anomalies.cell_network import CellNetwork
from isthmus.anomalies.rows import Rows, RowView


class Judge(ABC):
    """One way to see that a row is strange."""

    @abstractmethod
    def parts(self, rows: Rows) -> Tensor:
        """What each column adds under the model of each group, none below 0: (groups, n, columns)."""

    def scores(self, rows: Rows) -> Tensor:
        """The sums over columns, (groups, n)."""
        return self.parts(rows).sum(2)


def spread(total: Tensor, costs: Tensor) -> Tensor:
    """A score (..., n) over the columns in the proportions of their costs (..., n, columns); evenly where all are 0."""
    sums = costs.sum(-1, keepdim=True)
    even = torch.full_like(costs, 1 / costs.shape[-1])
    return total[..., None] * torch.where(sums > 0, costs / sums.clamp(min=1e-30), even)


@dataclass(frozen=True)
class HiddenCells(Judge):
    """How far cells are from what the other cells of the row say: columns are hidden in turns, a part at a time.

    turns : which columns are hidden in each turn, bool (columns,). counted : 1 for columns that are asked for, 0 for
    others, (columns,).
    """

    network: CellNetwork
    view: RowView
    turns: Sequence[Tensor]
    counted: Tensor

    def expected(self, rows: Rows) -> Tensor:
        """Outputs for each cell from the others, (groups, n, width)."""
        level = rows.bent.new_zeros((len(rows), 1))
        outputs = rows.bent.new_zeros((self.network.members, *rows.bent.shape))
        for asked in self.turns:
            found = self.network(rows.bent, rows.seen & ~asked, level)
            outputs = torch.where(asked[self.network.owner], found, outputs)
        return outputs

    def parts(self, rows: Rows) -> Tensor:
        costs = self.view.costs(self.expected(rows), rows) * self.counted
        return spread(costs.sum(2).sqrt(), costs)


@dataclass(frozen=True)
class NoisyCells(Judge):
    """How far the network would move a row that it takes to hold noise: towards where rows are dense.

    That is the gradient of the logarithm of their density, smoothed by so much noise (Vincent 2011, "A connection
    between score matching and denoising autoencoders"). The larger the level, the coarser what is seen.

    usual : the cost that is usual in each column, (columns,): a cell then adds log(1 + cost / (4 usual)), as an error
    with heavy tails does, and no column drowns the others. None: costs are summed as they are.
    """

    network: CellNetwork
    view: RowView
    level: float
    usual: Tensor | None = None

    def costs(self, rows: Rows) -> Tensor:
        """The cost of each cell, (groups, n, columns)."""
        level = rows.bent.new_full((len(rows), 1), self.level)
        return self.view.costs(self.network(rows.bent, rows.seen, level), rows)

    def parts(self, rows: Rows) -> Tensor:
        costs = self.costs(rows)
        if self.usual is None:
            return spread(costs.sum(2).sqrt(), costs)
        return torch.log1p(costs / (4 * self.usual))


@dataclass(frozen=True)
class Centre(Judge):
    """The distance from the middle of all columns: what is far out in columns of its own.

    outputs : what a network would say that knows nothing of the row, (groups, width).
    """

    view: RowView
    outputs: Tensor

    def parts(self, rows: Rows) -> Tensor:
        outputs = self.outputs[:, None].expand(-1, len(rows), -1)
        costs = self.view.costs(outputs, rows)
        return spread(costs.sum(2).sqrt(), costs)
