"""How judges of rows are weighed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from isthmus.anomalies.judges import Judge
from isthmus.anomalies.panel import Panel
from isthmus.anomalies.rows import Rows


@dataclass(frozen=True)
class Said(Judge):
    """A judge whose scores are the features of one column."""

    column: int

    def scores(self, rows: Rows) -> Tensor:
        return rows.plain[None, :, self.column]


@pytest.mark.parametrize("by_agreement", [False, True])
def test_a_judge_that_nobody_confirms_has_fewer_votes(by_agreement: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 1 + torch.rand((400, 3), generator=generator)
    x[:20, :2] += 5  # strange to two of the three
    x[20:40, 2] += 5  # strange to the third alone
    rows = Rows(x, x, torch.ones_like(x, dtype=torch.bool))
    panel, scores = Panel.of([Said(i) for i in range(3)], rows, torch.zeros(400).long(), by_agreement=by_agreement)
    votes = x.median(0).values / panel.usual
    torch.testing.assert_close(votes.mean(), torch.tensor(1.0))
    torch.testing.assert_close(scores, panel.scores(rows)[0])
    assert votes[2] < 0.05 * votes[0] if by_agreement else votes[2] == votes[0]
