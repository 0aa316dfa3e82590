"""`DriftMonitor`: whether new samples are still like those that a detector learned from.

new sample ──▶ its strangeness, its columns ──▶ ranks among earlier ones ──▶ martingale ──▶ alarm at 1 / alpha
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from isthmus.anomalies.martingale import Martingale
from isthmus.anomalies.watched import watched
from isthmus.errors import IsthmusError, of_a_file
from isthmus.files import write_text
from isthmus.remote.paths import as_path
from isthmus.spec import is_real
from isthmus.typed_json import read_json, typed

if TYPE_CHECKING:
    from isthmus.anomalies.detector import AnomalyDetector

_FORMAT = 1
_ROWS = 8192  # of a batch at a time
_LARGEST = 1e300  # value of a martingale that is told


@dataclass(frozen=True)
class Drift:
    """What a monitor has found so far.

    alarm : whether the stream has stopped being like the training data. since : the row, counted from 0, at which
    the alarm was raised; None without alarm. value : the martingale now, 1 at the start; it raises an alarm when it
    first reaches 1 / alpha. seen : rows so far. strongest : the strongest sign of a change, "strangeness" or a column.
    """

    alarm: bool
    since: int | None
    value: float
    seen: int
    strongest: str


class DriftMonitor:
    """Raise an alarm when a stream of samples has stopped being like a detector's training data.

    For a stream that does not change, the chance of ever raising an alarm is at most `alpha`, however long it is
    watched. It watches the strangeness of samples and, in tables, each column but dates: its level, its spread, and how
    often it is missing.

    Parameters
    ----------
    detector : AnomalyDetector, fitted on tables, images or signals; the steps of a series depend on one another
    alpha : float, default=0.01
        Chance of a false alarm.
    random_state : int, default=0
        Seed of the random numbers that break ties.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus import AnomalyDetector, DriftMonitor
    >>> rng = np.random.default_rng(0)
    >>> detector = AnomalyDetector(epochs=5, random_state=0).fit(rng.normal(size=(500, 4)))
    >>> monitor = DriftMonitor(detector, alpha=0.01)
    >>> monitor.update(rng.normal(size=(300, 4))).alarm
    False
    >>> drift = monitor.update(rng.normal(size=(300, 4)) + [0, 0, 1, 0])
    >>> drift.alarm, drift.strongest
    (True, 'x2')
    """

    def __init__(self, detector: AnomalyDetector, alpha: float = 0.01, *, random_state: int = 0) -> None:
        check_is_fitted(detector)
        if not (is_real(alpha) and 0 < alpha < 1):
            raise IsthmusError(f"alpha (={alpha!r}) must be a number above 0 and below 1")
        if detector.kind_ == "series":
            raise IsthmusError(
                "the steps of a series depend on one another, so that no order of them is as likely as another, and a "
                "monitor would raise alarms for that; give it a detector of tables, images or signals"
            )
        self.detector, self.alpha, self.random_state = detector, alpha, random_state
        self.reset()

    def reset(self) -> None:
        """Start anew, as after an alarm that has been dealt with; each start has its own chance of a false alarm."""
        calibration, usual = self.detector.calibration_, self.detector.usual_
        strangeness = calibration.of_groups()
        self._names = ["strangeness"] * len(strangeness) + list(usual.names)
        self._martingale = Martingale([*strangeness, *usual.values.T], self.random_state)
        self._found = Drift(False, None, 1.0, 0, self._names[0])

    def update(self, batch: Any) -> Drift:
        """Watch the next samples of the stream. batch : as in `AnomalyDetector.score_samples`.

        How a stream is cut into batches makes no difference.
        """
        samples = self.detector._open(batch)
        return self.follow(samples, self.detector._strangeness(samples))

    def follow(self, samples: Any, strangeness: np.ndarray) -> Drift:
        """`update`, by samples that the detector has opened, and their strangeness (groups, n)."""
        for start in range(0, strangeness.shape[1], _ROWS):
            some = np.arange(start, min(start + _ROWS, strangeness.shape[1]))
            self._watch(np.column_stack([*strangeness[:, some], watched(samples, some)]))
        return self._found

    def _watch(self, statistics: np.ndarray) -> None:
        """The next samples' statistics (n, k)."""
        seen, since = self._martingale.seen, self._found.since
        wealth = self._martingale.after(statistics)
        mean = np.logaddexp.reduce(wealth, 1) - np.log(wealth.shape[1])
        reached = np.flatnonzero(mean >= -np.log(self.alpha))
        if since is None and len(reached):
            since = seen + int(reached[0])
        value = float(np.exp(min(mean[-1], np.log(_LARGEST))))
        strongest = self._names[int(wealth[-1].argmax())]
        self._found = Drift(since is not None, since, value, self._martingale.seen, strongest)

    # On disk

    def save(self, path: str | Path) -> Path:
        """Write what has been seen so far as JSON, from which `load` goes on; the detector is not in it."""
        state = {
            "format": _FORMAT,
            "detector": self._fingerprint(),
            "alpha": self.alpha,
            "random_state": self.random_state,
            "found": asdict(self._found),
            "martingale": self._martingale.to_dict(),
        }
        write_text(path, json.dumps(state))
        return as_path(path)

    @classmethod
    def load(cls, path: str | Path, detector: AnomalyDetector) -> Self:
        """A monitor that goes on where `save` was called. detector : the one that it watched with, or loaded again."""
        what = f"{path} is no state of a DriftMonitor, as its save writes it"
        with of_a_file(what, ours=True):
            state = read_json(as_path(path).read_bytes(), str(path))
        with of_a_file(what):
            written, fingerprint = state["format"], state["detector"]
            if written != _FORMAT:
                raise IsthmusError(f"{path} has format {written!r}; this version of isthmus reads format {_FORMAT}")
            monitor = cls(detector, state["alpha"], random_state=state["random_state"])
            if fingerprint != monitor._fingerprint():
                raise IsthmusError(f"{path} is the state of a monitor of another detector than the one that was given")
            monitor._martingale.restore(state["martingale"])
            monitor._found = typed(state["found"], Drift, "found")
            return monitor

    def _fingerprint(self) -> int:
        """A number that changes with what the detector calibrates with."""
        scores, usual = self.detector.calibration_.scores, self.detector.usual_.values
        return zlib.crc32(usual.tobytes(), zlib.crc32(scores.tobytes()))
