"""Which columns of a table of measurements are signals that can be cleaned: those that go on from row to row.

Clocks, counters, labels and columns of unrelated rows are not signals: cleaning would destroy them.
"""

from __future__ import annotations

import numpy as np

_RISING = 0.98  # share of the steps that go one way, from which on a column counts or tells the time
_EVEN = 0.9  # share of equal steps, from which on it counts, and now and then begins again
_MOST_LABELS = 10  # different whole numbers of a column of labels
_LAGS, _CHANCE = 32, 4.5  # rows between values that are compared, and standard errors that chance does not reach
_LEAST_ROWS = 32  # below which the rows cannot tell


def why_no_signal(values: np.ndarray) -> str | None:
    """What a column is where it is no signal, in a word; None for a signal.

    values : array of shape (rows,), free of gaps.

    >>> import numpy as np
    >>> why_no_signal(1.7e9 + np.arange(100) / 100)
    'rises'
    >>> why_no_signal(np.sin(np.arange(100) / 10) + np.random.default_rng(0).normal(0, 0.2, 100))
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return "constant"
    steps = np.diff(values)
    moves = steps[steps != 0]
    up = float((moves > 0).mean())
    if up >= _RISING or up <= 1 - _RISING:
        return "rises" if up > 0.5 else "falls"
    whole = bool((values == np.rint(values)).all())
    if float(np.isclose(steps, np.median(steps), rtol=1e-6, atol=0).mean()) >= _EVEN and np.median(steps) != 0:
        return "counts"
    if whole and len(np.unique(values)) <= _MOST_LABELS:
        return "labels"
    return None if _lasts(values) else "rows unrelated"


def _lasts(values: np.ndarray) -> bool:
    """Whether values a few rows apart hang together more than chance allows (Bartlett's standard error 1/√n).

    Ranks are compared, so that single outliers neither hide a signal nor feign one.
    """
    from scipy.stats import rankdata

    if len(values) < _LEAST_ROWS:
        return True
    ranks = rankdata(values) - (len(values) + 1) / 2
    power = float(ranks @ ranks)
    return any(
        abs(float(ranks[lag:] @ ranks[:-lag])) / power > _CHANCE / np.sqrt(len(values))
        for lag in range(1, min(_LAGS, len(values) // 4) + 1)
    )
