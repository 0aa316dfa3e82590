"""How sure it is that a sample is strange: conformal p-values (Vovk, Gammerman and Shafer 2005).

A p-value is the chance that a normal sample is at least as strange. It is found by counting among samples that the
model did not learn from, so that it holds whatever the data and however bad the model: only these samples and the new
one must be exchangeable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from isthmus.errors import IsthmusError, warn
from isthmus.typed_json import typed, typed_array

_FEW = 40  # samples whose quartiles say nothing about a tail
_DOUBT = 2.0  # standard deviations of a count


@dataclass(frozen=True)
class Calibration:
    """What is usual: the strangeness of samples that the model of their group did not learn from.

    scores : float64 (m,). groups : int64 (m,), 0, 1, ...; one group is split conformal, more are cross-conformal.
    weights : float64 (m,) from 0 to 1, how much of a sample counts as normal. assumed : what that rests on, in words.

    p-values are at most as small as they should be: P(p <= a) <= a for a normal sample, whatever a (with several
    groups proven for 2a, and met at a in practice; Vovk 2015, "Cross-conformal predictors"). Equal scores count as
    stranger, without random numbers: one sample has one p-value, and ties only make it larger.
    """

    scores: np.ndarray
    groups: np.ndarray
    weights: np.ndarray
    assumed: str

    @classmethod
    def of(cls, scores: np.ndarray, groups: np.ndarray, contamination: Any = None) -> Self:
        """From held-out scores.

        contamination : None: all are normal. "unknown", or a share: scores that the tail of the others cannot explain
            do not count, at most that share; see `normal_weights`.
        """
        scores, groups = np.asarray(scores, np.float64), np.asarray(groups, np.int64)
        if not len(scores):
            raise IsthmusError("there are 0 samples to calibrate with; at least 1 must be held out")
        if not np.isfinite(scores).all():
            raise IsthmusError(
                f"{np.count_nonzero(~np.isfinite(scores)):,} of {len(scores):,} held-out samples have no finite score, "
                "so that nothing could be stranger; look for values that are far too large"
            )
        if contamination is None:
            return cls(scores, groups, np.ones(len(scores)), "all calibration samples are normal")
        weights = normal_weights(scores, 0.5 if contamination == "unknown" else float(contamination))
        gone = len(scores) - weights.sum()
        assumed = (
            f"{gone:,.0f} of {len(scores):,} calibration samples are anomalies: normal ones are at most as strange "
            "as the tail of the others allows"
        )
        return cls(scores, groups, weights, assumed)

    @property
    def smallest(self) -> float:
        """The smallest possible p-value."""
        return 1 / (self._size + 1)

    def p_values(self, strangeness: np.ndarray) -> np.ndarray:
        """The chance that a normal sample is at least as strange, float64 (n,).

        strangeness : (groups, n), of new samples under the model of each group.

            p = (1 + sum over groups of #{calibration samples of the group that are at least as strange}) / (m + 1)
        """
        if len(strangeness) != len(self._sorted):
            raise IsthmusError(
                f"there are scores of {len(strangeness)} groups; the calibration has {len(self._sorted)}"
            )
        above = np.ones(strangeness.shape[1])
        for new, (scores, at_least) in zip(strangeness, self._sorted, strict=True):
            above += at_least[np.searchsorted(scores, new)]
        p: np.ndarray = np.minimum(above / (self._size + 1), 1.0)
        return p

    def threshold(self, alpha: float) -> float:
        """The strangeness that at most a share `alpha` of normal samples exceeds.

        With fewer than 1 / alpha - 1 calibration samples it is that of the strangest one, which a normal sample exceeds
        with a chance of `smallest`.
        """
        order = np.argsort(self.scores, kind="stable")
        scores, weights = self.scores[order], self.weights[order]
        above = self._size - np.cumsum(weights)  # the weight of what comes after each score
        enough = 1 + above <= alpha * (self._size + 1) + 1e-9
        last = int(np.flatnonzero(weights > 0)[-1])
        threshold = float(scores[min(int(np.argmax(enough)), last) if enough.any() else last])
        tied = float(weights[scores >= threshold].sum() / self._size)
        if threshold >= scores[last] > scores[0] and tied > max(2 * alpha, 2 * self.smallest):
            warn(
                f"{tied:.0%} of the calibration samples share the largest score, {threshold:.4g}: if no score can be "
                "larger, predict never flags anything; use detect, or score_samples for an order"
            )
        return threshold

    def discoveries(self, p: np.ndarray, fdr: float) -> np.ndarray:
        """`benjamini_hochberg`, with a warning where there are too few calibration samples for that rate."""
        found = benjamini_hochberg(p, fdr)
        extreme = int(np.count_nonzero(p <= self.smallest * (1 + 1e-9)))
        if extreme and not found.any():
            least = int(np.ceil(len(p) * self.smallest / fdr))
            needed = int(np.ceil(len(p) / (fdr * extreme)))
            warn(
                f"{extreme:,} of {len(p):,} samples are stranger than all {self._size:,.0f} calibration samples, yet "
                f"none is flagged: the smallest p-value is {self.smallest:.2g}, and fdr={fdr:g} takes {least:,} such "
                f"samples, or {needed:,} calibration samples; train on more, or judge fewer samples at once"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON values for the model's folder."""
        return {"assumed": self.assumed}

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays for the model's folder."""
        return {"scores": self.scores, "groups": self.groups, "weights": self.weights}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `to_dict` and `arrays`."""
        scores = typed_array(arrays, "scores", "float64", None)
        groups = typed_array(arrays, "groups", "int64", len(scores))
        weights = typed_array(arrays, "weights", "float64", len(scores))
        if not (len(scores) and np.isfinite(scores).all() and groups.min() >= 0 and groups.max() < len(scores)):
            raise IsthmusError("the calibration samples have no finite scores, or are of groups that there are not")
        if not (weights.min() >= 0 and weights.max() <= 1):
            raise IsthmusError("the weights of calibration samples must be from 0 to 1")
        return cls(scores, groups, weights, typed(values["assumed"], str, "assumed"))

    def of_groups(self) -> list[np.ndarray]:
        """The scores of each group."""
        return [self.scores[self.groups == group] for group in range(int(self.groups.max()) + 1)]

    @property
    def _size(self) -> float:
        return float(self.weights.sum())

    @cached_property
    def _sorted(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each group its scores in order (k,), and the weight of what is at least as strange as each (k + 1,)."""
        found = []
        for group, scores in enumerate(self.of_groups()):
            order = np.argsort(scores)
            weights = self.weights[self.groups == group][order]
            found.append((scores[order], np.append(np.cumsum(weights[::-1])[::-1], 0.0)))
        return found


def normal_weights(scores: np.ndarray, most: float) -> np.ndarray:
    """How much of each calibration sample counts as normal where some are anomalies, float64 (m,), from 0 to 1.

    scores : (m,). most : the largest share that may be taken for anomalies.

    A generalised Pareto tail is laid through the quantiles 1/2, 3/4 and 7/8 (Pickands 1975, "Statistical inference
    using extreme order statistics"): as heavy as the estimate and its standard error make it (de Haan and Ferreira
    2006, "Extreme value theory", section 3.3), and never lighter than an exponential one. Only where more samples are
    beyond a score than it allows, by more than chance, does the excess not count. This is on the safe side: what the
    tail can explain stays, and only makes p-values larger. Leaving out the strangest share, as is often done, leaves
    out normal samples wherever these overlap with anomalies, and then flags far too many: see docs/benchmarks.md.
    """
    middle, upper, high = np.quantile(scores, [0.5, 0.75, 0.875])
    if len(scores) < _FEW or upper <= middle or high <= upper:
        return np.ones(len(scores))
    shape = float(np.log2((high - upper) / (upper - middle)))
    size = max(abs(shape), 1e-3)  # the error is that of size -> 0 there
    error = size * np.sqrt(2 ** (2 * size + 1) + 1) / (2 * np.log(2) * (2**size - 1) * np.sqrt(len(scores) / 8))
    shape = max(shape + error, 1e-6)
    scale = (upper - middle) * shape / (2**shape - 1)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    expected = len(scores) / 2 * (1 + shape * np.maximum(ordered - middle, 0.0) / scale) ** (-1 / shape)
    allowed = expected + _DOUBT * (np.sqrt(expected) + 1)  # some normal samples are far out on real data
    excess = np.where(ordered > high, np.arange(1, len(scores) + 1) - allowed, 0.0)
    removed = np.minimum(np.maximum.accumulate(np.maximum(excess, 0.0)), most * len(scores))
    weights = np.empty(len(scores))
    weights[order] = np.clip(1 - np.diff(removed, prepend=0.0), 0.0, 1.0)
    return weights


def benjamini_hochberg(p: np.ndarray, fdr: float) -> np.ndarray:
    """Which p-values are discoveries at a false-discovery rate, bool (n,) (Benjamini and Hochberg 1995).

    Conformal p-values share their calibration samples; the rate holds all the same (Bates et al. 2023, "Testing for
    outliers with conformal p-values").
    """
    small = np.sort(p[p <= fdr])  # no other can be one; far fewer than all of many samples
    passed = small * (len(p) / np.arange(1, len(small) + 1)) <= fdr
    found: np.ndarray = p <= (small[passed][-1] if passed.any() else -1.0)
    return found
