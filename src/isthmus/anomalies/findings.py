"""What a detector says about data, as its report and its page show it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any, Protocol

import numpy as np

from isthmus.anomalies.calibration import Calibration, benjamini_hochberg
from isthmus.anomalies.scorer import Scorer
from isthmus.data.labels import as_labels
from isthmus.errors import IsthmusError

FDR = 0.1  # at which samples count as flagged on pages
UNITS = {"table": "row", "images": "image", "signals": "signal", "series": "time step"}
_NORMAL = {"normal", "good", "ok", "inlier", "nominal", "benign", "healthy", "no", "none"}  # what people call the rest


class Detector(Protocol):
    """What pages need to know about a detector."""

    kind_: str
    contamination: Any
    scorer_: Scorer
    calibration_: Calibration
    offset_: float
    history_: list[dict[str, Any]]

    def describe(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Labels:
    """Labels that judge. values : of each sample, text or whole numbers, (n,). strange : which of the samples are
    anomalies, bool (n,); None where that cannot be told from the labels.
    """

    values: np.ndarray
    strange: np.ndarray | None

    @classmethod
    def of(cls, labels: Any, n: int) -> Labels:
        """Labels of n samples. Of two values, the anomalies are True, 1 beside 0, -1 beside 1 as scikit-learn has it,
        or what is not called "normal" or the like.

        Raises IsthmusError where there is not one label for each sample.
        """
        values = as_labels(labels, "labels")
        if len(values) != n:
            raise IsthmusError(f"there are {len(values):,} labels for {n:,} samples; give one for each")
        return cls(values, _strange(values))


def judged(detector: Detector, samples: Any) -> tuple[np.ndarray, np.ndarray]:
    """Strangeness and p-values of samples that the detector's scorer has opened, float64 (n,) each."""
    each = detector.scorer_.strangeness(samples)  # (groups, n)
    return each.mean(0, dtype=np.float64), detector.calibration_.p_values(each)


def _strange(values: np.ndarray) -> np.ndarray | None:
    """Which are labels of anomalies."""
    found = set(np.unique(values).tolist())
    strange: np.ndarray | None = None
    if found <= {0, 1}:
        strange = values == 1
    elif found <= {-1, 1}:
        strange = values == -1
    elif values.dtype.kind == "U":
        normal = [value for value in found if value.strip().lower() in _NORMAL]
        strange = values != normal[0] if len(normal) == 1 else None
    return strange if strange is not None and 0 < strange.sum() < len(strange) else None


@dataclass(frozen=True)
class Findings:
    """What a detector says about n samples.

    strangeness : higher is stranger, float64 (n,). p : conformal p-values, float64 (n,). usual : the strangeness of the
    calibration samples that count as normal, float64 (m,). smallest_p : the smallest p-value that any sample could
    have. threshold : the strangeness above which `predict` flags. labels : where there are some.
    """

    strangeness: np.ndarray
    p: np.ndarray
    usual: np.ndarray
    smallest_p: float
    threshold: float
    labels: Labels | None = None

    @classmethod
    def of(cls, detector: Detector, samples: Any, labels: Any = None) -> Findings:
        """The findings for samples that the detector's scorer has opened. labels : one for each, or None."""
        return cls.of_parts(detector, [samples], labels)

    @classmethod
    def of_parts(cls, detector: Detector, parts: Iterable[Any], labels: Any = None) -> Findings:
        """The findings for samples that come in parts, one after the other; the parts are not kept."""
        return cls.of_judged(detector, (judged(detector, samples) for samples in parts), labels)

    @classmethod
    def of_judged(
        cls, detector: Detector, parts: Iterable[tuple[np.ndarray, np.ndarray]], labels: Any = None
    ) -> Findings:
        """The findings from what `judged` says of the samples, part by part."""
        calibration = detector.calibration_
        strangeness, p = array("d"), array("d")  # which grow where they lie: parts and their whole are not held at once
        for found, chances in parts:
            strangeness.frombytes(found.astype(np.float64).tobytes())
            p.frombytes(chances.astype(np.float64).tobytes())
        return cls(
            np.frombuffer(strangeness),
            np.frombuffer(p),
            calibration.scores[calibration.weights > 0],
            calibration.smallest,
            -detector.offset_,
            None if labels is None else Labels.of(labels, len(p)),
        )

    def __len__(self) -> int:
        return len(self.p)

    @cached_property
    def order(self) -> np.ndarray:
        """The samples from the strangest on, (n,)."""
        return np.argsort(-self.strangeness, kind="stable")

    def strangest(self, most: int) -> np.ndarray:
        """The first samples of `order`, at most so many, without sorting all."""
        if most >= len(self) or "order" in vars(self):
            return self.order[:most]
        least = np.partition(self.strangeness, len(self) - max(1, most))[len(self) - max(1, most)]
        some = np.flatnonzero(self.strangeness >= least)
        return some[np.argsort(-self.strangeness[some], kind="stable")][:most]

    def flagged(self, fdr: float = FDR) -> np.ndarray:
        """Which samples are anomalies at a false-discovery rate, bool (n,)."""
        return benjamini_hochberg(self.p, fdr)

    def fewest(self, fdr: float = FDR) -> int:
        """How many samples must have the smallest p that there is before any of them can be flagged."""
        return ceil(len(self) * self.smallest_p / fdr - 1e-9)

    @cached_property
    def extreme(self) -> int:
        """How many samples are stranger than all that calibrate."""
        return int((self.p <= self.smallest_p * (1 + 1e-9)).sum())

    def needed(self, fdr: float = FDR) -> int:
        """How many calibration samples it takes to flag those that are stranger than all."""
        return ceil(len(self) / (fdr * max(self.extreme, 1)))
