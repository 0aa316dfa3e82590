"""Kinds of columns: what each recognises, how its cells become numbers, and the way back.

Everything between a column of an Arrow table and a column of float64 is here; NaN stands for a missing cell. What
networks see of these numbers is in `data/cells.py`, by the kind's `block`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from isthmus.errors import IsthmusError
from isthmus.registry import column_kinds

_MOST_CATEGORIES = 255  # the commonest; the others share one more
_HEAVY_TAIL = 10.0  # excess kurtosis: an exponential distribution has 6
_MOST_DECIMALS = 6
_PERIODS = {"hour": 86_400.0, "weekday": 7 * 86_400.0, "year": 365.2425 * 86_400.0}  # named by what they tell
_EXACT = 2**53  # whole numbers that float64 holds


class ColumnKind:
    """One kind of column. `measure` learns its settings (JSON values) from a column; the others use them.

    block : what networks see of it, a name of `data/cells.py`; None for a column that is left out.
    summary : what is done with it, for people.
    """

    block: ClassVar[str | None]
    summary: ClassVar[str]

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of an Arrow column without its missing cells; ValueError where it cannot be of this kind."""
        raise NotImplementedError

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        """An Arrow column as float64 (n,), NaN where a cell is missing."""
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
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"it holds {values[row]} in its known row {row}; leave such rows out or make them missing")
        mean, deviation = float(values.mean()), float(values.std())
        settings: dict[str, Any] = {"mean": mean, "scale": _positive(deviation, mean), "low": float(values.min())}
        settings |= {"high": float(values.max()), "decimals": _decimals(array, values)}
        with np.errstate(over="ignore"):
            kurtosis = float((((values - mean) / settings["scale"]) ** 4).mean()) - 3
        if kurtosis > _HEAVY_TAIL:
            settings |= _tamed(values)
        return settings

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        import pyarrow as pa

        if pa.types.is_boolean(array.type) or pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            array = array.cast(pa.float64() if not pa.types.is_boolean(array.type) else pa.int8())
        return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)

    @classmethod
    def decode(cls, values: np.ndarray, settings: Mapping[str, Any]) -> Any:
        import pyarrow as pa

        kept = np.clip(values, settings["low"], settings["high"])
        if settings["decimals"] is not None:
            kept = np.round(kept, settings["decimals"])
        return pa.array(kept, from_pandas=True)


@column_kinds.register("ordinal")
class Ordinal(ColumnKind):
    """Grades: a few values in an order, given as "ordinal:low<middle<high" or the sorted one. Learned as numbers."""

    block = "numbers"
    summary = "rank in the order, standardised"

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        seen = sorted(set(_plain(array)), key=lambda value: (isinstance(value, str), value))
        order = options.get("order") or [str(value) for value in seen]
        missing = [value for value in seen if str(value) not in order]
        if missing:
            raise ValueError(f"{missing[0]!r} is not in the order {'<'.join(order)}")
        settings: dict[str, Any] = {"order": order}
        ranks = cls.encode(array, settings)
        mean, deviation = float(ranks.mean()), float(ranks.std())
        return settings | {"mean": mean, "scale": _positive(deviation, mean)}

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        rank = {value: float(i) for i, value in enumerate(settings["order"])}
        return np.array([math.nan if v is None else rank.get(str(v), math.nan) for v in _plain(array)], np.float64)

    @classmethod
    def decode(cls, values: np.ndarray, settings: Mapping[str, Any]) -> Any:
        import pyarrow as pa

        ranks = np.clip(np.rint(values), 0, len(settings["order"]) - 1)
        return pa.array([None if math.isnan(rank) else settings["order"][int(rank)] for rank in ranks], pa.string())


@column_kinds.register("category")
class Category(ColumnKind):
    """One of some values without an order. The 255 commonest are told apart; others, and unseen ones, are one more."""

    block = "categories"
    summary = "one-hot"

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        import pyarrow.compute as pc

        counted = pc.value_counts(_undictionary(array))
        values = [_json(value) for value in counted.field("values").to_pylist()]
        pairs = sorted(zip(values, counted.field("counts").to_pylist(), strict=True), key=lambda p: (-p[1], str(p[0])))
        kept, rest = pairs[:_MOST_CATEGORIES], pairs[_MOST_CATEGORIES:]
        return {"values": [v for v, _ in kept], "counts": [n for _, n in kept] + [sum(n for _, n in rest)]}

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.compute as pc

        known = settings["values"]
        plain = _undictionary(array)
        if plain.type == pa.bool_() or not isinstance(known[0], str):
            known = pa.array(known)
            plain = plain.cast(known.type, safe=False) if plain.type != known.type else plain
        else:
            known, plain = pa.array(known, pa.large_string()), plain.cast(pa.large_string())
        codes = pc.index_in(plain, value_set=known)
        codes = codes.fill_null(len(known)).to_numpy(zero_copy_only=False).astype(np.float64)  # unseen
        codes[plain.is_null().to_numpy(zero_copy_only=False)] = np.nan
        return np.asarray(codes)

    @classmethod
    def decode(cls, values: np.ndarray, settings: Mapping[str, Any]) -> Any:
        import pyarrow as pa

        gone = np.isnan(values)
        codes = np.clip(np.where(gone, 0, values), 0, len(settings["values"]) - 1).astype(np.int64)
        return pa.array(settings["values"]).take(pa.array(codes, mask=gone))


@column_kinds.register("boolean")
class Boolean(Category):
    """Yes or no."""

    summary = "one-hot"


@column_kinds.register("date")
class Date(ColumnKind):
    """Dates and times: the trend, and the hour, the weekday and the time of year where the data vary in them."""

    block = "dates"
    summary = "trend, and periods in which it varies"

    @classmethod
    def measure(cls, array: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        seconds = cls.encode(array, {})
        mean, deviation = float(seconds.mean()), float(seconds.std())
        low, high = float(seconds.min()), float(seconds.max())
        periods = [
            name
            for name, length in _PERIODS.items()
            if high - low >= 2 * length and np.unique(np.round(seconds % length)).size > 1
        ]
        step = next((s for s in (86_400.0, 3_600.0, 60.0, 1.0) if not (seconds % s).any()), 1e-6)
        settings = {"mean": mean, "scale": _positive(deviation, mean), "low": low, "high": high}
        return settings | {"step": step, "periods": periods, "lengths": [_PERIODS[name] for name in periods]}

    @classmethod
    def encode(cls, array: Any, settings: Mapping[str, Any]) -> np.ndarray:
        import pyarrow as pa

        type_ = array.type
        if pa.types.is_time(type_):
            unit = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[type_.unit]
            whole = array.cast(pa.int32() if type_.bit_width == 32 else pa.int64())
        else:
            unit, whole = 1e6, array.cast(pa.timestamp("us", getattr(type_, "tz", None)), safe=False).cast(pa.int64())
        return np.asarray(whole.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64) / unit

    @classmethod
    def decode(cls, values: np.ndarray, settings: Mapping[str, Any]) -> Any:
        import pyarrow as pa

        kept = np.clip(np.round(values / settings["step"]) * settings["step"], settings["low"], settings["high"])
        gone = np.isnan(kept)
        microseconds = np.rint(np.where(gone, 0, kept) * 1e6).astype(np.int64)
        return pa.array(microseconds, pa.int64(), mask=gone).cast(pa.timestamp("us"))


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


def _positive(deviation: float, mean: float) -> float:
    """A deviation to divide by: 1 where the values do not differ by more than they are rounded."""
    return deviation if deviation > 8 * np.finfo(np.float64).eps * abs(mean) else 1.0


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
        "scale": _positive(float(bent.std()), 0.0),
    }


def _undictionary(array: Any) -> Any:
    import pyarrow as pa

    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def _plain(array: Any) -> list[Any]:
    return [None if value is None else _json(value) for value in _undictionary(array).to_pylist()]


def _json(value: Any) -> Any:
    """A cell as a JSON value."""
    return value if isinstance(value, bool | int | float | str) else str(value)
