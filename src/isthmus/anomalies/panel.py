"""The judges of a table's rows together, each in units of what is usual for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.anomalies.judges import Judge
from isthmus.anomalies.rows import CHUNK, Rows


@dataclass(frozen=True)
class Panel:
    """Judges, and the unit of each, (judges,): the median score of rows that models did not learn from, by votes."""

    judges: Sequence[Judge]
    usual: Tensor

    @classmethod
    def of(cls, judges: Sequence[Judge], rows: Rows, groups: Tensor) -> tuple[Panel, Tensor]:
        """The panel, and the strangeness of rows (n,), each under the model of its own group."""
        own = torch.stack([_own(judge, rows, groups) for judge in judges])
        usual = own.median(1).values
        usual = torch.where(usual > 0, usual, own.mean(1).clamp(min=1e-12))
        usual = usual / torch.tensor([judge.votes for judge in judges])
        return cls(judges, usual), (own / usual[:, None]).sum(0)

    def scores(self, rows: Rows) -> Tensor:
        """How strange rows are under the model of each group, (groups, n)."""
        pairs = zip(self.judges, self.usual.unbind(), strict=True)
        return sum((judge.scores(rows) / usual for judge, usual in pairs), torch.zeros(()))


def _own(judge: Judge, rows: Rows, groups: Tensor) -> Tensor:
    """The score of each row under the model of its own group, (n,)."""
    parts = zip(rows.chunks(), groups.split(CHUNK), strict=True)
    return torch.cat([judge.scores(part).gather(0, group[None])[0] for part, group in parts])
