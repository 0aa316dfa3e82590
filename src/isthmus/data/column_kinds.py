"""Kinds of columns: what each recognises, how its cells become numbers, and the way back.

Everything between a column of an Arrow table and a column of float64 is here; NaN stands for a missing cell. What
networks see of these numbers is in `data/cells.py`, by the kind's `block`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from isthmus.data.column_types import is_text
from isthmus.data.scaling import divisor
from isthmus.errors import IsthmusError
from isthmus.registry import column_kinds

_MOST_CATEGORIES = 255  # the commonest; the others share one more
_HEAVY_TAIL = 10.0  # excess kurtosis: an exponential distribution has 6
_MOST_DECIMALS = 6
_PERIODS = {"hour": 86_400.0, "weekday": 7 * 86_400.0, "year": 365.2425 * 86_400.0}  # named by what they tell
_STEPS = (86_400.0, 3_600.0, 60.0, 1.0, 1e-3)  # seconds that times are often whole multiples of
_MICROSECOND = 1e-6
_SECONDS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}  # units of Arrow's times in one
_LATEST = 9e12  # seconds: further from 1970 than microseconds reach in 64 bits


class ColumnKind:
    """One kind of column. `measure` learns its settings (JSON values) from a column; the others use them.

    block : what networks see of it, a name of `data/cells.py`; None for a column that is left out.
    summary : what is done with it, for people.
    """

    block: ClassVar[str | None]
    summary: ClassVar[str]

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of an Arrow column without its missing cells; ValueError where it cannot be of this kind.

        Arrays are in a `column_types.plain` type, here and in `encode`.
        """
        raise NotImplementedError

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        """An Arrow column as float64 (n,), NaN where a cell is missing; ValueError where one cannot be read."""
        raise NotImplementedError

    @classmethod
    def decode(cls, values: np.ndarray, settings: Mapping[str, Any]) -> Any:
        """The inverse: an Arrow array of a type that can be cast to the column's own."""
        raise NotImplementedError


@column_kinds.register("number")
class Number(ColumnKind):
    """Measurements and counts. Rounded to the decimals of the data, and kept within their range, on the way back."""

    block = "numbers"
    summary = "standardised"

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        values = cls.encode(array, {})
        settings = _moments(values) | {"low": float(values.min()), "high": float(values.max())}
        settings["decimals"] = _decimals(array, values)
        with np.errstate(over="ignore"):
            kurtosis = float((((values - settings["mean"]) / settings["scale"]) ** 4).mean()) - 3
        if kurtosis > _HEAVY_TAIL:
            settings |= _tamed(values)
        return settings

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        import pyarrow as pa

        if pa.types.is_temporal(array.type):
            raise ValueError(f"{array.type} holds no numbers")
        array = array.cast(pa.int8()) if pa.types.is_boolean(array.type) else array
        return _to_numpy(array.cast(pa.float64(), safe=is_text(array.type)))

    @classmethod
    def decode(cls, values: np.ndarray, settings: Mapping[str, Any]) -> Any:
        import pyarrow as pa

        kept = np.clip(values, settings["low"], settings["high"])
        if settings["decimals"] is not None:
            kept = np.round(kept, settings["decimals"])
        return pa.array(kept, from_pandas=True)


@column_kinds.register("duration")
class Duration(Number):
    """Spans of time, in seconds; kept within their range and to the whole units of the data on the way back."""

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        return super().measure(array, options) | {"decimals": None, "step": _step(cls.encode(array, {}))}

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        import pyarrow as pa

        if not pa.types.is_duration(array.type):
            raise ValueError(f"{array.type} holds no spans of time")
        return _to_numpy(array.cast(pa.int64()).cast(pa.float64(), safe=False)) / _SECONDS[array.type.unit]

    @classmethod
    def decode(cls, values: np.ndarray, settings: Mapping[str, Any]) -> Any:
        import pyarrow as pa

        return _microseconds(_in_steps(values, settings)).cast(pa.duration("us"))


@column_kinds.register("ordinal")
class Ordinal(ColumnKind):
    """Grades: a few values in an order, given as "ordinal:low<middle<high" or the sorted one. Learned as numbers."""

    block = "numbers"
    summary = "rank in the order, standardised"

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        seen = sorted(set(_listable(array).to_pylist()))
        order = options.get("order") or [_word(value) for value in seen]
        others = [value for value in seen if _word(value) not in order]
        if others:
            raise ValueError(f"{_word(others[0])!r} is not in the order {'<'.join(order)}")
        settings: dict[str, Any] = {"order": order}
        return settings | _moments(cls.encode(array, settings))

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        rank = {value: float(i) for i, value in enumerate(settings["order"])}
        cells = array.to_pylist()
        return np.array([math.nan if v is None else rank.get(_word(v), math.nan) for v in cells], np.float64)

    @classmethod
    def decode(cls, values: np.ndarray, settings: Mapping[str, Any]) -> Any:
        import pyarrow as pa

        ranks = np.clip(np.rint(values), 0, len(settings["order"]) - 1)
        return pa.array([None if math.isnan(rank) else settings["order"][int(rank)] for rank in ranks], pa.string())


@column_kinds.register("category")
class Category(ColumnKind):
    """One of some values without an order. The 255 commonest are kept apart; all others share one more."""

    block = "categories"
    summary = "one-hot"

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        import pyarrow.compute as pc

        counted = pc.value_counts(_as_values(array))
        pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
        ranked = sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))
        kept, rest = ranked[:_MOST_CATEGORIES], ranked[_MOST_CATEGORIES:]
        return {"values": [v for v, _ in kept], "counts": [n for _, n in kept] + [sum(n for _, n in rest)]}

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.compute as pc

        known, cells = pa.array(settings["values"]), _as_values(array)
        if cells.type != known.type:  # int8 is int64, 1.5 is no 1, "1" is 1
            numbers = all(
                pa.types.is_integer(type_) or pa.types.is_floating(type_) for type_ in (known.type, cells.type)
            )
            shared = pa.float64() if numbers else pa.large_string()
            known, cells = known.cast(shared, safe=False), cells.cast(shared, safe=False)
        codes = pc.index_in(cells, value_set=known).fill_null(len(known)).cast(pa.float64())  # null: unseen
        return _to_numpy(pc.if_else(cells.is_null(), None, codes))

    @classmethod
    def decode(cls, values: np.ndarray, settings: Mapping[str, Any]) -> Any:
        import pyarrow as pa

        gone = np.isnan(values)
        codes = np.clip(np.where(gone, 0, values), 0, len(settings["values"]) - 1).astype(np.int64)
        return pa.array(settings["values"]).take(pa.array(codes, mask=gone))


@column_kinds.register("boolean")
class Boolean(Category):
    """Yes or no."""

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        settings = super().measure(array, options)
        if len(settings["values"]) > 2:
            raise ValueError(f"it holds more than two values: {', '.join(map(str, settings['values'][:3]))}, ...")
        return settings


@column_kinds.register("date")
class Date(ColumnKind):
    """Dates and times: the trend, and the hour, the weekday and the time of year where the data vary in them."""

    block = "dates"
    summary = "trend, and periods in which it varies"

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        import pyarrow as pa

        seconds = cls.encode(array, {})
        low, high = float(seconds.min()), float(seconds.max())
        if max(-low, high) > _LATEST:
            raise ValueError("it holds dates more than 285,000 years from 1970")
        periods = [
            name
            for name, length in _PERIODS.items()
            if high - low >= 2 * length and np.unique(np.round(seconds % length)).size > 1
        ]
        settings = _moments(seconds) | {"low": low, "high": high, "step": _step(seconds)}
        settings["of_day"] = bool(pa.types.is_time(array.type))
        return settings | {"periods": periods, "lengths": [_PERIODS[name] for name in periods]}

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        import pyarrow as pa

        array = array.cast(pa.timestamp("us")) if is_text(array.type) else array
        type_ = array.type
        of_day = pa.types.is_time(type_)
        if pa.types.is_duration(type_) or not pa.types.is_temporal(type_) or of_day != settings.get("of_day", of_day):
            raise ValueError(f"{type_} holds no dates")
        if pa.types.is_date32(type_):
            return _to_numpy(array.cast(pa.int32()).cast(pa.float64())) * 86_400
        whole = array.cast(pa.int32() if type_.bit_width == 32 else pa.int64())
        unit = "ms" if pa.types.is_date(type_) else type_.unit
        return _to_numpy(whole.cast(pa.float64(), safe=False)) / _SECONDS[unit]

    @classmethod
    def decode(cls, values: np.ndarray, settings: Mapping[str, Any]) -> Any:
        import pyarrow as pa

        return _microseconds(_in_steps(values, settings)).cast(pa.timestamp("us"))


@column_kinds.register("ignore")
class Ignore(ColumnKind):
    """What is left out: free text, identifiers, columns without a value, lists."""

    block = None
    summary = "left out"

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        return {}


def parse_kind(name: str, text: str) -> tuple[str, dict[str, Any]]:
    """``"category"`` or ``"ordinal:low<middle<high"`` as the kind and its options."""
    kind, _, order = text.partition(":")
    column_kinds.check(kind)
    if order and kind != "ordinal":
        raise IsthmusError(f"column {name!r}: kind {kind!r} takes nothing after a colon, but {order!r} was given")
    return kind, {"order": order.split("<")} if order else {}


def _decimals(array: Any, values: np.ndarray) -> int | None:
    """Digits after the point that all values keep to; None where they need more than six."""
    import pyarrow as pa

    if pa.types.is_integer(array.type) or pa.types.is_boolean(array.type):
        return 0
    some = values if len(values) <= 10_000 else values[:: len(values) // 10_000]
    close = some.astype(np.float32) if array.type == pa.float32() else some
    return next((d for d in range(_MOST_DECIMALS + 1) if np.array_equal(np.round(close, d), close)), None)


def _tamed(values: np.ndarray) -> dict[str, float]:
    """Settings of a column with heavy tails: arsinh((x - centre) / width) is standardised, which is a signed logarithm.

    width : half of what the middle half of the values spans; where that is nothing, their mean distance from it.
    """
    low, centre, high = np.quantile(values, (0.25, 0.5, 0.75))
    width = (high - low) / 2 or float(np.abs(values - centre).mean()) or 1.0
    bent = np.arcsinh((values - centre) / width)
    return {
        "centre": float(centre),
        "width": float(width),
        "mean": float(bent.mean()),
        "scale": _scale(float(bent.std()), 0.0),
    }


def _moments(values: np.ndarray) -> dict[str, Any]:
    """The mean and the deviation to divide by; of values whose squares float64 does not hold, too."""
    size = float(np.abs(values).max()) or 1.0
    mean, deviation = float((values / size).mean()) * size, float((values / size).std()) * size
    return {"mean": mean, "scale": _scale(deviation, mean)}


def _scale(deviation: float, mean: float) -> float:
    return float(divisor(np.asarray(deviation), np.asarray(mean), np.dtype(np.float64)))


def _step(seconds: np.ndarray) -> float:
    """The longest of some usual spans that all times are whole multiples of."""
    return next((step for step in _STEPS if not (seconds / step % 1).any()), _MICROSECOND)


def _in_steps(seconds: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    step = settings["step"]
    a_second = round(1 / step) if step < 1 else 1 / step  # 1e-6 is no binary fraction, and 1e6 is exact
    kept: np.ndarray = np.clip(np.round(seconds * a_second) / a_second, settings["low"], settings["high"])
    return kept


def _microseconds(seconds: np.ndarray) -> Any:
    """Seconds as an Arrow array of whole microseconds; NaN is null."""
    import pyarrow as pa

    gone = np.isnan(seconds)
    return pa.array(np.rint(np.where(gone, 0, seconds) * 1e6).astype(np.int64), pa.int64(), mask=gone)


def _to_numpy(array: Any) -> np.ndarray:
    """An Arrow array of float64 as NumPy's; null is NaN."""
    return np.asarray(array.to_numpy(zero_copy_only=False), np.float64)


def _as_values(array: Any) -> Any:
    """Cells as categories are kept in JSON: booleans, whole numbers, numbers or text."""
    import pyarrow as pa

    type_ = _listable(array).type
    if pa.types.is_boolean(type_):
        return array
    if pa.types.is_integer(type_):
        return array if pa.types.is_uint64(type_) else array.cast(pa.int64())
    return array.cast(pa.float64() if pa.types.is_floating(type_) else pa.large_string())


def _listable(array: Any) -> Any:
    """The array; ValueError for cells that have no text which Arrow reads again."""
    import pyarrow as pa

    if pa.types.is_time(array.type) or pa.types.is_duration(array.type):
        raise ValueError(f"{array.type} is no list of values")
    return array


def _word(value: Any) -> str:
    """A cell as people write it in an order: 1, not 1.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
