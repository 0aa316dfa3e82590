"""Strange rows of tables with columns of any kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.anomalies import table_learning
from isthmus.anomalies.blame import Blame, divided
from isthmus.anomalies.cell_network import CellNetwork
from isthmus.anomalies.panel import Panel
from isthmus.anomalies.rows import CHUNK, Rows, RowView
from isthmus.anomalies.scorer import Learned, Parts, Scorer, Settings
from isthmus.data.columns import TableSchema
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource
from isthmus.errors import IsthmusError
from isthmus.networks import restored
from isthmus.training.feed import as_tensor
from isthmus.training.run import Run
from isthmus.typed_json import typed_array

_BLOCK = 32  # rows


class TableScorer(Scorer):
    """What networks and neighbours say of a row, column by column.

        cells ──▶ features ──┬── networks: cells from the other cells, and where rows are dense ──┐
                             └── the nearest other rows, the centre                             ──┴─▶ + ──▶ strangeness

    Rows are divided into groups; the networks and neighbours of a group never saw its rows. A cell that is missing adds
    nothing.
    """

    kind = "table"
    scaler: TableScaler

    def __init__(self, blame: Blame, kept: Mapping[str, np.ndarray]) -> None:
        """kept : what the judges are made of again, beside the network's weights."""
        self.scaler, self.view, self.panel = blame.view.scaler, blame.view, blame.panel
        self._blame, self._kept = blame, dict(kept)

    @property
    def schema(self) -> TableSchema:
        return self.scaler.schema

    @property
    def network(self) -> CellNetwork:
        """The members, one for each group."""
        return self._blame.hidden.network

    @classmethod
    def opened(cls, X: Any, detector: Settings) -> TableSource:
        return detector._open_table(X, None)

    @classmethod
    def learn(cls, run: Run, samples: TableSource, detector: Settings) -> Learned:
        found = table_learning.learn(run, samples, is_contaminated=detector.contamination is not None)
        scorer = cls(found.blame, found.kept)
        return Learned(scorer, found.scores, found.groups, found.trained)

    def open(self, X: Any, detector: Settings) -> TableSource:
        return detector._open_table(X, self.schema)

    def module(self) -> nn.Module:
        return _Judged(self._blame)

    @torch.inference_mode()
    def strangeness(self, samples: TableSource) -> np.ndarray:
        return torch.cat([self.panel.scores(rows)[:, :n] for rows, n in self._rows(samples)], 1).numpy()

    @torch.inference_mode()
    def parts(self, samples: TableSource) -> Parts:
        scores, values = [], []
        for rows, n in self._rows(samples):
            expected = self.view.values(self._blame.hidden.expected(rows).mean(0))
            others = self.view.rows(self.scaler.to_network(as_tensor(expected)))
            scores.append(self._blame.parts(rows, others)[:n].numpy())
            values.append(expected[:n])
        return Parts(samples.frame_with(np.concatenate(scores)), samples.rebuilt(np.concatenate(values)))

    def to_dict(self) -> dict[str, Any]:
        return {"scaler": self.scaler.to_dict()}

    def arrays(self) -> dict[str, np.ndarray]:
        weights = {f"network.{name}": v.cpu().numpy() for name, v in self.network.state_dict().items()}
        return weights | self._kept | {"usual": self.panel.usual.numpy()} | self.view.arrays()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> TableScorer:
        view = RowView.from_dict(values["scaler"], arrays)
        weights = {k.removeprefix("network."): v for k, v in arrays.items() if k.startswith("network.")}
        members, _, hidden = weights["first.weight"].shape
        network = restored(partial(CellNetwork, view.owner, members, hidden), weights)
        kept = {name: array for name, array in arrays.items() if name in table_learning.KEPT}
        _check_kept(kept, members, view)
        panel = Panel(table_learning.judges_of(network, view, kept), torch.from_numpy(arrays["usual"]))
        return cls(table_learning.blame_of(panel, network, view, kept), kept)

    def describe(self) -> dict[str, str]:
        used, left = self.schema.used, self.schema.left_out
        rows = {"columns": f"{len(used)} used" + (f", {len(left)} left out" if left else "")}
        rows["network"] = f"{self.network.members} members, each for a group of rows that it never saw"
        return rows

    def _rows(self, samples: TableSource) -> Iterator[tuple[Rows, int]]:
        """A few rows at a time, filled up to whole blocks, and how many there are.

        Products of other sizes round otherwise: a row's score should not depend on the rows beside it.
        """
        for chunk in samples.chunks(CHUNK):
            filled = np.concatenate([chunk, chunk[:1].repeat(-len(chunk) % _BLOCK, 0)])
            yield self.view.rows(self.scaler.to_network(as_tensor(filled))), len(chunk)


def _check_kept(kept: Mapping[str, np.ndarray], members: int, view: RowView) -> None:
    """IsthmusError where arrays from a file would be looked up outside of one another."""
    columns, width = len(view.is_category), len(view.owner)
    turns = typed_array(kept, "turns", "int64", columns)
    groups = np.zeros(0, np.int64)
    if "samples" not in kept:
        plain = typed_array(kept, "plain", "float32", None, width)
        groups = typed_array(kept, "reference_groups", "int64", len(plain))
        if "bent" in kept:
            typed_array(kept, "bent", "float32", len(plain), width)
        typed_array(kept, "missing", "bool", len(plain), columns)
    if "usual_costs" in kept:
        typed_array(kept, "usual_costs", "float32", columns)
    if turns.min() < 0 or turns.max() >= columns or groups.min(initial=0) < 0 or groups.max(initial=0) >= members:
        raise IsthmusError(f"the weights name turns or groups that {columns} columns and {members} members do not have")


class _Judged(nn.Module):
    """Rows (n, *network_shape) -> strangeness (n,), and what each column adds to it (n, columns).

    Networks alone divide it here: to judge a row again for each of its columns is more than a file should do.
    """

    def __init__(self, blame: Blame) -> None:
        super().__init__()
        self.blame, self.network = blame, blame.hidden.network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.blame.view.rows(x)
        total = self.blame.panel.scores(rows).mean(0)
        return total, divided(total, [self.blame.costs(rows)], rows.seen)
