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
    """Judges, and the score that is usual of each: the median of rows that its models did not learn from."""

    judges: Sequence[Judge]
    usual: Sequence[float]

    @classmethod
    def of(cls, judges: Sequence[Judge], rows: Rows, groups: Tensor) -> tuple[Panel, Tensor]:
        """The panel, and the strangeness of rows (n,), each under the model of its own group."""
        own = torch.stack([_own(judge, rows, groups) for judge in judges])
        usual = own.median(1).values
        usual = torch.where(usual > 0, usual, own.mean(1).clamp(min=1e-12))
        return cls(judges, usual.tolist()), (own / usual[:, None]).sum(0)

    def scores(self, rows: Rows) -> Tensor:
        """How strange rows are under the model of each group, (groups, n)."""
        return sum((judge.scores(rows) / usual for judge, usual in self._pairs()), torch.zeros(()))

    def parts(self, rows: Rows) -> Tensor:
        """What each column adds to the mean over groups of `scores`, (n, columns)."""
        return sum((judge.parts(rows).mean(0) / usual for judge, usual in self._pairs()), torch.zeros(()))

    def _pairs(self) -> list[tuple[Judge, float]]:
        return list(zip(self.judges, self.usual, strict=True))


def _own(judge: Judge, rows: Rows, groups: Tensor) -> Tensor:
    """The score of each row under the model of its own group, (n,)."""
    parts = zip(rows.chunks(), groups.split(CHUNK), strict=True)
    return torch.cat([judge.scores(part).gather(0, group[None])[0] for part, group in parts])
