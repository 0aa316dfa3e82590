"""How sure it is that a sample is strange: conformal p-values (Vovk, Gammerman and Shafer 2005)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """Strangeness of samples that the model of their group did not learn from: what is usual.

    scores : float64 (m,). groups : int64 (m,).
    """

    scores: np.ndarray
    groups: np.ndarray

    def p_values(self, strangeness: np.ndarray) -> np.ndarray:
        """The share of calibration samples that are at least as strange, float64 (n,); the sample itself counts.

        strangeness : (groups, n), of the samples under the model of each group.
        """
        above = np.zeros(strangeness.shape[1])
        for group, scores in enumerate(strangeness):
            own = np.sort(self.scores[self.groups == group])
            above += len(own) - np.searchsorted(own, scores)
        p: np.ndarray = (1 + above) / (len(self.scores) + 1)
        return p

    def threshold(self, alpha: float) -> float:
        """The strangeness that at most a share `alpha` of normal samples exceeds."""
        return float(np.quantile(self.scores, 1 - alpha, method="higher"))

    def to_dict(self) -> dict[str, Any]:
        """JSON values for the model's folder."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays for the model's folder."""
        return {"scores": self.scores, "groups": self.groups}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `to_dict` and `arrays`."""
        return cls(**values, **arrays)


def benjamini_hochberg(p: np.ndarray, fdr: float) -> np.ndarray:
    """Which p-values are discoveries at a false-discovery rate, bool (n,) (Benjamini and Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    found: np.ndarray = false_discovery_control(p) <= fdr
    return found
