"""Windows of time series: how long they are, where they begin, and how what they say comes back to the time steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus.errors import IsthmusError
from isthmus.spec import is_integer

LEAST_WINDOWS = 3  # lengths of a window that a series to learn from must have
_SHORTEST, _WANTED, _LONGEST, _WITHOUT_PERIOD = 8, 32, 1024, 128  # lengths of windows, in steps
_MOST_LAGS, _MOST_STEPS = 1000, 100_000  # of which the period is looked for, and the steps that are looked at
_TAILS = 0.005  # share of the values at each end that may not decide
_CLEAR, _CHANCE = 0.1, 8.0  # least rise of the autocorrelation at a period, and what chance may reach, times √n
_AS_CLEAR = 0.9  # share of the clearest rise
_STRIDES = 8  # windows that hold a time step


def choose_window(series: Sequence[np.ndarray], asked: int | None) -> tuple[int, str]:
    """How many time steps are looked at together, and why, in words.

    series : each (n, channels). asked : what the user said; None for two periods of the longest series, between 32 and
    1,024 steps, or 128 where it has none; and at most a third of all steps.

    Raises IsthmusError where a series is too short.
    """
    longest = max(series, key=len)
    most, shortest = sum(map(len, series)) // LEAST_WINDOWS, min(map(len, series))
    if asked is not None:
        if not is_integer(asked) or asked < 2:
            raise IsthmusError(f"window (={asked!r}) must be an integer of at least 2")
        if asked > most:
            raise IsthmusError(
                f"window (={asked}) needs at least {LEAST_WINDOWS * asked:,} time steps to learn from, and there are "
                f"{sum(map(len, series)):,}{_transposed(longest)}"
            )
        check_length(series, asked)
        return asked, "as asked for"
    least = min(most, shortest)
    if least < _SHORTEST:
        raise IsthmusError(
            f"the series have {sum(map(len, series)):,} time steps, the shortest one {shortest:,}: at least "
            f"{LEAST_WINDOWS * _SHORTEST} are needed, and {_SHORTEST} of each{_transposed(longest)}"
        )
    period = dominant_period(longest)
    wanted, why = (_WITHOUT_PERIOD, "no period was found") if period is None else (2 * period, f"period of {period:,}")
    wanted = int(np.clip(wanted, _WANTED, _LONGEST))
    window = min(wanted, least)
    if window < wanted:
        why += f"; {wanted:,} would be looked at in longer series"
    return window, why


def check_length(series: Sequence[np.ndarray], window: int) -> None:
    """Raise IsthmusError for a series that is shorter than a window."""
    for number, values in enumerate(series):
        if len(values) < window:
            which = "the series" if len(series) == 1 else f"series {number}"
            raise IsthmusError(
                f"{which} has {len(values):,} time steps; {window:,} are looked at together{_transposed(values)}"
            )


def _transposed(values: np.ndarray) -> str:
    n, channels = values.shape
    return f"; shape {values.shape} is (time, channels): transpose it if time is the second" if channels > n else ""


def dominant_period(values: np.ndarray) -> int | None:
    """The period of a series in steps, None where it has none.

    values : (n, channels). The autocorrelation, averaged over the channels, rises again after it fell where a period is
    complete. Of the rises that are nearly as high as the highest one, the first counts.

    >>> import numpy as np
    >>> dominant_period(np.sin(2 * np.pi * np.arange(600) / 50)[:, None])
    50
    """
    from scipy.signal import argrelmax

    x = filled(values[:_MOST_STEPS])
    most = min(len(x) // 2, _MOST_LAGS)
    x = np.clip(x, *np.quantile(x, (_TAILS, 1 - _TAILS), axis=0))
    x = x - x.mean(0)
    spectrum = np.abs(np.fft.rfft(x, 2 * len(x), axis=0)) ** 2
    power = np.fft.irfft(spectrum, axis=0)[: most + 1]
    power = power[:, power[0] > 1e-12 * len(x)]
    if not power.shape[1]:
        return None
    correlation = (power / power[0]).mean(1) * len(x) / (len(x) - np.arange(most + 1))
    peaks = argrelmax(correlation, order=2)[0]
    peaks = peaks[peaks >= _SHORTEST // 2]
    rises = correlation[peaks] - np.minimum.accumulate(correlation)[peaks]
    if not len(peaks) or rises.max() < max(_CLEAR, _CHANCE / np.sqrt(len(x))):
        return None
    return int(peaks[rises >= _AS_CLEAR * rises.max()][0])


def filled(values: np.ndarray) -> np.ndarray:
    """Missing values (n, channels) on the line between their neighbours; 0 in a channel that has none."""
    missing = np.isnan(values)
    if not missing.any():
        return values
    result, steps = np.zeros_like(values), np.arange(len(values))
    for j, gaps in enumerate(missing.T):
        if not gaps.all():
            result[:, j] = np.interp(steps, steps[~gaps], values[~gaps, j])
    return result


def starts_in(n: int, window: int) -> np.ndarray:
    """Where the windows of a series of n steps begin, such that eight of them hold a step, int64 (m,)."""
    return np.unique(np.append(np.arange(0, n - window + 1, max(1, window // _STRIDES)), n - window))


class StepMeans:
    """What windows say, one number or one for each step, averaged over the windows that hold a step.

    n : steps of the series. shape : of what is said of a step.
    """

    def __init__(self, n: int, window: int, shape: tuple[int, ...] = ()) -> None:
        self._window, self._total, self._count = window, np.zeros((n, *shape)), np.zeros(n)

    def add(self, starts: np.ndarray, said: np.ndarray) -> None:
        """starts : of windows, (m,). said : (m, *shape), or (m, window, *shape)."""
        for start, own in zip(starts.tolist(), said, strict=True):
            self._total[start : start + self._window] += own
            self._count[start : start + self._window] += 1

    def means(self) -> np.ndarray:
        """(n, *shape)."""
        count = self._count.reshape(-1, *[1] * (self._total.ndim - 1))
        result: np.ndarray = self._total / np.maximum(count, 1)
        return result
