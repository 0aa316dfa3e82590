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


def block_maxima(scores: np.ndarray, length: int) -> np.ndarray:
    """The largest of each block of scores (n,) of a series, (n // length,), at least one.

    Neighbouring steps share windows, and so their scores are no independent draws; the maxima of blocks as long as a
    window nearly are.

    >>> block_maxima(np.array([1.0, 5, 2, 3, 9, 4, 8]), 3)
    array([5., 9.])
    """
    whole = max(1, len(scores) // length) * length
    maxima: np.ndarray = np.maximum.reduceat(scores[:whole], np.arange(0, min(whole, len(scores)), length))
    return maxima


def stretch_p_value(peak: float, maxima: np.ndarray) -> float:
    """The chance that a block of a normal series has a peak as high. maxima : those of the calibration's blocks."""
    return float((1 + np.count_nonzero(maxima >= peak)) / (len(maxima) + 1))


def chance_of_false_alarm(steps: int, window: int, calibration: int) -> float:
    """The chance that a normal series has a step that is stranger than all that calibrate.

    steps, calibration : time steps of the series, and of those that calibrate. The strangest block of both is as likely
    to be any of them.

    >>> round(chance_of_false_alarm(950, 50, 3000), 2)
    0.24
    """
    new, known = max(1, steps / window), max(1, calibration / window)
    return new / (new + known)
