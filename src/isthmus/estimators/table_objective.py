"""What "X' ≈ X" means for the rows of a table with columns of any kind."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.data.table_scaling import TableScaler
from isthmus.share import ratio

_MARKS = 0.1  # weight of telling missing cells from known ones, beside the cells themselves


class TableObjective:
    """The mean cost of the known cells, in units of what the columns' own means and frequencies would cost.

    Which cells are missing is learned beside it with a small weight, so that new rows have holes where rows do.
    """

    def __init__(self, scaler: TableScaler) -> None:
        self._scaler = scaler

    def __call__(self, reconstruction: Tensor, target: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The objective of a batch: a float32 scalar. generator : of the step, which knows the share of the batch."""
        with torch.autocast(target.device.type, enabled=False):
            reconstruction = reconstruction.float()
            known = (~self._scaler.missing(target)).sum().clamp(min=1)
            marks, right = reconstruction[:, self._scaler.width :], target[:, self._scaler.width :]
            cells = ratio(self._scaler.losses(reconstruction, target).sum(), known, generator)
            return cells + _MARKS * F.binary_cross_entropy_with_logits(marks, right)
