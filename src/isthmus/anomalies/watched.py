"""What a `DriftMonitor` watches of samples beside their strangeness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from isthmus.data.base import evenly_spread
from isthmus.data.table_source import TableSource

_MOST = 4096  # training samples that are kept of each column


@dataclass(frozen=True)
class Usual:
    """Columns of training samples, each sorted by itself: what the columns of new samples are compared with.

    For tables these are all columns but dates, which move on by themselves; for other samples there are none.
    names : k. values : float64 (m, k), -inf where missing.
    """

    names: tuple[str, ...]
    values: np.ndarray

    @classmethod
    def of(cls, samples: Any) -> Self:
        """Those of training samples, as a scorer opens them."""
        values = watched(samples, evenly_spread(len(samples), _MOST))
        names = (samples.schema.used[i].name for i in _places(samples))
        return cls(tuple(names), np.sort(values, 0))


def watched(samples: Any, indices: np.ndarray) -> np.ndarray:
    """The columns that are watched of some opened samples, float64 (n, k), -inf where missing.

    A category counts by how rare it is in the training data, as its code does.
    """
    if not isinstance(samples, TableSource):
        return np.empty((len(indices), 0))
    values = np.asarray(samples.take(indices), np.float64)[:, _places(samples)]
    return np.where(np.isnan(values), -np.inf, values)


def _places(samples: Any) -> list[int]:
    """The used columns that are watched."""
    if not isinstance(samples, TableSource):
        return []
    return [i for i, column in enumerate(samples.schema.used) if column.kind != "date"]
