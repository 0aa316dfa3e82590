"""Time series: one long sample each, of any length, with a row for each time step and a column for each channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.data.base import Source
from isthmus.data.in_memory import as_array, is_list_of_arrays, is_list_of_paths, loaded
from isthmus.data.table_source import TableSource
from isthmus.errors import IsthmusError

NUMBERS = ("number", "duration")  # kinds of columns that are channels
_EVEN = 0.1  # a step of time that differs by more than this share from the usual one is irregular


@dataclass(frozen=True)
class Series:
    """One series.

    values : float64 (n, channels), NaN where missing. times : seconds since 1970, float64 (n,), None where there are
    none. table : what it was read from, where that was a data frame or a file, else None.
    """

    values: np.ndarray
    times: np.ndarray | None = None
    table: TableSource | None = None

    def __len__(self) -> int:
        return len(self.values)

    def channels(self) -> list[tuple[str, np.ndarray]]:
        """Name and values (n,) of each channel."""
        names = [f"channel {i}" for i in range(self.values.shape[1])]
        if self.table is not None:
            names = [column.name for column in self.table.schema.used if column.kind in NUMBERS]
        return list(zip(names, self.values.T, strict=True))

    @property
    def step(self) -> float | None:
        """The usual time from one row to the next, in seconds."""
        if self.times is None or len(self) < 2:
            return None
        step = float(np.nanmedian(np.diff(self.times)))
        return step if step > 0 else None

    @property
    def irregular(self) -> float:
        """The share of rows that do not follow the row before after the usual time."""
        if self.times is None or self.step is None:
            return 0.0
        return float((np.abs(np.diff(self.times) / self.step - 1) > _EVEN).mean())


def series_of_array(data: Any) -> Series:
    """A series in memory: (n,) or (n, channels).

    Raises IsthmusError for other shapes, for what is no number, and for infinities, with the step.

    >>> import numpy as np
    >>> series_of_array(np.arange(5)).values.shape
    (5, 1)
    """
    array = as_array(data)
    if array.ndim not in (1, 2) or array.dtype.kind not in "biuf":
        raise IsthmusError(
            f"a series is an array of numbers of shape (time,) or (time, channels), and this one has shape "
            f"{array.shape} and type {array.dtype}; several series are a list of such"
        )
    values = array.reshape(len(array), -1).astype(np.float64)
    infinite = np.isinf(values).any(1)
    if infinite.any():
        raise IsthmusError(f"time step {int(infinite.argmax())} is infinite; missing values are NaN")
    return Series(values, _index_times(data))


def series_of_source(source: Source) -> Series:
    """A source of rows, in their order, as one series."""
    return series_of_array(source.take(np.arange(len(source))))


def series_of_table(table: TableSource) -> Series:
    """A table whose columns of numbers are channels, and whose first column of dates tells the time.

    Raises IsthmusError where no column holds numbers, and for infinities.
    """
    rows = table.take(np.arange(len(table)))
    kinds = [column.kind for column in table.schema.used]
    numbers = [i for i, kind in enumerate(kinds) if kind in NUMBERS]
    if not numbers:
        raise IsthmusError(f"{table.name} has no column of numbers; a series needs at least one")
    series = series_of_array(rows[:, numbers])
    dates = [i for i, kind in enumerate(kinds) if kind == "date"]
    times = rows[:, dates[0]] if dates else None if table.index is None else _times(table.index)
    return Series(series.values, times, table)


def as_members(X: Any) -> Sequence[Any]:
    """One series as a list of it; a list of arrays, data frames or paths as it is."""
    X = loaded(X)
    several = isinstance(X, list | tuple) and bool(X)
    if several and (is_list_of_arrays(X) or is_list_of_paths(X) or all(hasattr(item, "columns") for item in X)):
        return list(X)
    return [X]


def _index_times(data: Any) -> np.ndarray | None:
    """The times that a pandas Series has in its index."""
    index = getattr(data, "index", None)
    return None if index is None or callable(index) else _times(index)


def _times(index: Any) -> np.ndarray | None:
    values = np.asarray(index)
    if values.dtype.kind != "M":
        return None
    seconds: np.ndarray = values.astype("datetime64[ns]").astype(np.int64) / 1e9
    return seconds
