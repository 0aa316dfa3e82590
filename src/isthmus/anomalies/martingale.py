"""Whether a stream is exchangeable with a calibration set: a bet that cannot be won if it is.

A gambler bets against p-values, which are uniform and independent as long as the stream is exchangeable with the
calibration samples. The capital is a martingale then, and reaches 1 / alpha with a chance of at most alpha, however
long the stream is (Ville's inequality; Vovk et al. 2003, "Testing exchangeability on-line").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.data.base import evenly_spread

_BLOCK = 128  # rows at a time; random numbers belong to a block's number, so that no way to cut a stream changes them
_EDGES, _ENDS = 256, 32  # of the intervals that ranks are counted in: evenly, and at each end one by one

# What is bet on: that normal scores of the p-values have moved by so much, or are spread by so much.
_SHIFTS = np.array([-2.0, -1.0, -0.5, -0.25, 0.25, 0.5, 1.0, 2.0, 0.0, 0.0])
_SPREADS = np.array([1.0] * 8 + [0.75, 1.33])


class Ranks:
    """p-values of one statistic of a stream, each from its rank among all before it: uniform and independent.

    The line is cut into intervals at calibration values. A new value falls into one of them with a chance that is
    known exactly if the stream is exchangeable: in proportion to the calibration and earlier values in it (a Pólya
    urn). So counts are all that is kept, however long the stream. Ties are broken at random, for which a value carries
    a random number as its imaginary part: NumPy orders complex numbers by the real part, then by that.

    values : float64 (m,), of calibration samples.
    """

    def __init__(self, values: np.ndarray, generator: np.random.Generator) -> None:
        m = len(values)
        ordered = np.sort(values + 1j * generator.random(m))
        kept = np.unique(np.concatenate([evenly_spread(m, _EDGES), np.arange(m)[:_ENDS], np.arange(m)[-_ENDS:]]))
        self._edges = ordered[kept]
        self.counts = np.diff(kept, prepend=-1, append=m)

    def p_values(self, values: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """p-values (n,) of the next n values of the stream; the larger a value, the smaller.

        uniform : random numbers from 0 to 1, (n, 2).
        """
        n = len(values)
        interval = np.searchsorted(self._edges, values + 1j * uniform[:, 0])
        total = self.counts.sum()
        above = (total - np.cumsum(self.counts))[interval]
        earlier = np.tri(n, k=-1, dtype=bool)
        above = above + (earlier & (interval > interval[:, None])).sum(1)
        same = self.counts[interval] + (earlier & (interval == interval[:, None])).sum(1)
        np.add.at(self.counts, interval, 1)
        p: np.ndarray = (above + uniform[:, 1] * same) / (total + np.arange(n))
        return p


class Wealth:
    """Martingales of k statistics: capital 1 each, half of it on bets at once and the rest little by little.

    A bet multiplies its stake by the density of the p-values under its alternative: the normal score of the p-value has
    another mean or spread. What is kept back for later, (1 + t / 10) ** -0.1 / 2 after t samples, finds a change
    that comes late. stakes : logarithms (k, bets).
    """

    def __init__(self, k: int) -> None:
        self.seen = 0
        self.stakes = np.full((k, len(_SHIFTS)), np.log(0.5 / len(_SHIFTS)))

    def after(self, p: np.ndarray) -> np.ndarray:
        """Logarithms (n, k) of the martingales after each of the next n samples. p : their p-values (n, k)."""
        from scipy.special import ndtri

        z = -ndtri(np.clip(p, 1e-12, 1 - 1e-12))[:, :, None]
        gains = np.cumsum(z**2 / 2 - ((z - _SHIFTS) / _SPREADS) ** 2 / 2 - np.log(_SPREADS), 0)  # (n, k, bets)
        kept = 0.5 * (1 + (self.seen + np.arange(len(p) + 1)) / 10) ** -0.1
        staked = np.log(-np.diff(kept) / len(_SHIFTS))[:, None, None]
        before = np.concatenate([np.zeros_like(gains[:1]), gains[:-1]])
        stakes = gains + np.logaddexp(self.stakes, np.logaddexp.accumulate(staked - before))
        self.seen, self.stakes = self.seen + len(p), stakes[-1]
        wealth: np.ndarray = np.logaddexp(np.logaddexp.reduce(stakes, 2), np.log(kept[1:, None]))
        return wealth


class Martingale:
    """The mean of k martingales, one for each statistic of a stream's samples: a martingale itself.

    reference : k arrays, each statistic of calibration samples (m,). seed : of the random numbers that break ties.
    """

    def __init__(self, reference: Sequence[np.ndarray], seed: int = 0) -> None:
        generator = np.random.default_rng([seed, 0])
        self._seed = seed
        self._ranks = [Ranks(values, generator) for values in reference]
        self._wealth = Wealth(len(reference))

    @property
    def seen(self) -> int:
        """Samples so far."""
        return self._wealth.seen

    def after(self, statistics: np.ndarray) -> np.ndarray:
        """Logarithms (n, k) of each statistic's martingale after each of the next n samples. statistics : (n, k)."""
        found = [np.empty((0, len(self._ranks)))]
        start = 0
        while start < len(statistics):
            block, offset = divmod(self.seen, _BLOCK)
            rows = statistics[start : start + _BLOCK - offset]
            generator = np.random.default_rng([self._seed, 1 + block])
            uniform = generator.random((_BLOCK, len(self._ranks), 2))[offset : offset + len(rows)]
            p = [ranks.p_values(rows[:, i], uniform[:, i]) for i, ranks in enumerate(self._ranks)]
            found.append(self._wealth.after(np.column_stack(p)))
            start += len(rows)
        return np.concatenate(found)

    def to_dict(self) -> dict[str, Any]:
        """JSON values: what has been seen so far, without the reference."""
        counts = [ranks.counts.tolist() for ranks in self._ranks]
        return {"seen": self.seen, "stakes": self._wealth.stakes.tolist(), "counts": counts}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `to_dict` was called on a martingale of the same reference and seed."""
        self._wealth.seen, self._wealth.stakes = state["seen"], np.asarray(state["stakes"])
        for ranks, counts in zip(self._ranks, state["counts"], strict=True):
            ranks.counts = np.asarray(counts)
