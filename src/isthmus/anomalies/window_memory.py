"""Windows that are remembered, and how far those of a series are from the nearest of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_NEAREST = 0.05  # the share of the remembered windows whose farthest one counts
_BATCH = 1 << 22  # distances that are held at a time


@dataclass(frozen=True)
class Nearest:
    """What is nearest to some windows.

    starts : where they begin, int64 (b,). distances : root of the mean squared difference to the k-th nearest window,
    float32 (b,). expected : the mean of the k nearest windows, float32 (b, window, channels).
    """

    starts: np.ndarray
    distances: np.ndarray
    expected: np.ndarray


class WindowMemory:
    """Windows of the training data, in standard deviations of their channels.

    windows : float32 (m, window, channels), free of gaps. places : where each begins, counted through all series, int64
    (m,).
    """

    def __init__(self, windows: np.ndarray, places: np.ndarray) -> None:
        self.windows, self.places = windows, places
        self._flat = torch.from_numpy(windows.reshape(len(windows), -1))
        self._squares = self._flat**2

    @property
    def window(self) -> int:
        """Time steps of a window."""
        return int(self.windows.shape[1])

    def nearest(self, z: np.ndarray, starts: np.ndarray, first: int | None) -> Iterator[Nearest]:
        """What is nearest to the windows of a series, batch by batch.

        z : (n, channels) in standard deviations, NaN where missing. starts : of the windows, int64 (b,). first : the
        place of the first step, where the series was learned from: no window is compared with one that it overlaps.
        """
        views = np.lib.stride_tricks.sliding_window_view(z, self.window, axis=0).transpose(0, 2, 1)
        for some in np.array_split(starts, -(-len(starts) * len(self.windows) // _BATCH)):
            distances = self._distances(torch.from_numpy(np.ascontiguousarray(views[some], np.float32)).flatten(1))
            k = len(self.windows)
            if first is not None:
                near = np.abs(some[:, None] + first - self.places) < self.window
                distances.masked_fill_(torch.from_numpy(near), torch.inf)
                k -= int(near.sum(1).max())
            found, which = distances.topk(max(1, min(k, round(_NEAREST * len(self.windows)))), largest=False)
            expected = self._flat[which].mean(1).unflatten(1, self.windows.shape[1:])
            yield Nearest(some, found[:, -1].sqrt().numpy(), expected.numpy())

    def _distances(self, windows: Tensor) -> Tensor:
        """Mean squared differences (b, m), of the values that are known."""
        seen = ~windows.isnan()
        x = windows.nan_to_num(0.0)
        known = self._squares.sum(1) if seen.all() else seen.float() @ self._squares.T
        squares = (x**2).sum(1, keepdim=True) - 2 * x @ self._flat.T + known
        return squares.clamp(min=0) / seen.sum(1, keepdim=True).clamp(min=1)
