"""`AnomalyDetector`: what does not belong, how sure that is, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import OutlierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from isthmus.anomalies.calibration import Calibration
from isthmus.anomalies.kinds import kind_of_data
from isthmus.anomalies.scorer import DetectorKind, Parts, Scorer, scorer_of
from isthmus.anomalies.watched import Usual
from isthmus.data.base import Source
from isthmus.data.column_matching import MissingColumns
from isthmus.data.table_source import TableSource
from isthmus.errors import IsthmusError
from isthmus.estimators.base import anywhere
from isthmus.estimators.model_contents import parts_of
from isthmus.estimators.model_folder import kept_in
from isthmus.estimators.table_estimator import TableEstimator, is_table_like
from isthmus.remote.paths import as_path
from isthmus.spec import is_real
from isthmus.training.progress import Listener
from isthmus.training.run import Run
from isthmus.typed_json import typed, typed_array

_FALSE_ALARMS = 0.01  # the share of normal samples that `predict` may flag


class AnomalyDetector(OutlierMixin, TableEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Find anomalies, say how sure each is, and which of its parts are strange.

        samples ──▶ networks that predict hidden parts ──▶ strangeness ──calibration──▶ p-values ──▶ anomalies at an FDR
                                                      └──▶ of each part: column, pixel, time step

    Parameters
    ----------
    contamination : float, "unknown" or None, default=None
        What the training data hold. None: normal samples only. "unknown": also some anomalies, in an unknown number.
        A number above 0, at most 0.5: the share of anomalies, which `predict` flags among the training data.
    method : {"auto"}, default="auto"
        How strangeness is measured; there is one way for each kind of samples.
    kind : {"auto", "table", "images", "signals", "series"}, default="auto"
        What X are. "series": one long series (n_steps, channels), or a list of series; every time step is judged.
    window : int, optional
        Time steps of a series that are judged together. Default: chosen from the data.
    column_kinds, missing_values, missing_columns : as in `Imputer`, for tables.
    epochs, minutes : optional
        Length of the run.
    device : str or torch.device, default="auto"
        "auto" takes CUDA, then Apple's GPU, then the CPU. Tables are always learned on the CPU.
    random_state : int, NumPy generator or None, default=None
        Seed of all random numbers; None draws one from the operating system.
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    kind_ : str, what the training data were read as
    scorer_ : Scorer, what was learned
    calibration_ : Calibration, the strangeness of normal samples that were not learned from
    usual_ : Usual, the columns of the training samples, for `DriftMonitor`
    offset_ : float, `decision_function` is `score_samples` minus this
    training_spec_ : TrainingSpec
    history_ : list of dict, the run's losses in order
    seconds_ : float, time of training
    interrupted_ : int, number of the signal that ended the run early, 0 if none did
    seed_ : int, the seed that was used
    n_features_in_ : int, columns, or channels of series; feature_names_in_ : array of str (n_features_in_,), where they
        have names

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus import AnomalyDetector
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 1)) @ np.ones((1, 4)) + 0.1 * rng.normal(size=(500, 4))
    >>> detector = AnomalyDetector(epochs=5, random_state=0).fit(X)
    >>> detector.predict([[1, 1, 1, 1], [9, -9, 9, -9]]).tolist()
    [1, -1]
    """

    _usage = "anomalies = model.detect(X, fdr=0.1)"

    def __init__(
        self,
        contamination: float | Literal["unknown"] | None = None,
        *,
        method: Literal["auto"] = "auto",
        kind: DetectorKind = "auto",
        window: int | None = None,
        column_kinds: Mapping[str, str] | None = None,
        missing_values: Sequence[Any] = (),
        missing_columns: MissingColumns = "refuse",
        epochs: int | None = None,
        minutes: float | None = None,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.contamination = contamination
        self.method = method
        self.kind = kind
        self.window = window
        self.column_kinds = column_kinds
        self.missing_values = missing_values
        self.missing_columns = missing_columns
        self.epochs = epochs
        self.minutes = minutes
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    scorer_: Scorer

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.three_d_array = True
        return tags

    @anywhere
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = 15.0,
        listeners: Sequence[Listener] = (),
    ) -> Self:
        """Learn what is normal.

        X : data frame, array, path, name of a data set or Source; see `kind`.
        y : ignored. checkpoint, resume, checkpoint_seconds, listeners : as in `AutoEncoder.fit`.
        """
        self._check_contamination()
        run = Run.of(
            self, listeners=listeners, checkpoint=checkpoint, resume=resume, checkpoint_seconds=checkpoint_seconds
        )
        self.kind_ = kind_of_data(X, self.kind)
        scorer = scorer_of(self.kind_)
        samples = scorer.opened(X, self)
        self.seed_, self.history_ = run.seed, []
        learned = scorer.learn(run, samples, self)
        self.scorer_ = learned.scorer
        self.calibration_ = Calibration.of(learned.calibration, learned.groups, self.contamination)
        self.usual_ = Usual.of(samples)
        if self.kind_ == "series" and learned.scorer.schema is None:
            self.n_features_in_ = samples[0].values.shape[1]
        if learned.trained is not None:
            self._keep(learned.trained)
        if is_real(self.contamination):
            share: Any = self.contamination
            self.offset_ = float(np.percentile(self._scores(samples), 100 * share))
        else:
            self.offset_ = -self.calibration_.threshold(_FALSE_ALARMS)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """How normal samples are, float64 (n,): the higher, the more normal. Of a series, each time step."""
        return self._scores(self._open(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` minus `offset_`: below 0 is what `predict` flags."""
        scores: np.ndarray = self.score_samples(X) - self.offset_
        return scores

    def predict(self, X: Any) -> np.ndarray:
        """-1 for anomalies, 1 for the rest, int64 (n,).

        A sample is flagged if it is stranger than 99 % of normal samples or, where `contamination` is a number, as
        strange as that share of the training samples. See `detect` for a list with few false ones among those flagged.
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def p_values(self, X: Any) -> np.ndarray:
        """The chance that a normal sample is as strange, float64 (n,), from samples that were not learned from."""
        return self.calibration_.p_values(self._strangeness(self._open(X)))

    def detect(self, X: Any, fdr: float = 0.1) -> np.ndarray:
        """Which samples are anomalies, bool (n,), such that about a share `fdr` of them is not.

        A clean batch may have none; in a bad one all samples may be anomalies.
        """
        if not (is_real(fdr) and 0 < fdr < 1):
            raise IsthmusError(f"fdr (={fdr!r}) must be a number above 0 and below 1")
        return self.calibration_.discoveries(self.p_values(X), fdr)

    def explain(self, X: Any) -> Parts:
        """Which parts of samples are strange, and what would have been expected there.

        Returns `Parts` with `scores` and `expected`: data frames with X's index where X is one (of a file, as pandas or
        Arrow tables), else arrays. The scores of a table's row add up to minus its `score_samples`.

        >>> import pandas as pd
        >>> frame = pd.DataFrame({"width": range(100), "height": range(0, 200, 2)})
        >>> detector = AnomalyDetector(epochs=5, random_state=0).fit(frame)
        >>> odd = pd.DataFrame({"width": [50, 50], "height": [100, 900]}, index=["good", "bad"])
        >>> detector.explain(odd).scores.loc["bad"].idxmax()
        'height'
        """
        samples = self._open(X)
        parts = self.scorer_.parts(samples)
        if isinstance(samples, TableSource) and not is_table_like(X):
            return Parts(*(_matrix(frame) for frame in (parts.scores, parts.expected)))
        return parts

    def report(
        self,
        X: Any,
        folder: str | Path,
        *,
        y: Any = None,
        title: str | None = None,
        saved_as: str | Path | None = None,
    ) -> Path:
        """Write report.html into a folder: what is flagged and how sure that is, the strangest samples, and why.

        X : as in `score_samples`. y : labels that judge, (n,), by default those of a Source; nothing is learned from
        them. Of two values 1 beside 0, -1 beside 1 or what is not called "normal" are the anomalies; of more, each is
        listed. title : by default the folder's name. saved_as : the model's folder, which the page names.
        """
        from isthmus.anomalies.report import write_report  # figures are slow to import

        samples = self._open(X)
        labels = getattr(samples, "labels", None) if y is None else y
        source = X if isinstance(X, Source) else samples
        data = str(X) if isinstance(X, str | Path) else source.name if isinstance(source, Source) else ""
        place = as_path(folder)
        kept = kept_in(saved_as, place)
        return write_report(self, samples, place, data=data, labels=labels, title=title, saved_as=kept)

    def _open(self, X: Any) -> Any:
        check_is_fitted(self)
        return self.scorer_.open(X, self)

    def _strangeness(self, samples: Any) -> np.ndarray:
        """Strangeness (groups, n) of samples that were opened."""
        return self.scorer_.strangeness(samples)

    def _scores(self, samples: Any) -> np.ndarray:
        scores: np.ndarray = -self._strangeness(samples).mean(0, dtype=np.float64)
        return scores

    def _check_contamination(self) -> None:
        share: Any = self.contamination
        if share is None or share == "unknown" or (is_real(share) and 0 < share <= 0.5):
            return
        raise IsthmusError(f'contamination (={share!r}) must be None, "unknown", or a number above 0 and at most 0.5')

    # On disk

    def _config(self) -> dict[str, Any]:
        return {
            "kind": self.kind_,
            "scorer": self.scorer_.to_dict(),
            "calibration": self.calibration_.to_dict(),
            "usual": list(self.usual_.names),
            "offset": self.offset_,
            "features": getattr(self, "n_features_in_", None),
            "feature_names": self._names_in(),
        }

    def _tensors(self) -> dict[str, np.ndarray]:
        groups = {
            "scorer": self.scorer_.arrays(),
            "calibration": self.calibration_.arrays(),
            "usual": {"values": self.usual_.values},
        }
        return {f"{group}.{name}": array for group, arrays in groups.items() for name, array in arrays.items()}

    def _restore(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        parts = parts_of(tensors, "scorer", "calibration", "usual")
        self.kind_, self.offset_ = typed(config["kind"], str, "kind"), typed(config["offset"], float, "offset")
        self.scorer_ = scorer_of(self.kind_).from_dict(config["scorer"], parts["scorer"])
        self.calibration_ = Calibration.from_dict(config["calibration"], parts["calibration"])
        usual = typed(config["usual"], tuple[str, ...], "usual")
        self.usual_ = Usual(usual, typed_array(parts["usual"], "values", "float64", None, len(usual)))
        if typed(config["features"], int | None, "features") is not None:
            self.n_features_in_ = config["features"]
        self._restore_names(config["feature_names"])

    def _describe(self) -> dict[str, str]:
        share = self.contamination
        learned_from = (
            "samples of which some may be anomalies"
            if share == "unknown"
            else f"samples of which {share:.3g} of 1 count as anomalies"
            if share
            else "normal samples alone"
        )
        return self.scorer_.describe() | {
            "learned from": learned_from,
            "calibration": f"{len(self.calibration_.scores):,} samples that were not learned from",
        }


def _matrix(table: Any) -> np.ndarray:
    """An Arrow table of numbers as an array (n, columns)."""
    return np.stack([column.to_numpy() for column in table.columns], 1)
