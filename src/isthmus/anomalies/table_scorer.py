"""Strange rows of tables with columns of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.anomalies.scorer import Learned, Parts, Scorer, Settings
from isthmus.data.base import evenly_spread
from isthmus.data.columns import TableSchema
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource
from isthmus.training.feed import as_tensor
from isthmus.training.run import Run

_BATCH = 2048


class TableScorer(Scorer):
    """Each cell's cost under its column's mean or frequencies."""

    kind = "table"
    scaler: TableScaler

    def __init__(self, scaler: TableScaler, mean: np.ndarray) -> None:
        self.scaler, self.mean = scaler, mean

    @property
    def schema(self) -> TableSchema:
        return self.scaler.schema

    @classmethod
    def opened(cls, X: Any, detector: Settings) -> TableSource:
        return detector._open_table(X, None)

    @classmethod
    def learn(cls, run: Run, samples: TableSource, detector: Settings) -> Learned:
        scaler = TableScaler.of(samples.schema, samples.frame)
        held_out = run.held_out(len(samples), max(1, len(samples) // 5))
        x = scaler.to_network(as_tensor(samples.take(evenly_spread(len(samples), 10_000))))
        mean = x[:, : scaler.width].mean(0).clamp(min=1e-6).numpy()
        scorer = cls(scaler, mean)
        scores = scorer.strangeness(samples.subset(held_out))[0].astype(np.float64)
        return Learned(scorer, scores, np.zeros(len(scores), np.int64), None)

    def open(self, X: Any, detector: Settings) -> TableSource:
        return detector._open_table(X, self.scaler.schema)

    def module(self) -> nn.Module:
        return _Costs(self.scaler, torch.from_numpy(self.mean))

    def strangeness(self, samples: TableSource) -> np.ndarray:
        return np.concatenate([self._judged(chunk)[0].numpy() for chunk in samples.chunks(_BATCH)])[None]

    def parts(self, samples: TableSource) -> Parts:
        scores = np.concatenate([self._judged(chunk)[1].numpy() for chunk in samples.chunks(_BATCH)])
        outputs = torch.from_numpy(self.mean).expand(len(scores), -1)
        return Parts(samples.frame_with(scores), samples.rebuilt(self.scaler.from_network(outputs)))

    def to_dict(self) -> dict[str, Any]:
        return {"scaler": self.scaler.to_dict()}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"mean": self.mean}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> TableScorer:
        return cls(TableScaler.from_dict(values["scaler"], {}), arrays["mean"])

    def describe(self) -> dict[str, str]:
        used, left = self.scaler.schema.used, self.scaler.schema.left_out
        return {"columns": f"{len(used)} used" + (f", {len(left)} left out" if left else "")}

    def _judged(self, chunk: np.ndarray) -> tuple[Tensor, Tensor]:
        judged: tuple[Tensor, Tensor] = self.module()(self.scaler.to_network(as_tensor(chunk)))
        return judged


class _Costs(nn.Module):
    """Rows (n, *network_shape) -> strangeness (n,), and that of each column (n, columns)."""

    def __init__(self, scaler: TableScaler, mean: Tensor) -> None:
        super().__init__()
        self.scaler, self.mean = scaler, mean

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        costs = self.scaler.losses(self.mean.expand(x.shape[0], -1), x)
        return costs.sum(1), costs
