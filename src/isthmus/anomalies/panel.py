"""The judges of a table's rows together, each in units of what is usual for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.anomalies.judges import Judge
from isthmus.anomalies.rows import CHUNK, Rows

_STRANGEST, _LEAST_STRANGEST = 0.05, 5  # the share of rows that judges must agree on, and how many at least


@dataclass(frozen=True)
class Panel:
    """Judges, and the unit of each, (judges,): the median score of rows that models did not learn from, by votes."""

    judges: Sequence[Judge]
    usual: Tensor

    @classmethod
    def of(cls, judges: Sequence[Judge], rows: Rows, groups: Tensor, *, by_agreement: bool) -> tuple[Panel, Tensor]:
        """The panel, and the strangeness of rows (n,), each under the model of its own group.

        by_agreement : whether judges whose strangest rows others find strange, too, have more votes.
        """
        own = torch.stack([_own(judge, rows, groups) for judge in judges])
        usual = own.median(1).values
        usual = torch.where(usual > 0, usual, own.mean(1).clamp(min=1e-12))
        votes = torch.tensor([judge.votes for judge in judges])
        if by_agreement:
            weighed = torch.tensor([judge.sees_all for judge in judges])
            votes[weighed] *= _agreement(own[weighed])
        usual = usual / votes
        return cls(judges, usual), (own / usual[:, None]).sum(0)

    def scores(self, rows: Rows) -> Tensor:
        """How strange rows are under the model of each group, (groups, n)."""
        pairs = zip(self.judges, self.usual.unbind(), strict=True)
        return sum((judge.scores(rows) / usual for judge, usual in pairs), torch.zeros(()))


def _agreement(scores: Tensor) -> Tensor:
    """Votes of judges from their scores (judges, n): 1 in the mean.

    The square of the share of a judge's strangest rows, a twentieth, that are among those of another judge.
    """
    judges, n = scores.shape
    count = min(n, max(_LEAST_STRANGEST, int(_STRANGEST * n)))
    among = torch.zeros_like(scores).scatter_(1, scores.topk(count, 1).indices, 1.0)
    shared = (among @ among.T).fill_diagonal_(0.0).sum(1) / (judges - 1)
    votes = ((1 + shared) / (1 + count)).square()
    return votes / votes.mean()


def _own(judge: Judge, rows: Rows, groups: Tensor) -> Tensor:
    """The score of each row under the model of its own group, (n,)."""
    parts = zip(rows.chunks(), groups.split(CHUNK), strict=True)
    return torch.cat([judge.scores(part).gather(0, group[None])[0] for part, group in parts])
