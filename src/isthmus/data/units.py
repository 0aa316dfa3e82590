"""The units of data: those that a model learned from, and whether other data can be converted to them.

A number means nothing without its unit. The dtype and the range of the training data belong to a model, and what it is
given later is compared with them: converted where the formats define how (8 and 16 bits, booleans, sound), refused
where it is far outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.data.base import Source, SubsetSource
from isthmus.data.scaling import Scaler, to_dtype
from isthmus.errors import IsthmusError
from isthmus.spec import check_dtype
from isthmus.typed_json import typed

_FAR = 8.0  # widths of the training range
_FAR_SHARE, _SPIKES = 1e-3, 3  # of the values must lie so far outside, and more than so many
_NARROW = 64  # the training range is so many times as wide as that of fractional numbers: these are in a larger unit
_NORMALISED = 2.0  # largest magnitude of data that somebody has brought to a range of about 1, with their noise
_SHALLOW = 8  # 16 bits that reach no more than this part of the range hold fewer bits than they seem to
_LEAST_ROWS, _TIMES = 20, 100.0  # of a table that prove another unit, and how many times as large they are


@dataclass(frozen=True)
class Units:
    """The dtype and the range of what a model learned from.

    dtype : NumPy name. low, high : least and largest value, numbers or arrays that broadcast over a sample; NaN in
    models of earlier versions, which did not store them.
    """

    dtype: str
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, samples: Iterable[np.ndarray]) -> Units:
        """The units of arrays of one dtype; pixels that reach into the upper half of its range may take all of it."""
        samples = list(samples)
        dtype = samples[0].dtype
        low, high = float(min(s.min() for s in samples)), float(max(s.max() for s in samples))
        return cls(dtype.name, *(np.asarray(end) for end in _pixel_range(dtype, low, high)))

    @classmethod
    def of_scaler(cls, scaler: Scaler) -> Units:
        """The units of the data that a scaler was fitted to by range."""
        return cls(scaler.dtype, scaler.zero, scaler.zero + scaler.scale)

    def factor(self, dtype: np.dtype, low: float, high: float, name: str) -> float:
        """The factor that converts numbers of another dtype, which span `low` to `high`, to these units.

        Whole numbers are taken as they are where they fit; else white stands for white: 255 in 8 bits for 65,535 in 16,
        for True, and for 1 where the model learned from floats. Floats are in the model's units already.

        Raises IsthmusError, which names both ranges, where neither gives numbers like those of the training.
        """
        own, other = np.dtype(self.dtype), np.dtype(dtype)
        if own == other or other.kind == "f":
            return 1.0
        given, trained = _white(other), 1.0 if own.kind == "f" else _white(own)
        factor = trained / given if given and trained else 1.0
        if own.kind == "f" or not self._known:
            return factor
        least, most = float(self.low.min()), float(self.high.max())
        width = most - least

        def fits(by: float, deep: bool) -> bool:
            bright = not deep or low == high or _SHALLOW * high * by >= most
            return bright and least - width <= low * by and high * by <= most + width

        if fits(1.0, given is not None and trained is not None):
            return 1.0
        if factor != 1 and fits(factor, factor < 1):
            return factor
        raise self._foreign(other, low, high, name)

    def check(self, values: np.ndarray, name: str, *, given: np.ndarray | None = None, fractions: bool = True) -> None:
        """Refuse numbers in these units that are far outside the training range, or seem to be in a larger unit.

        Far outside means: all lie further outside than the range is wide, or at least one in a thousand lies eight
        times as far, and more than three do (fewer may be spikes). In a larger unit: fractions that vary less than a
        64th of the range of whole numbers, or that lie within ±2 where the training data did not. given : the user's
        numbers, where `values` were converted from them. fractions : whether the latter is looked at.
        """
        given = values if given is None else given
        if not self._known or not values.size:
            return
        least, most = float(values.min()), float(values.max())
        width = np.where(self.high > self.low, self.high - self.low, np.maximum(np.abs(self.high), 1.0))
        if bool((least < self.low - width).any()) or bool((most > self.high + width).any()):
            beyond = np.maximum(self.low - values, values - self.high) / width
            if beyond.min() > 1 or (beyond > _FAR).sum() > max(_SPIKES, _FAR_SHARE * beyond.size):
                raise self._foreign(given.dtype, given.min(), given.max(), name)
        floats, own_floats = given.dtype.kind == "f", np.dtype(self.dtype).kind == "f"
        if not fractions or not (floats or own_floats):
            return
        span, small = float(self.high.max() - self.low.min()), max(-least, most) <= _NORMALISED
        if 0 < _NARROW * (most - least) < span and (small or not own_floats):
            raise self._foreign(given.dtype, given.min(), given.max(), name)

    @property
    def _known(self) -> bool:
        return bool(np.isfinite(self.low).all())

    def _foreign(self, dtype: np.dtype, low: float, high: float, name: str) -> IsthmusError:
        return IsthmusError(
            f"{name} holds {np.dtype(dtype)} from {low:g} to {high:g}, and the model learned from {self.dtype} from "
            f"{self.low.min():g} to {self.high.max():g}: other units would be misread; bring the data to those of the "
            f"training data first"
        )

    def __str__(self) -> str:
        """As in "uint8 from 0 to 255"."""
        return f"{self.dtype} from {self.low.min():g} to {self.high.max():g}" if self._known else self.dtype

    def to_dict(self) -> dict[str, Any]:
        """JSON values, of a range that is two numbers."""
        return {"dtype": self.dtype, "range": [float(self.low), float(self.high)] if self._known else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Units:
        """The inverse of `to_dict`; of a model of an earlier version, which has no range, too."""
        low, high = typed(values.get("range"), tuple[float, float] | None, "range") or (np.nan, np.nan)
        return cls(check_dtype(values["dtype"]), np.asarray(low), np.asarray(high))


class RescaledSource(SubsetSource):
    """A source whose numbers are brought to another dtype, with a factor."""

    def __init__(self, source: Source, factor: float, dtype: np.dtype) -> None:
        super().__init__(source, np.arange(len(source)))
        self.given, self.dtype, self._factor = source.dtype, np.dtype(dtype), factor

    def _take(self, indices: np.ndarray) -> np.ndarray:
        return to_dtype(super()._take(indices) * np.float64(self._factor), self.dtype)

    def resident(self) -> np.ndarray | None:
        return None

    def back(self, values: np.ndarray) -> np.ndarray:
        """Numbers of this source's dtype in that of the data that were given."""
        return to_dtype(values / np.float64(self._factor), self.given)


def in_units_of(scaler: Scaler, source: Source) -> Source:
    """A source in the units of what a scaler was fitted to: itself, or one that converts; see `Units.factor`.

    Columns of tables are taken as they are.
    """
    if scaler.kind != "range" or source.dtype == scaler.dtype or source.dtype.kind == "f":
        return source
    ends = [(chunk.min(), chunk.max()) for chunk in source.chunks()]
    low, high = float(min(low for low, _ in ends)), float(max(high for _, high in ends))
    factor = Units.of_scaler(scaler).factor(source.dtype, low, high, source.name)
    return source if factor == 1 else RescaledSource(source, factor, np.dtype(scaler.dtype))


def check_dropped(scaler: Scaler, array: np.ndarray, name: str) -> None:
    """Refuse an image, of any size, in other units, where its dtype does not say what white is."""
    if scaler.kind != "range" or _white(array.dtype) is not None or array.dtype.kind not in "if":
        return
    low, high = Units.of_scaler(scaler).low.min(), Units.of_scaler(scaler).high.max()
    units = Units(scaler.dtype, np.asarray(low), np.asarray(high))
    units.factor(array.dtype, float(array.min()), float(array.max()), name)
    units.check(array, name)


def check_units(scaler: Scaler, chunk: np.ndarray, name: str) -> None:
    """Refuse samples that are in other units than those of the training data; see `Units.check`.

    A row of a table may hold anything, since outliers are looked for. At least 20 rows prove another unit where, in
    more than half of the columns, most are over 100 times as large as the column's mean and deviation together.
    """
    if scaler.kind == "range":
        Units.of_scaler(scaler).check(chunk, name)
        return
    if len(chunk) < _LEAST_ROWS:
        return
    larger = (np.abs(chunk) > _TIMES * (np.abs(scaler.zero) + scaler.scale)).mean(axis=0) > 0.5
    if larger.mean() > 0.5:
        column = int(np.flatnonzero(larger)[0])
        values, mean, deviation = chunk.reshape(len(chunk), -1)[:, column], scaler.zero.flat, scaler.scale.flat
        raise IsthmusError(
            f"{name} is in other units than the training data: column {column} goes from {values.min():g} to "
            f"{values.max():g}, where the model learned {mean[column]:g} ± {deviation[column]:g}, "
            f"and {larger.sum()} of {larger.size} columns are as far off; bring them to the units of the training data"
        )


def sound_scale(dtype: np.dtype) -> tuple[float, float]:
    """What silence and full scale are in sound of a dtype, as WAV files hold it: (128, 128) in uint8."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return 0.0, 1.0
    half = 2.0 ** (8 * dtype.itemsize - 1)
    return (half if dtype.kind == "u" else 0.0), half


def _pixel_range(dtype: np.dtype, low: float, high: float) -> tuple[float, float]:
    """All that pixels can be where they reach into the upper half of that, else what they span."""
    white = _white(dtype)
    return (0.0, white) if white is not None and 2 * high > white else (low, high)


def _white(dtype: np.dtype) -> float | None:
    """The number that stands for white where the dtype says so: booleans and whole numbers without a sign."""
    if dtype.kind == "b":
        return 1.0
    return float(np.iinfo(dtype).max) if dtype.kind == "u" and dtype.itemsize <= 4 else None
