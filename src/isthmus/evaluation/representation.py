"""What a code is worth as features, beside PCA of the same size and the raw data."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.data.base import Source, random_halves
from isthmus.data.labels import as_labels
from isthmus.data.sources import subset
from isthmus.data.table_source import TableSource
from isthmus.errors import IsthmusError
from isthmus.evaluation.baselines import pca_baseline
from isthmus.evaluation.features import (
    are_classes,
    clustering,
    dead_dimensions,
    effective_rank,
    intrinsic_dimension,
    linear_probe,
    nearest_neighbours,
    spectrum,
)
from isthmus.evaluation.metrics import mse
from isthmus.evaluation.neighbourhood_preservation import neighbourhood_scores
from isthmus.evaluation.notebook import card
from isthmus.evaluation.opening import open_for_model
from isthmus.evaluation.study import Reconstructor, clipped_to_dtype, network_layout
from isthmus.evaluation.table_study import table_errors
from isthmus.evaluation.theme import number
from isthmus.words import count

_MOST_SAMPLES = 10_000
_MOST_NUMBERS = 1 << 26  # in the samples of a part: 256 MiB
_MOST_NEIGHBOURHOODS = 5_000  # samples: the time grows with their square
_NEIGHBOURHOOD = 15
KINDS = ("code", "PCA", "raw data")
_ROWS = (  # attribute, label, and whether more (1) or less (-1) is better
    ("linear_probe", "linear probe, {score}", 1),
    ("nearest_neighbours", "5 nearest neighbours, {score}", 1),
    ("nmi", "k-means and classes, NMI", 1),
    ("ari", "k-means and classes, ARI", 1),
    ("trustworthiness", "trustworthiness, k = 15", 1),
    ("continuity", "continuity, k = 15", 1),
    ("reconstruction", "reconstruction, {error}", -1),
    ("size", "numbers of a sample", 0),
    ("effective_rank", "effective rank", 0),
    ("intrinsic_dimension", "intrinsic dimension", 0),
    ("dead", "dead dimensions", 0),
)


@dataclass(frozen=True)
class FeatureScores:
    """What one kind of features is worth. None where it was not measured, as without labels.

    size : number of features.
    linear_probe : accuracy of a logistic regression, or R² of a ridge regression where labels are numbers.
    nearest_neighbours : accuracy, or R², of the 5 nearest training samples.
    nmi, ari : agreement of k-means with the classes: normalised mutual information and adjusted Rand index.
    trustworthiness, continuity : neighbourhoods of 15 samples that the features keep of the raw data.
    intrinsic_dimension : dimensions that the data have locally (TwoNN).
    effective_rank : directions that are in use. dead : features that hardly vary.
    reconstruction : mean squared error in scaled units; of tables with columns of any kind, the share that is left of
        the error of means and commonest values.
    spectrum : share of each principal direction in the variance, in falling order, array of shape (directions,).
    """

    size: int
    linear_probe: float | None
    nearest_neighbours: float | None
    nmi: float | None
    ari: float | None
    trustworthiness: float | None
    continuity: float | None
    intrinsic_dimension: float | None
    effective_rank: float
    dead: int
    reconstruction: float | None
    spectrum: np.ndarray = field(repr=False, compare=False)


@dataclass(frozen=True)
class Representation:
    """The code of a model, PCA of the same size and the raw data in scaled units, measured on the same samples.

    labels : "classes", "numbers" or None. classes : how many there are.
    fitted : samples that probes and PCA were fitted on. judged : other samples, on which everything is measured.
    given : samples that were available for both; where these are too many, a random part is used. error : what errors
        of reconstruction are called: "MSE", or "error left" of tables with columns of any kind.
    """

    code: FeatureScores
    pca: FeatureScores
    raw: FeatureScores
    labels: str | None
    classes: int | None
    fitted: int
    judged: int
    given: tuple[int, int]
    error: str = "MSE"

    def rows(self) -> list[tuple[str, tuple[str, ...], int | None]]:
        """What was measured, the figures of `KINDS` as text, and which of them is best, where one is."""
        score = "R²" if self.labels == "numbers" else "accuracy"
        rows = []
        for attribute, label, sign in _ROWS:
            values = [getattr(features, attribute) for features in (self.code, self.pca, self.raw)]
            if all(value is None for value in values):
                continue
            figures = tuple("–" if value is None else _figure(value) for value in values)
            known = [sign * value for value in values if value is not None]
            first = next(
                (i for i, value in enumerate(values) if value is not None and sign * value == max(known)), None
            )
            tied = first is None or figures.count(figures[first]) > 1
            rows.append((label.format(score=score, error=self.error), figures, None if sign == 0 or tied else first))
        return rows

    def __repr__(self) -> str:
        lines = [("", KINDS), *((label, figures) for label, figures, _ in self.rows())]
        return "\n".join(f"{label:32}" + "".join(f"{cell:>12}" for cell in cells) for label, cells in lines)

    def _repr_html_(self) -> str:
        lead = f"{count(self.fitted, 'sample')} to fit probes and PCA, {self.judged:,} to judge"
        return card("Representation", lead, {label: cells for label, cells, _ in self.rows()}, columns=KINDS)

    def to_dict(self) -> dict[str, Any]:
        """JSON values, without the spectra."""
        values = dataclasses.asdict(self) | {"given": list(self.given)}
        for name in ("code", "pca", "raw"):
            del values[name]["spectrum"]
        return values


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else number(value)


def evaluate_representation(
    model: Reconstructor,
    X: Any,
    y: Any = None,
    *,
    train: Any = None,
    y_train: Any = None,
    most: int = _MOST_SAMPLES,
    random_state: int = 0,
    progress: Callable[[str], None] = lambda stage: None,
) -> Representation:
    """Measure what a model's codes of X are worth as features, beside those of PCA and X itself.

    X : samples that the model has not seen, in any form that a model takes. y : one label for each, text or numbers;
        by default those of X, where it has labels. Labels that are all the same say nothing and are passed over.
    train, y_train : other samples, on which probes and PCA are fitted; by default a random half of X, and the other
        half is judged.
    most : largest number of samples that are used of each part; no part uses more than 67 million numbers.
    random_state : seed of the choice of samples and of the clustering.
    progress : called with the name of each stage as it begins.

    Raises IsthmusError where labels do not match or one of the parts has fewer than 2 samples.

    Examples
    --------
    >>> from isthmus import AutoEncoder, datasets, evaluate_representation
    >>> digits = datasets.load("digits")
    >>> model = AutoEncoder(8, epochs=2, random_state=0).fit(digits.train.images)
    >>> measured = evaluate_representation(model, digits.test.images, digits.test.labels)
    >>> measured.judged, measured.classes
    (149, 10)
    """
    source, other = open_for_model(model, X), None if train is None else open_for_model(model, train)
    parts = _two_parts(source, y, other, y_train, random_state)
    rng = np.random.default_rng(random_state)
    progress("encoding and decoding samples")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have valid feature names.*", UserWarning)
        fitted, judged = (_Part.of(model, source, labels, most, rng) for source, labels in parts)
        progress("fitting PCA")
        both = np.concatenate([fitted.scaled, judged.scaled])
        pca = pca_baseline(fitted.scaled, both, fitted.code.shape[1], random_state=random_state)
        n = len(fitted.code)
        errors = _errors(model, judged, pca.reconstruction[n:])
    labels = None if fitted.labels is None or judged.labels is None else (fitted.labels, judged.labels)
    classes = labels is not None and are_classes(labels[0])
    scores = []
    for name, features, what in (
        ("the code", (fitted.code, judged.code), errors[0]),
        ("PCA", (pca.codes[:n], pca.codes[n:]), errors[1]),
        ("the raw data", (fitted.raw, judged.raw), None),
    ):
        progress(f"measuring {name}")
        scores.append(_scores(features, labels, judged, what, random_state))
    return Representation(
        scores[0],
        scores[1],
        scores[2],
        labels=None if labels is None else "classes" if classes else "numbers",
        classes=len(np.unique(labels[1])) if labels is not None and classes else None,
        fitted=n,
        judged=len(judged.code),
        given=(len(parts[0][0]), len(parts[1][0])),
        error="error left" if isinstance(source, TableSource) else "MSE",
    )


@dataclass(frozen=True)
class _Part:
    """Samples, the same scaled (n, C, *spatial) or (n, features), and their codes as the model gives."""

    samples: Source
    scaled: np.ndarray
    z: np.ndarray
    labels: np.ndarray | None

    @classmethod
    def of(
        cls, model: Reconstructor, source: Source, labels: np.ndarray | None, most: int, rng: np.random.Generator
    ) -> _Part:
        """The samples of a source, or a random part of very many."""
        most = max(2, min(most, _MOST_NUMBERS // math.prod(source.shape[1:])))
        n = len(source)
        chosen = np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))
        samples = subset(source, chosen)
        scaled = network_layout(model.scale(samples), samples.shape[1:])
        z = np.asarray(model.transform(samples), np.float32)
        return cls(samples, scaled, z, None if labels is None else labels[chosen])

    @property
    def code(self) -> np.ndarray:
        """Codes as rows of features, (n, size)."""
        return self.z.reshape(len(self.z), -1)

    @property
    def raw(self) -> np.ndarray:
        """Scaled samples as rows of features."""
        return self.scaled.reshape(len(self.scaled), -1)


def _errors(model: Any, judged: _Part, pca: np.ndarray) -> tuple[float, float]:
    """The errors of a model's reconstructions and of PCA's, which are scaled."""
    if isinstance(judged.samples, TableSource):
        return table_errors(model, judged.samples, judged.z, pca)
    rebuilt = network_layout(model.scale(model.inverse_transform(judged.z)), judged.samples.shape[1:])
    pca = clipped_to_dtype(pca, model, judged.samples)
    ours, theirs = (float(mse(judged.scaled, each).mean()) for each in (rebuilt, pca))
    return ours, theirs


def _two_parts(
    source: Source, y: Any, train: Source | None, y_train: Any, seed: int
) -> tuple[tuple[Source, np.ndarray | None], tuple[Source, np.ndarray | None]]:
    """What is fitted on and what is judged, each with its labels; both have labels or none has."""
    labels = _labels(source.labels if y is None else y, len(source), source.name)
    if train is not None:
        others = _labels(train.labels if y_train is None else y_train, len(train), train.name)
        if (labels is None) != (others is None):
            without, with_ = (train, source) if others is None else (source, train)
            raise IsthmusError(f"{with_.name} has labels and {without.name} has none; give both, or leave train away")
        parts = ((train, others), (source, labels))
    elif len(source) < 4:
        raise IsthmusError(f"{source.name} has {len(source)} samples; to fit on half of them takes at least 4")
    else:
        a, b = random_halves(len(source), seed)
        own = (None, None) if labels is None else (labels[a], labels[b])
        parts = ((subset(source, a), own[0]), (subset(source, b), own[1]))
    if any(part is not None and len(np.unique(part)) < 2 for _, part in parts):
        parts = ((parts[0][0], None), (parts[1][0], None))
    return parts


def _labels(values: Any, n: int, name: str) -> np.ndarray | None:
    """Labels as an array (n,) of text, whole numbers or finite numbers."""
    if values is None:
        return None
    array = np.asarray(values)
    if array.dtype.kind != "f" or np.array_equal(array, np.round(array)):
        array = as_labels(values, f"the labels of {name}")
    if array.shape != (n,):
        raise IsthmusError(f"the labels of {name} have shape {array.shape}; one for each sample is needed: ({n},)")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise IsthmusError(f"the labels of {name} contain NaN or infinity; leave samples without a label away")
    return array


def _scores(
    features: tuple[np.ndarray, np.ndarray],
    labels: tuple[np.ndarray, np.ndarray] | None,
    judged: _Part,
    error: float | None,
    seed: int,
) -> FeatureScores:
    """Everything about features (fitted, judged); `error` is that of their reconstructions, None for the raw ones."""
    fitted, own = features
    probe = near = nmi = ari = None
    if labels is not None:
        probe = linear_probe(fitted, labels[0], own, labels[1])
        near = nearest_neighbours(fitted, labels[0], own, labels[1])
        if are_classes(labels[0]):
            nmi, ari = clustering(own, labels[1], random_state=seed)
    kept = None
    if error is not None and len(own) > 2 * _NEIGHBOURHOOD:
        kept = neighbourhood_scores(judged.raw[:_MOST_NEIGHBOURHOODS], own[:_MOST_NEIGHBOURHOODS], _NEIGHBOURHOOD)
    shares = spectrum(own)
    return FeatureScores(
        size=own.shape[1],
        linear_probe=probe,
        nearest_neighbours=near,
        nmi=nmi,
        ari=ari,
        trustworthiness=None if kept is None else kept.trustworthiness,
        continuity=None if kept is None else kept.continuity,
        intrinsic_dimension=intrinsic_dimension(own),
        effective_rank=effective_rank(shares),
        dead=dead_dimensions(own),
        reconstruction=error,
        spectrum=shares,
    )
