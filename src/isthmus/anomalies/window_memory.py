"""Windows that are remembered, and how far those of a series are from the nearest of them at other times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_USUAL = 0.1  # the share of the stretches in which something as near must be found
_MOST_STRETCHES, _MOST_WINDOWS, _MOST_VALUES = 200, 4000, 1 << 23  # that are remembered
_BATCH = 1 << 22  # distances that are held at a time


@dataclass(frozen=True)
class Nearest:
    """What is nearest to some windows.

    starts : where they begin, int64 (b,). distances : root of the mean squared difference to what a tenth of the
    stretches have at least as near, float32 (b,). expected : the mean of the windows found there, float32
    (b, window, channels).
    """

    starts: np.ndarray
    distances: np.ndarray
    expected: np.ndarray


class WindowMemory:
    """Windows of the training data, in standard deviations of their channels.

    windows : float32 (stretches, m, window, channels), free of gaps: those that begin in a stretch of time, which is as
    long as a window. Neighbours in time resemble one another, and so each stretch has one vote: that of its nearest
    window. places : where each begins, counted through all series, int64 (stretches, m).
    """

    def __init__(self, windows: np.ndarray, places: np.ndarray) -> None:
        self.windows, self.places = windows, places
        self._flat = torch.from_numpy(windows.reshape(places.size, -1))
        self._squares = self._flat**2

    @classmethod
    def of(cls, series: Sequence[np.ndarray], window: int, seed: int) -> WindowMemory:
        """From series (n, channels) without gaps.

        What begins where in a stretch is drawn: even intervals could meet a period always at the same phase.
        """
        first = np.cumsum([0, *map(len, series)])
        starts = np.concatenate([a + np.arange(len(x) - window + 1) for a, x in zip(first, series, strict=False)])
        most = min(_MOST_WINDOWS, max(1, _MOST_VALUES // (window * series[0].shape[1])))
        stretches = max(1, min(round(len(starts) / window), _MOST_STRETCHES, most))
        length = min(window, len(starts) // stretches)  # of the part of each stretch that is remembered
        each = min(length, max(1, most // stretches))
        begin = np.linspace(0, len(starts) - length, stretches).astype(np.int64)
        drawn = np.random.default_rng([seed, 2]).uniform(size=(stretches, 1))
        chosen = begin[:, None] + ((np.arange(each) + drawn) * length / each).astype(np.int64)
        chosen[0, 0], chosen[-1, -1] = 0, len(starts) - 1  # the ends: some window is always far enough away in time
        places, together = starts[chosen], np.concatenate(series).astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(together, window, axis=0)[places].swapaxes(2, 3)
        return cls(np.ascontiguousarray(windows), places)

    @property
    def window(self) -> int:
        """Time steps of a window."""
        return int(self.windows.shape[2])

    def nearest(self, z: np.ndarray, starts: np.ndarray, first: int | None) -> Iterator[Nearest]:
        """What is nearest to the windows of a series, batch by batch.

        z : (n, channels) in standard deviations, NaN where missing. starts : of the windows, int64 (b,). first : the
        place of the first step, where the series was learned from: no window is compared with one that it overlaps.
        """
        views = np.lib.stride_tricks.sliding_window_view(z, self.window, axis=0).swapaxes(1, 2)
        votes = max(1, round(_USUAL * len(self.places)))
        numbers = torch.arange(self.places.size).view(self.places.shape)
        for some in np.array_split(starts, -(-len(starts) * self.places.size // _BATCH)):
            distances = self._distances(torch.from_numpy(np.ascontiguousarray(views[some], np.float32)).flatten(1))
            if first is not None:
                near = np.abs(some[:, None] + first - self.places.reshape(1, -1)) < self.window
                distances.masked_fill_(torch.from_numpy(near), torch.inf)
            best, which = distances.unflatten(1, self.places.shape).min(2)  # (b, stretches)
            found, stretch = best.topk(votes, largest=False)
            counts = found.isfinite()
            last = found.gather(1, counts.sum(1, keepdim=True).clamp(min=1) - 1)[:, 0]
            chosen = numbers[stretch, which.gather(1, stretch)]  # (b, votes)
            expected = torch.zeros((len(some), self._flat.shape[1]))
            for vote, counted in zip(chosen.T, counts.T, strict=True):
                expected += self._flat[vote] * counted[:, None]
            expected /= counts.sum(1, keepdim=True).clamp(min=1)
            yield Nearest(some, last.sqrt().numpy(), expected.unflatten(1, self.windows.shape[2:]).numpy())

    def _distances(self, windows: Tensor) -> Tensor:
        """Mean squared differences (b, all windows), of the values that are known."""
        seen = ~windows.isnan()
        x = windows.nan_to_num(0.0)
        known = self._squares.sum(1) if seen.all() else seen.float() @ self._squares.T
        squares = (x**2).sum(1, keepdim=True) - 2 * x @ self._flat.T + known
        return squares.clamp(min=0) / seen.sum(1, keepdim=True).clamp(min=1)
