"""What a `DriftMonitor` watches of samples beside their strangeness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from isthmus.data.base import Source, evenly_spread
from isthmus.data.table_source import TableSource

_MOST = 4096  # training samples that are kept of each column


@dataclass(frozen=True)
class Usual:
    """Columns of the training samples, each sorted by itself: what the columns of new samples are held against.

    names : k. values : float64 (m, k), -inf where missing.
    """

    names: tuple[str, ...]
    values: np.ndarray

    @classmethod
    def of(cls, samples: Any) -> Self:
        """Of training samples as a scorer opens them."""
        n = len(samples) if isinstance(samples, Source) else 0
        names, values = watched(samples.subset(evenly_spread(n, _MOST))) if n else ((), np.empty((0, 0)))
        return cls(names, np.sort(values, 0))


def watched(samples: Any) -> tuple[tuple[str, ...], np.ndarray]:
    """What is watched of opened samples beside their strangeness: names (k), values float64 (n, k).

    Of tables every column but dates, which move on by themselves; categories by how rare they are in the training data.
    """
    if not isinstance(samples, TableSource):
        return (), np.empty((len(samples), 0))
    used = [i for i, column in enumerate(samples.schema.used) if column.kind != "date"]
    values = np.concatenate([chunk[:, used] for chunk in samples.chunks()])
    return tuple(samples.schema.used[i].name for i in used), np.where(np.isnan(values), -np.inf, values)
