"""The distance of rows to other rows: to the nearest ones, and to the nearest of a few."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.anomalies.judges import Judge, spread
from isthmus.anomalies.rows import Rows, RowView

_SPARE = 3  # more candidates than are needed, as they are found by distances that are rounded
_SAME = 1e-12  # squared distance, relative to the row's own size: two roundings of one row
_LEAST = 1e-3  # of a distance that others are divided by


@dataclass(frozen=True)
class Nearest(Judge):
    """The mean distance to the nearest rows of the groups that the model of a group learned from.

    One row at the distance 0 is left out: a row of the training data is not its own neighbour.

    references : features of other rows, sorted by group, (groups, m, width), and how many of each group there are,
    (groups,). bent : whether of the bent features. count : neighbours. usual : the same mean distance of each reference
    row, under the model of each group, (groups, groups, m); the distance is then divided by the root of what is usual
    among the neighbours (half-way from a distance to the local outlier factor of Breunig et al. 2000).
    """

    view: RowView
    references: Tensor
    sizes: Tensor
    bent: bool
    count: int
    usual: Tensor | None = None

    @classmethod
    def of(cls, view: RowView, rows: Rows, groups: Tensor, count: int, *, bent: bool, relative: bool) -> Nearest:
        """From reference rows and the group of each, (n,)."""
        x = rows.bent if bent else rows.plain
        each = [x[groups == group] for group in range(int(groups.max()) + 1)]
        sizes = torch.tensor([len(part) for part in each])
        references = x.new_zeros((len(each), int(sizes.max()), x.shape[1]))
        for group, part in enumerate(each):
            references[group, : len(part)] = part
        found = cls(view, references, sizes, bent, count)
        if not relative:
            return found
        scores = torch.cat([found.scores(part) for part in rows.chunks()], 1)
        usual = x.new_zeros((len(each), *references.shape[:2]))
        for group, size in enumerate(sizes.tolist()):
            usual[:, group, :size] = scores[:, groups == group]
        return cls(view, references, sizes, bent, count, usual)

    def scores(self, rows: Rows) -> Tensor:
        return self._search(rows)[0]

    def parts(self, rows: Rows) -> Tensor:
        scores, places = self._search(rows)
        x, seen = self._features(rows)
        near = self.references.flatten(0, 1)[places]  # (groups, n, count, width)
        squares = (near - x[:, None]).square().mean(2) * seen
        return spread(scores, self.view.by_column(squares))

    def _features(self, rows: Rows) -> tuple[Tensor, Tensor]:
        x = rows.bent if self.bent else rows.plain
        return x, rows.seen[:, self.view.owner].to(x.dtype)

    def _search(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """The score under the model of each group (groups, n), and the places of the neighbours (groups, n, count)."""
        x, seen = self._features(rows)
        groups, m = self.references.shape[:2]
        others = self.references.flatten(0, 1)
        rough = squared_distances(x, seen, others).view(x.shape[0], groups, m)
        rough.masked_fill_(torch.arange(m) >= self.sizes[:, None], torch.inf)
        first = torch.arange(groups)[:, None] * m
        places = (
            rough.topk(min(self.count + 1 + _SPARE, m), 2, largest=False).indices + first
        )  # the nearest of each group
        squares = exact_distances(x, seen, others, places)
        squares.masked_fill_(places - first >= self.sizes[:, None], torch.inf)
        rest = torch.tensor([[other for other in range(groups) if other != group] for group in range(groups)])
        scores, near = self._mean(squares[:, rest].flatten(2), places[:, rest].flatten(2))
        if self.usual is not None:
            usual = self.usual.flatten(1)[torch.arange(groups)[:, None], near].mean(2)
            scores = scores / usual.clamp(min=_LEAST).sqrt()
        return scores.T, near.transpose(0, 1)

    def _mean(self, squares: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """The mean distance to the nearest of some candidates, (n, groups), and their places, (n, groups, count)."""
        squares, order = squares.topk(min(self.count + 1, squares.shape[2]), 2, largest=False)
        places = places.gather(2, order)
        if squares.shape[2] > 1:
            is_itself = squares[..., :1] == 0
            squares = torch.where(is_itself, squares[..., 1:], squares[..., :-1])
            places = torch.where(is_itself, places[..., 1:], places[..., :-1])
        is_there = squares.isfinite()
        total = torch.where(is_there, squares, 0.0).sqrt().sum(2)
        return total / is_there.sum(2).clamp(min=1), torch.where(is_there, places, places[..., :1])


@dataclass(frozen=True)
class NearestOfFew(Judge):
    """The distance to the nearest of a few rows, the mean over many such choices (Sugiyama and Borgwardt 2013).

    Few rows hold few of those that do not belong, so that a cluster of these is far from all of them.

    samples : bent features, (groups, choices, few, width).
    """

    view: RowView
    samples: Tensor

    def scores(self, rows: Rows) -> Tensor:
        return self._search(rows)[0]

    def parts(self, rows: Rows) -> Tensor:
        scores, places = self._search(rows)
        near = self.samples.flatten(0, 2)[places]  # (groups, choices, n, width)
        costs = (near - rows.bent).square().sum(1)
        return spread(scores, self.view.by_column(costs) * rows.seen)

    def _search(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """The score under the model of each group (groups, n), and the nearest of each choice (groups, choices, n)."""
        groups, choices, few, width = self.samples.shape
        others, seen = self.samples.view(-1, width), rows.seen[:, self.view.owner].to(rows.bent.dtype)
        rough = squared_distances(rows.bent, seen, others).view(rows.bent.shape[0], groups * choices, few)
        first = torch.arange(groups * choices)[:, None] * few
        places = rough.topk(min(2, few), 2, largest=False).indices + first
        squares = exact_distances(rows.bent, seen, others, places)
        if few > 1:
            squares.masked_fill_(squares == 0, torch.inf)  # the row itself
        nearest, which = squares.min(2)
        nearest = torch.where(nearest.isfinite(), nearest, 0.0).sqrt().view(-1, groups, choices)
        places = places.gather(2, which[..., None])[..., 0].view(-1, groups, choices)
        return nearest.mean(2).T, places.permute(1, 2, 0)


def squared_distances(x: Tensor, seen: Tensor, others: Tensor) -> Tensor:
    """Squared distances of rows (n, width) to others (m, width) over the features that are seen: (n, m), roughly.

    Rounding is relative to the norms, so that small distances are not to be trusted.
    """
    norms = (x * x).sum(1, keepdim=True)
    if not torch.compiler.is_exporting() and bool((seen == 1).all()):
        return torch.addmm(others.square().sum(1)[None], x, others.T, alpha=-2).add_(norms)
    return (seen @ others.square().T - 2 * (x * seen) @ others.T).add_(norms)


def exact_distances(x: Tensor, seen: Tensor, others: Tensor, places: Tensor) -> Tensor:
    """The same to some of the others, places (n, a, b): exact, and 0 for equal rows."""
    found = ((others[places] - x[:, None, None]) * seen[:, None, None]).square_().sum(3)
    rounding = _SAME * (1 + (x * seen).square().sum(1))[:, None, None]
    return torch.where(found <= rounding, 0.0, found)
