"""Floats of any size: what is tiny, huge or far from zero is learned as numbers between 0 and 1.

A network computes in float32, which holds neither 1e12 ± 1 nor the square of 1e-20.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.data.units import Units
from isthmus.spec import Choice, parse_corruption

_LEAST, _MOST, _FAR = 1e-3, 1e6, 100.0  # spans that are learned as they are, and how many of them away from zero
_ADDED = {"gaussian", "rows"}  # noises that do not depend on where zero is
_UNITLESS = {"speckle", "salt-and-pepper", "masking", "block-masking", "blur"}  # whose level is no size of values


@dataclass(frozen=True)
class FloatUnits:
    """What is learned is (x - zero) / unit."""

    zero: float = 0.0
    unit: float = 1.0

    @classmethod
    def suiting(cls, units: Units, noise: str | None) -> FloatUnits:
        """The units for samples, whose noise may have been named; (0, 1) for numbers of usual size."""
        low, high = float(units.low), float(units.high)
        span, far = high - low, max(abs(low), abs(high))
        if np.dtype(units.dtype).kind != "f" or span == 0:
            return cls()
        if noise is None or {part.name for part in parse_corruption(noise)} <= _ADDED:
            return cls() if _LEAST <= span <= _MOST and far <= _FAR * span else cls(low, span)
        return cls() if _LEAST <= far <= _MOST else cls(0.0, far)

    def brought(self, samples: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Samples in these units."""
        if self == FloatUnits():
            return list(samples)
        return [((sample - np.float64(self.zero)) / self.unit).astype(np.float32) for sample in samples]

    def noise(self, name: str | None, *, back: bool = False) -> str | None:
        """A noise whose levels are in the data's own units, in these; or the way back."""
        if name is None or self.unit == 1:
            return name
        unit = 1 / self.unit if back else self.unit
        name, _, dark = name.partition(" above ")
        parts = "+".join(str(_divided(part, unit)) for part in parse_corruption(name))
        return f"{parts} above {float(dark) / unit:g}" if dark else parts


def _divided(part: Choice, unit: float) -> Choice:
    if part.low is None or part.high is None or part.name in _UNITLESS:
        return part
    if part.name == "poisson":  # its level counts photons at full brightness: the more, the larger the unit
        unit = 1 / unit
    return Choice(part.name, part.low / unit, part.high / unit)
