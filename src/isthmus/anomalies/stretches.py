"""Strange stretches of a time series: steps that are flagged, or the strangest ones, as events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_STRANGE = 0.95  # quantile of the strangeness above which steps beside a peak belong to it, where none is flagged


@dataclass(frozen=True)
class Stretch:
    """Steps from `start` to before `stop` of a series. peak : the strangest of them."""

    start: int
    stop: int
    peak: int

    def __len__(self) -> int:
        return self.stop - self.start


def stretches(strangeness: np.ndarray, flagged: np.ndarray, gap: int, most: int) -> list[Stretch]:
    """At most that many stretches, the one with the strangest step first.

    strangeness : (n,). flagged : bool (n,); where no step is, those above the 95 % quantile count. gap : steps in
    between that still join two runs.

    >>> stretches(np.array([0.0, 5, 1, 4, 0, 0, 9]), np.array([0, 1, 0, 1, 0, 0, 1], bool), 1, 5)
    [Stretch(start=6, stop=7, peak=6), Stretch(start=1, stop=4, peak=1)]
    """
    marked = flagged if flagged.any() else strangeness >= np.quantile(strangeness, _STRANGE)
    places = np.flatnonzero(marked)
    runs = np.split(places, np.flatnonzero(np.diff(places) > gap + 1) + 1)
    found = []
    for run in runs:
        start, stop = int(run[0]), int(run[-1]) + 1
        found.append(Stretch(start, stop, start + int(strangeness[start:stop].argmax())))
    return sorted(found, key=lambda one: -strangeness[one.peak])[:most]
