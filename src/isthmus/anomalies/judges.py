"""What judges rows: networks that give cells back, the distance to other rows, the distance from the centre."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.anomalies.cell_network import CellNetwork
from isthmus.anomalies.rows import Rows, RowView


class Judge(ABC):
    """One way to see that a row is strange.

    votes : how much it counts beside the others. sees_all : whether it looks at all columns, so that others may confirm
    what it sees.
    """

    votes: float = 1.0
    sees_all: ClassVar[bool] = True

    @abstractmethod
    def scores(self, rows: Rows) -> Tensor:
        """How strange rows are under the model of each group, none below 0: (groups, n)."""


@dataclass(frozen=True)
class HiddenCells(Judge):
    """How far cells are from what the other cells of the row say: columns are hidden in turns, a part at a time.

    turns : the turn of each column, (columns,). counted : 1 for the columns that are asked for, else 0, (columns,).
    """

    network: CellNetwork
    view: RowView
    turns: Tensor
    counted: Tensor
    votes: float = 1.0
    sees_all: ClassVar[bool] = False

    @cached_property
    def _asked_in(self) -> list[int]:
        """The turns in which a column that counts is hidden."""
        turns: list[int] = self.turns[self.counted > 0].unique().tolist()
        return turns

    def expected(self, rows: Rows) -> Tensor:
        """Outputs for each cell, predicted from the others, (groups, n, width)."""
        level = rows.bent.new_zeros((rows.bent.shape[0], 1))
        outputs = rows.bent.new_zeros((self.network.members, *rows.bent.shape))
        for turn in self._asked_in:
            asked = self.turns == turn
            found = self.network(rows.bent, rows.seen & ~asked, level)
            outputs = torch.where(asked[self.network.owner], found, outputs)
        return outputs

    def scores(self, rows: Rows) -> Tensor:
        return (self.view.costs(self.expected(rows), rows) @ self.counted).sqrt()


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
    votes: float = 1.0

    def costs(self, rows: Rows) -> Tensor:
        """The cost of each cell, (groups, n, columns)."""
        level = rows.bent.new_full((rows.bent.shape[0], 1), self.level)
        return self.view.costs(self.network(rows.bent, rows.seen, level), rows)

    def scores(self, rows: Rows) -> Tensor:
        costs = self.costs(rows)
        return costs.sum(2).sqrt() if self.usual is None else torch.log1p(costs / (4 * self.usual)).sum(2)


@dataclass(frozen=True)
class Centre(Judge):
    """The distance from the middle of all columns: what is far out in columns of its own.

    outputs : what a network would say that knows nothing of the row, (groups, width).
    """

    view: RowView
    outputs: Tensor

    def scores(self, rows: Rows) -> Tensor:
        outputs = self.outputs[:, None].expand(-1, rows.bent.shape[0], -1)
        return self.view.costs(outputs, rows).sum(2).sqrt()
