"""Signals whose columns have units of their own (°C beside Pa): each is learned and cleaned in units of its noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from isthmus.denoising.noise import estimate_deviation

NOISE = "gaussian:1"  # what every column then has, and by which a model is known that learned from such columns
_SPANS = 10  # widest over narrowest column from which on they are in different units
_FAR = 1e5  # spans between a column and 0 from which on float32 tells its values no longer apart


def in_own_units(signal: np.ndarray) -> bool:
    """Whether the columns of a signal (length, channels) differ so much that one unit does not serve them all.

    >>> import numpy as np
    >>> in_own_units(np.stack([np.sin(np.arange(50)), 101325 + 50 * np.cos(np.arange(50))], 1))
    True
    """
    spans = np.ptp(signal, axis=0).astype(np.float64)
    spans = np.where(spans > 0, spans, 1.0)
    far = np.abs(signal.astype(np.float64)).max(axis=0) > _FAR * spans
    return bool(spans.max() > _SPANS * spans.min() or far.any())


@dataclass(frozen=True)
class OwnUnits:
    """The middle and the deviation of the noise of each column, arrays of shape (channels,).

    A column without noise becomes 0, and comes back as it was.
    """

    middle: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(cls, signal: np.ndarray) -> Self:
        """The units of a signal (length, channels)."""
        middle = np.median(signal, axis=0)
        centred = np.asarray(signal - middle, np.float64)
        return cls(middle, np.array([estimate_deviation([centred[:, [j]]]) for j in range(signal.shape[1])]))

    def inside(self, signal: np.ndarray) -> np.ndarray:
        """The signal in units of its columns' noise, float64."""
        return np.asarray((signal - self.middle) / np.where(self.noise > 0, self.noise, np.inf), np.float64)

    def back(self, cleaned: np.ndarray, signal: np.ndarray) -> np.ndarray:
        """A signal that was cleaned in units of noise, back in its own."""
        return np.where(self.noise > 0, self.middle + self.noise * cleaned, signal).astype(signal.dtype)
