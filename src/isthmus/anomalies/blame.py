"""Which cells make a row strange."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.anomalies.judges import HiddenCells, NoisyCells
from isthmus.anomalies.panel import Panel
from isthmus.anomalies.rows import CHUNK, Rows, RowView

_MOST_ROWS = 4 * CHUNK  # that are judged at a time, each with one cell replaced


@dataclass(frozen=True)
class Blame:
    """Divides a row's strangeness among its cells.

    One half is shared by how far the network would move a cell, if it held noise, in units of what is usual for the
    column; the other half by how much less strange the row would be if the cell were as the others say. The first way
    blames columns that copy each other for each other's cells; the second blames small errors of well-known columns.
    Missing cells have no share.

    usual : the mean cost of the cells of each column, (columns,).
    """

    view: RowView
    panel: Panel
    noisy: NoisyCells
    hidden: HiddenCells
    usual: Tensor

    def parts(self, rows: Rows, expected: Rows) -> Tensor:
        """What each cell adds to the row's strangeness, the mean over groups: (n, columns).

        expected : the rows as their other cells say.
        """
        total = self.panel.scores(rows).mean(0)
        return divided(total, [self.costs(rows), self._relief(rows, expected, total)], rows.seen)

    def costs(self, rows: Rows) -> Tensor:
        """How far cells are from what networks say, (n, columns): of categories, which hold no noise, those hidden."""
        costs = self.noisy.costs(rows).mean(0)
        if self.view.has_categories:
            hidden = self.view.costs(self.hidden.expected(rows), rows).mean(0)
            costs = torch.where(self.view.is_category > 0, hidden, costs)
        return costs / self.usual

    def _relief(self, rows: Rows, expected: Rows, total: Tensor) -> Tensor:
        """By how much the strangeness `total` (n,) would fall with one cell replaced, (n, columns)."""
        columns = rows.seen.shape[1]
        own = self.view.owner == torch.arange(columns)[:, None]  # (columns, width)
        size, found = max(1, _MOST_ROWS // columns), []
        for part, other in zip(rows.chunks(size), expected.chunks(size), strict=True):
            known = part.seen[:, None, self.view.owner]
            plain = torch.where(own & known, other.plain[:, None], part.plain[:, None])  # (some, columns, width)
            replaced = self.view.seen_as(plain.flatten(0, 1), part.seen.repeat_interleave(columns, 0))
            found.append(self.panel.scores(replaced).mean(0).view(-1, columns))
        return (total[:, None] - torch.cat(found)).clamp(min=0)


def divided(total: Tensor, ways: list[Tensor], seen: Tensor) -> Tensor:
    """Totals (n,) among the cells that are seen, (n, columns): the mean of the proportions of each of the ways."""
    shares = torch.zeros(seen.shape)
    for way in ways:
        way = way * seen
        shares = shares + way / way.sum(1, keepdim=True).clamp(min=1e-30)
    shares = torch.where(shares.sum(1, keepdim=True) > 0, shares, seen.to(shares.dtype))
    shares = torch.where(seen.any(1, keepdim=True), shares, 1.0)
    return total[:, None] * shares / shares.sum(1, keepdim=True)
