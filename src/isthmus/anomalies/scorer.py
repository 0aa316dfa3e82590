"""The seam between the detector and what it learns of samples of one kind: tables, images, signals, series.

samples ──Scorer──▶ strangeness (groups, n)      how strange each sample is, higher is stranger
               └──▶ Parts (n, *parts)            which of its parts make it so, and what was expected there
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from isthmus.errors import IsthmusError, unknown_name
from isthmus.words import count

if TYPE_CHECKING:
    from torch import nn

    from isthmus.data.columns import TableSchema
    from isthmus.data.scaling import Scaler
    from isthmus.data.table_source import TableSource
    from isthmus.training.run import Run, Trained


class Settings(Protocol):
    """What scorers see of the detector: its parameters, and the way it opens tables."""

    contamination: float | str | None
    method: str
    window: int | None
    kind: str
    device: Any

    def _open_table(self, X: Any, schema: TableSchema | None) -> TableSource: ...


@dataclass(frozen=True)
class Parts:
    """Which parts of samples are strange.

    scores : float32 (n, *parts), a column of a table, a pixel, or a time step and channel each; those of a table's row
    add up to its strangeness. expected : the values that would have been expected, as the user gave them (n, *sample).
    Of a table both are data frames of its kind, with its index: scores of the columns that are used, expected values
    beside what is left out.
    """

    scores: Any
    expected: Any

    def __repr__(self) -> str:
        shape = getattr(self.scores, "shape", None)  # of samples that differ in shape there are lists
        what = f"of shape {shape}" if shape is not None else f"of {count(len(self.scores), 'sample')}"
        return f"<Parts: scores and expected values {what}>"


@dataclass(frozen=True)
class Learned:
    """What `Scorer.learn` returns.

    calibration : strangeness of samples that were not learned from, float64 (m,). groups : the group of each, int64
    (m,): the model of that number did not learn from it. trained : the run; None where nothing was
    trained.
    """

    scorer: Scorer
    calibration: np.ndarray
    groups: np.ndarray
    trained: Trained | None


class Scorer(ABC):
    """What was learned of samples of one kind. Subclasses are found by their kind: see `SCORERS`."""

    kind: ClassVar[str]
    scaler: Scaler  # between the user's units and those of the network

    @property
    def schema(self) -> TableSchema | None:
        """Of the table that was learned from; None for other samples."""
        return None

    @property
    def window(self) -> int:
        """Time steps of a series that are looked at together; 1 where each sample is looked at by itself."""
        return 1

    @classmethod
    @abstractmethod
    def opened(cls, X: Any, detector: Settings) -> Any:
        """The user's data, opened as `learn` takes them."""

    @classmethod
    @abstractmethod
    def learn(cls, run: Run, samples: Any, detector: Settings) -> Learned:
        """Learn from samples. detector : its parameters say how, `contamination` whether all are normal (None)."""

    @abstractmethod
    def open(self, X: Any, detector: Settings) -> Any:
        """New data, checked against what was learned from, as `strangeness` and `parts` take them."""

    @abstractmethod
    def strangeness(self, samples: Any) -> np.ndarray:
        """How strange samples are, float32 (groups, n), under the model of each group of the calibration."""

    @abstractmethod
    def parts(self, samples: Any) -> Parts:
        """Which parts of samples are strange."""

    def module(self) -> nn.Module:
        """What `strangeness` and `parts` are computed with, as one torch module, which is what ONNX files hold.

        Its `forward` takes samples in the network's units (n, *scaler.network_shape), and gives the strangeness (n,),
        which is the mean over the groups, and that of each part (n, *parts).

        Raises IsthmusError where no module alone says how strange samples are.
        """
        raise IsthmusError(
            f"a detector of {self.kind} is more than one network, and cannot be written as ONNX; those of tables can"
        )

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON values for the model's folder."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays for the model's folder, by name."""

    @classmethod
    @abstractmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Scorer:
        """The inverse of `to_dict` and `arrays`."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """What was learned, in words: a row for each thing."""


SCORERS = {  # kind of samples: where its scorer is
    "table": ("isthmus.anomalies.table_scorer", "TableScorer"),
    "series": ("isthmus.anomalies.series_scorer", "SeriesScorer"),
    "images": ("isthmus.anomalies.image_scorer", "ImageScorer"),
    "signals": ("isthmus.anomalies.image_scorer", "ImageScorer"),
}
DetectorKind = Literal["auto", "table", "series", "images", "signals"]
KINDS = ("auto", *SCORERS)


def scorer_of(kind: str) -> type[Scorer]:
    """The class of a kind of samples."""
    if kind not in SCORERS:
        raise unknown_name("kind", kind, KINDS)
    module, name = SCORERS[kind]
    found: type[Scorer] = getattr(importlib.import_module(module), name)
    return found
