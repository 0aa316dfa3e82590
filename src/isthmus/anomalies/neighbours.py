"""The distance of rows to other rows: to the nearest ones, and to the nearest of a few."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from isthmus.anomalies.judges import Judge
from isthmus.anomalies.rows import Rows, RowView

_CANDIDATES = 3  # looked at for each neighbour: some are of the group itself
_SAME = 1e-12  # squared distance, relative to the row's own size: two roundings of one row
_BAND = 0.01  # of a squared distance: what is as near to the last neighbour's shares its place
_LEAST = 1e-3  # of a distance that others are divided by


@dataclass(frozen=True)
class Nearest(Judge):
    """The mean distance to the nearest rows of the groups that the model of a group learned from.

    One row at the distance 0 is left out: a row of the training data is not its own neighbour. Rows about as
    near as the last neighbour share its place, so that it does not matter how distances are rounded. One search serves
    all groups: the nearest rows are looked for among all, and those of a group itself do not count for it.

    references : features of other rows, (m, width). groups : the group of each, (m,). members : the number of groups.
    count : neighbours. bend : how many deviations off the tails of numbers are bent, infinity for nowhere. usual : the
    same mean distance of each reference row, under the model of each group, (groups, m); the distance is then divided
    by the root of what is usual among the neighbours (half-way from a distance to the local outlier factor of Breunig
    et al. 2000).
    """

    view: RowView
    references: Tensor
    groups: Tensor
    members: int
    count: int
    bend: float
    usual: Tensor | None = None

    @classmethod
    def of(cls, view: RowView, rows: Rows, groups: Tensor, count: int, bend: float, *, relative: bool) -> Nearest:
        """From reference rows and the group of each, (n,)."""
        found = cls(view, rows.plain, groups, int(groups.max()) + 1, count, bend)
        found = replace(found, references=found._features(rows)[0])
        if not relative:
            return found
        return replace(found, usual=torch.cat([found.scores(part) for part in rows.chunks()], 1))

    def scores(self, rows: Rows) -> Tensor:
        x, seen = self._features(rows)
        squares = squared_distances(x, seen, self.references)
        near, places = squares.topk(min(_CANDIDATES * self.count, squares.shape[1]), 1, largest=False)
        near = without_rounding(near, x)
        counts = self.groups[places][:, None] != torch.arange(self.members)[:, None]
        shares = self._shares(near[:, None], counts)
        scores = (shares @ near.sqrt()[..., None])[..., 0].T
        if self.usual is not None:
            usual = self.usual[:, places].transpose(0, 1) * shares
            scores = scores / usual.sum(2).T.clamp(min=_LEAST).sqrt()
        return scores.float()

    def _features(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Features (n, width), and 1 where they are seen, else 0."""
        x = self.view.bent(rows.plain, self.bend)
        return x, rows.seen[:, self.view.owner].to(x.dtype)

    def _shares(self, squares: Tensor, counts: Tensor) -> Tensor:
        """The weights of candidates in a mean over the nearest of those that count, float64 (n, groups, candidates).

        squares : distances in order, (n, 1, candidates). counts : bool (n, groups, candidates).
        """
        is_itself = counts & (counts.cumsum(2) == 1) & (squares == 0)
        counts = counts & ~is_itself
        used = counts & (counts.cumsum(2) <= self.count)
        number = used.sum(2, keepdim=True).clamp(min=1)
        last = (squares * used).amax(2, keepdim=True)
        is_last = counts * (1 - (squares - last).abs() / (_BAND * last + 1e-30)).clamp(min=0)  # in part
        nearer = counts * (squares < last) * (1 - is_last)
        left = (number - nearer.sum(2, keepdim=True)) / is_last.sum(2, keepdim=True).clamp(min=1)
        return (nearer + is_last * left) / number


@dataclass(frozen=True)
class NearestOfFew(Judge):
    """The distance to the nearest of a few rows, the mean over many such choices (Sugiyama and Borgwardt 2013).

    Few rows hold few of those that do not belong, so that a cluster of these is far from all of them.

    samples : bent features, (groups, choices, few, width).
    """

    view: RowView
    samples: Tensor

    def scores(self, rows: Rows) -> Tensor:
        seen = rows.seen[:, self.view.owner].to(rows.bent.dtype)
        squares = squared_distances(rows.bent, seen, self.samples.flatten(0, 2)).unflatten(1, self.samples.shape[:3])
        squares = without_rounding(squares, rows.bent)  # (n, groups, choices, few)
        if squares.shape[3] > 1:
            squares = torch.where(squares == 0, torch.inf, squares)  # the row itself
        nearest = squares.amin(3)
        return torch.where(nearest.isfinite(), nearest, 0.0).sqrt().mean(2).T.float()


def squared_distances(x: Tensor, seen: Tensor, others: Tensor) -> Tensor:
    """Squared distances of rows (n, width) to others (m, width) over the features that are seen: float64 (n, m).

    0 for equal rows. As products of matrices, which lose digits where rows are large: hence float64.
    """
    x, seen, others = x.double(), seen.double(), others.double()
    norms = (x * x).sum(1, keepdim=True)
    if not torch.compiler.is_exporting() and bool((seen == 1).all()):
        found = torch.addmm(others.square().sum(1)[None], x, others.T, alpha=-2)
    else:
        found = seen @ others.square().T - 2 * (x * seen) @ others.T
    return found.add_(norms)


def without_rounding(squares: Tensor, x: Tensor) -> Tensor:
    """Those (n, ...) of rows x (n, width), where 0 means equal rows."""
    rounding = _SAME * (1 + x.double().square().sum(1))
    return torch.where(squares <= rounding.view(-1, *[1] * (squares.ndim - 1)), 0.0, squares)
