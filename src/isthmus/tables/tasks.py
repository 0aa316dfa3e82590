"""What the network learns: cells that are hidden, from those that are left of the row."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from isthmus.data.table_scaling import TableScaler
from isthmus.share import drawn, ratio
from isthmus.tables.network import CellNetwork
from isthmus.training.order import hashed
from isthmus.training.task import Loss, Task

HIDDEN = (0.1, 0.5)  # share of a row's known cells that are hidden, drawn for each row


def folds_of(rows: np.ndarray, columns: int, folds: int, seed: int) -> np.ndarray:
    """The folds of the cells of some rows, int64 (n, columns): hashes of their places.

    The member of a fold's number is never shown the cell, and so can judge.
    """
    first = rows.astype(np.uint64)[:, None] * np.uint64(columns) + np.uint64(seed)
    return hashed(first + np.arange(columns, dtype=np.uint64), folds)


class HiddenCellsTask(Task):
    """The mean cost of cells that are hidden anew in every step; each member's own fold is left alone."""

    network: CellNetwork

    def __init__(self, network: CellNetwork, scaler: TableScaler) -> None:
        super().__init__(network)
        self._scaler = scaler

    def forward(self, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Loss:
        """batch : rows as a network sees them (n, width + columns), and the fold of each cell (n, columns)."""
        x, fold = batch
        members, device = self.network.members, x.device
        known = ~self._scaler.missing(x)
        own = fold == torch.arange(members, device=device)[:, None, None]  # (members, n, columns)
        shown = known & ~own
        low, high = HIDDEN
        share = low + (high - low) * drawn(torch.rand, (members, len(x), 1), generator, axis=1, device=device)
        hidden = shown & (drawn(torch.rand, shown.shape, generator, axis=1, device=device) < share)
        outputs = self.network(x[:, : self._scaler.width], shown & ~hidden, generator)
        costs = self._scaler.losses(outputs.flatten(0, 1), x.repeat(members, 1)).view(hidden.shape)
        return Loss(ratio((costs * hidden).sum(), hidden.sum().clamp(min=1), generator))
