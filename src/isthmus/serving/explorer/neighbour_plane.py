"""A map of long codes on which neighbours stay together: a `ManifoldMap` of the codes, which leads back to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_SAMPLES = 150_000  # that the map learns from, in several passes: some ten seconds
_LEAST_EPOCHS, _MOST_EPOCHS = 20, 100
_TAIL, _MARGIN = 0.002, 0.06  # share of the points that may be strays, and of the width around all others


@dataclass(frozen=True)
class NeighbourPlane:
    """The plane of a fitted map; what `Coordinates` are for a flat one.

        point (2,) = f(code),   code = g(point)

    center : the mean code. names : of both axes. low, high : the range in which most points lie.
    """

    manifold: Any
    center: np.ndarray
    names: tuple[str, str]
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray) -> NeighbourPlane:
        """Fitted to codes, float32 (n, numbers); always the same for the same codes."""
        from isthmus.manifold.manifold_map import ManifoldMap

        epochs = int(np.clip(_SAMPLES // len(codes), _LEAST_EPOCHS, _MOST_EPOCHS))
        manifold = ManifoldMap(epochs=epochs, device="cpu", random_state=0).fit(codes)
        low, high = np.quantile(manifold.transform(codes), (_TAIL, 1 - _TAIL), axis=0)
        margin = np.maximum(_MARGIN * (high - low), 1e-3)
        names = ("neighbours together, 1", "neighbours together, 2")
        return cls(manifold, codes.mean(axis=0), names, low - margin, high + margin)

    def points(self, codes: np.ndarray) -> np.ndarray:
        """Codes (n, numbers) as points (n, 2)."""
        points: np.ndarray = self.manifold.transform(np.asarray(codes, np.float32))
        return points

    def codes(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 2) as codes (n, numbers)."""
        codes: np.ndarray = self.manifold.inverse_transform(np.asarray(points, np.float32))
        return codes
