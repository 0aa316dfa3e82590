"""What rows of features are worth: to a linear model, to neighbours, to clustering; and how many of them count.

Features are arrays (n, features), labels arrays (n,).
"""

from __future__ import annotations

import warnings

import numpy as np

from isthmus.data.base import evenly_spread

NEIGHBOURS = 5  # of the k-NN score
_MOST_STEPS = 500  # of the linear probe's optimizer: hundreds of raw features need them
_STARTS = 5  # of k-means
_DEAD = 1e-4  # of the largest variance: less is rounding, or a dimension that a variational code gave up
_DISCARDED = 0.1  # of the largest ratios of distances (Facco et al. 2017): there the samples are too few
_LEAST_RATIOS = 20
_MOST_DIRECTIONS = 2_048  # an eigenvalue problem of this size takes seconds


def are_classes(labels: np.ndarray) -> bool:
    """Whether labels name classes: text, or whole numbers of which there are at most a hundred."""
    return labels.dtype.kind in "US" or (labels.dtype.kind in "iub" and len(np.unique(labels)) <= 100)


def linear_probe(train: np.ndarray, y_train: np.ndarray, test: np.ndarray, y_test: np.ndarray) -> float:
    """How well a linear model of standardised features predicts the labels of other samples.

    The accuracy of a logistic regression for classes, R² of a ridge regression for numbers (Alain and Bengio 2016).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    penalties = np.logspace(-2, 4, 13)
    model = LogisticRegression(max_iter=_MOST_STEPS) if are_classes(y_train) else RidgeCV(penalties)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last steps of a probe change nothing that is shown
        return float(make_pipeline(StandardScaler(), model).fit(train, y_train).score(test, y_test))


def nearest_neighbours(train: np.ndarray, y_train: np.ndarray, test: np.ndarray, y_test: np.ndarray) -> float:
    """How well the 5 nearest training samples predict the labels: accuracy for classes, R² for numbers."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    kind = KNeighborsClassifier if are_classes(y_train) else KNeighborsRegressor
    return float(kind(min(NEIGHBOURS, len(train))).fit(train, y_train).score(test, y_test))


def clustering(features: np.ndarray, labels: np.ndarray, *, random_state: int = 0) -> tuple[float, float]:
    """How well k-means finds the classes, with as many clusters as classes: NMI and ARI, 1 where it finds them all.

    Normalised mutual information, and the adjusted Rand index (Hubert and Arabie 1985), which is 0 for chance.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    means = KMeans(len(np.unique(labels)), n_init=_STARTS, random_state=random_state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different samples than classes
        found = means.fit_predict(features)
    return float(normalized_mutual_info_score(labels, found)), float(adjusted_rand_score(labels, found))


def intrinsic_dimension(features: np.ndarray) -> float | None:
    """How many dimensions the data have locally: TwoNN (Facco et al. 2017, "Estimating the intrinsic dimension ...").

    From the ratio of the distances to the second and to the first neighbour. Copies of a sample are left out; None
    where fewer than 20 ratios are left.
    """
    from sklearn.neighbors import NearestNeighbors

    different = np.unique(features, axis=0)
    if len(different) <= _LEAST_RATIOS:
        return None
    first, second = NearestNeighbors(n_neighbors=2).fit(different).kneighbors()[0].T
    ratios = np.sort(second[first > 0] / first[first > 0])
    kept = int((1 - _DISCARDED) * len(ratios))
    if kept < _LEAST_RATIOS:
        return None
    x, y = np.log(ratios[:kept]), -np.log1p(-np.arange(1, kept + 1) / len(ratios))
    return float(x @ y / (x @ x)) if x.any() else None


def spectrum(features: np.ndarray) -> np.ndarray:
    """Singular values of the centred features, falling, as shares of their sum; none where nothing varies.

    Of more than 2,048 features, at most 2,048 samples are used.
    """
    rows = np.asarray(features, dtype=np.float64)
    if min(rows.shape) > _MOST_DIRECTIONS:
        rows = rows[evenly_spread(len(rows), _MOST_DIRECTIONS)]
    rows = rows - rows.mean(axis=0)
    gram = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T
    values = np.sqrt(np.linalg.eigvalsh(gram)[::-1].clip(0))
    shares: np.ndarray = values / values.sum() if values.any() else values[:0]
    return shares


def effective_rank(shares: np.ndarray) -> float:
    """How many directions features really use: e to the entropy of their `spectrum` (Roy and Vetterli 2007).

    As many as there are features where all vary alike, 1 where all move together, 0 where none does.
    """
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def dead_dimensions(features: np.ndarray) -> int:
    """Features whose variance is less than a ten-thousandth of the largest."""
    variances = features.var(axis=0, dtype=np.float64)
    return int((variances <= _DEAD * variances.max()).sum())
