"""What the network learns: cells that are hidden, from those that are left of the row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from isthmus.data.table_scaling import TableScaler
from isthmus.tables.network import CellNetwork
from isthmus.training.feed import SourceFeed
from isthmus.training.order import mixed
from isthmus.training.task import Loss, Task

HIDDEN = (0.1, 0.5)  # share of a row's known cells that are hidden, drawn for each row


class FoldFeed:
    """Rows as a network sees them (n, width + columns), and the fold of each cell (n, columns).

    A cell's fold is a hash of its place. The member of that number is never shown the cell, and so can judge.
    """

    def __init__(self, feed: SourceFeed, columns: int, folds: int, seed: int) -> None:
        self._feed, self._columns, self._folds, self._seed = feed, columns, folds, seed

    def __len__(self) -> int:
        return len(self._feed)

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """One batch for each array of row numbers."""
        kept = []

        def remembered() -> Iterator[np.ndarray]:
            for indices in order:
                kept.append(indices)
                yield indices

        for x in self._feed.batches(remembered()):
            yield x, torch.from_numpy(self.folds(kept.pop(0))).to(x.device)

    def folds(self, rows: np.ndarray) -> np.ndarray:
        """The folds of the cells of some rows, int64 (n, columns)."""
        columns = np.arange(self._columns, dtype=np.uint64)
        z: np.ndarray = rows.astype(np.uint64)[:, None] * np.uint64(self._columns) + columns + np.uint64(self._seed)
        return (mixed(z * np.uint64(0x9E3779B97F4A7C15)) % np.uint64(self._folds)).astype(np.int64)


class HiddenCellsTask(Task):
    """The mean cost of cells that are hidden anew in every step; each member's own fold is left alone."""

    network: CellNetwork

    def __init__(self, network: CellNetwork, scaler: TableScaler) -> None:
        super().__init__(network)
        self._scaler = scaler

    def forward(self, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Loss:
        """batch : as of `FoldFeed`."""
        x, fold = batch
        members, device = self.network.members, x.device
        known = ~self._scaler.missing(x)
        own = fold == torch.arange(members, device=device)[:, None, None]  # (members, n, columns)
        shown = known & ~own
        low, high = HIDDEN
        share = low + (high - low) * torch.rand((members, len(x), 1), generator=generator, device=device)
        hidden = shown & (torch.rand(shown.shape, generator=generator, device=device) < share)
        outputs = self.network(x[:, : self._scaler.width], shown & ~hidden, generator)
        costs = self._scaler.losses(outputs.flatten(0, 1), x.repeat(members, 1)).view(hidden.shape)
        return Loss((costs * hidden).sum() / hidden.sum().clamp(min=1))
