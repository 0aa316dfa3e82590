"""What rows that are drawn must fulfil: columns with a value, some values, or a range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.data.columns import Column, TableSchema
from isthmus.data.row_slots import RowSlots
from isthmus.errors import IsthmusError, unknown_name


@dataclass(frozen=True)
class Condition:
    """What one column must be.

    place : number of the column. slots : which of its slots are allowed, bool (slots of the column,). low, high : range
    of its values; NaN for both where only a missing cell is allowed.
    """

    place: int
    slots: np.ndarray
    low: float
    high: float
    among: tuple[float, ...] | None = None

    def moved(self, column: np.ndarray) -> np.ndarray:
        """Values of the column, (n,), each moved to the nearest allowed one."""
        if self.among is None:
            return column.clip(self.low, self.high)
        known = np.array([value for value in self.among if value == value])
        if not len(known):
            return column
        nearest: np.ndarray = known[np.abs(column[:, None] - known).argmin(1)]
        return np.where(np.isnan(column), column, nearest)

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Which rows (n, columns) fulfil it, bool (n,)."""
        column = values[:, self.place]
        if self.among is not None:
            found: np.ndarray = np.isin(column, self.among) | (np.isnan(column) & np.isnan(self.among).any())
        else:
            found = (column >= self.low) & (column <= self.high)
        return found


def conditions(where: Mapping[str, Any], schema: TableSchema, slots: RowSlots) -> list[Condition]:
    """Conditions by column: a value, None for a missing cell, a list of values, or a pair (low, high) of a range.

    Raises IsthmusError for a column that is unknown or left out, and for a value that it never holds.
    """
    names = [column.name for column in schema.used]
    found = []
    for name, wanted in where.items():
        if name not in names:
            if any(column.name == name for column in schema.left_out):
                raise IsthmusError(f"where: column {name!r} was left out in training, and holds nothing")
            raise unknown_name("column", name, names)
        place = names.index(name)
        column = schema.used[place]
        is_range = isinstance(wanted, tuple) and len(wanted) == 2 and not column.is_category
        if is_range:
            found.append(_range(column, place, wanted, slots))
        else:
            several = wanted if isinstance(wanted, list | set | frozenset | tuple) else [wanted]
            found.append(_values(column, place, list(several), slots))
    return found


def _range(column: Column, place: int, wanted: tuple[Any, Any], slots: RowSlots) -> Condition:
    low, high = (
        bound if value is None else _number(column, value)
        for value, bound in zip(wanted, (-np.inf, np.inf), strict=True)
    )
    if not low <= high:
        raise IsthmusError(f"where: the range of column {column.name!r} goes from {wanted[0]!r} to {wanted[1]!r}")
    inside = slots.inside[place]
    allowed = np.zeros(slots.sizes[place], bool)
    allowed[: len(inside)] = (inside[:, 0] <= high) & (inside[:, -1] >= low)
    if not allowed.any():
        raise IsthmusError(
            f"where: column {column.name!r} has no value from {wanted[0]} to {wanted[1]}; in the training data it goes "
            f"from {_shown(column, inside[0, 0])} to {_shown(column, inside[-1, -1])}"
        )
    return Condition(place, allowed, low, high)


def _values(column: Column, place: int, wanted: list[Any], slots: RowSlots) -> Condition:
    """One or several values; None stands for a missing cell."""
    allowed, among = np.zeros(slots.sizes[place], bool), []
    for value in wanted:
        if value is None and not slots.holes[place]:
            raise IsthmusError(f"where: column {column.name!r} has no missing cell in the training data")
        number = np.nan if value is None else _number(column, value)
        slot = int(slots.of_column(place, np.array([number]))[0])
        if value is not None and not slots.reaches(place, slot, number):
            raise IsthmusError(
                f"where: column {column.name!r} is never {value!r} in the training data; give a range (low, high)"
            )
        allowed[slot] = True
        among.append(number)
    return Condition(place, allowed, -np.inf, np.inf, tuple(among))


def _number(column: Column, value: Any) -> float:
    """A value as the column holds it in a matrix."""
    values = column.settings.get("values")
    if values is not None:
        texts = [str(known) for known in values]
        for candidate in (value, str(value), str(value).lower(), str(value).capitalize()):
            if str(candidate) in texts:
                return float(texts.index(str(candidate)))
        raise unknown_name(f"value of column {column.name!r}", value, texts[:20])
    try:
        number = column.handler.encode(_arrow(column, value), column.settings)[0]
    except (ValueError, TypeError, NotImplementedError) as error:
        raise IsthmusError(f"where: column {column.name!r} holds a {column.kind}, which {value!r} is not") from error
    if np.isnan(number):
        raise IsthmusError(f"where: column {column.name!r} holds a {column.kind}, which {value!r} is not")
    return float(number)


def _arrow(column: Column, value: Any) -> Any:
    import pyarrow as pa

    if column.kind == "date" and isinstance(value, str):
        return pa.array([value]).cast(pa.timestamp("us"))
    if column.kind == "number":
        return pa.array([float(value)])
    return pa.array([value])


def _shown(column: Column, number: float) -> str:
    value = column.handler.decode(np.array([number]), column.settings)[0].as_py()
    return f"{value:g}" if isinstance(value, float) else str(value)
