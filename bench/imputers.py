"""Ways to fill holes that `bench/imputation.py` compares: of scikit-learn, and MissForest after its paper.

Each takes a matrix (n, columns) of numbers and codes of categories with NaN, and how many categories each column has
(0: a column of numbers), and returns the matrix without holes.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Fill = Callable[[np.ndarray, Sequence[int]], np.ndarray]
HERE = Path(__file__).resolve().parent


def isthmus(X: np.ndarray, categories: Sequence[int]) -> np.ndarray:
    """`Imputer` with its defaults, which is told which columns are categories."""
    import pyarrow as pa

    from isthmus import Imputer

    kinds = {f"c{j}": "category" if n else "number" for j, n in enumerate(categories)}
    columns = [
        pa.array([None if v != v else f"v{int(v)}" for v in x]) if n else pa.array(x, from_pandas=True)
        for x, n in zip(X.T, categories, strict=True)
    ]
    given = pa.table(dict(zip(kinds, columns, strict=True)))
    table = Imputer(column_kinds=kinds, random_state=0).fit_transform(given)
    back = [
        np.array([float(v[1:]) for v in table.column(name).to_pylist()]) if n else table.column(name).to_numpy()
        for name, n in zip(kinds, categories, strict=True)
    ]
    return np.stack(back, 1)


def mean_or_mode(X: np.ndarray, categories: Sequence[int]) -> np.ndarray:
    """The mean of numbers, the commonest category."""
    filled = X.copy()
    for j, n in enumerate(categories):
        hole = np.isnan(X[:, j])
        known = X[~hole, j]
        filled[hole, j] = np.bincount(known.astype(int)).argmax() if n else known.mean()
    return filled


def nearest(X: np.ndarray, categories: Sequence[int]) -> np.ndarray:
    """scikit-learn's KNNImputer on standardised numbers and one-hot categories."""
    from sklearn.impute import KNNImputer

    features, back = _one_hot(X, categories)
    return back(KNNImputer(keep_empty_features=True).fit_transform(features))


def ridge(X: np.ndarray, categories: Sequence[int]) -> np.ndarray:
    """scikit-learn's IterativeImputer with BayesianRidge; of one-hot categories, all but one.

    With all of them each is one minus the others, and stays what it was before the first round.
    """
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    features, back = _one_hot(X, categories)
    starts = np.cumsum([0, *(n or 1 for n in categories)])
    first = [starts[j] for j, n in enumerate(categories) if n]
    kept = np.setdiff1d(np.arange(features.shape[1]), first)
    filled = np.zeros(features.shape)
    filled[:, kept] = IterativeImputer(keep_empty_features=True, random_state=0).fit_transform(features[:, kept])
    for j, n in enumerate(categories):
        if n:
            filled[:, starts[j]] = 1 - filled[:, starts[j] + 1 : starts[j + 1]].sum(1)
    return back(filled)


def forests(X: np.ndarray, categories: Sequence[int], rounds: int = 10) -> np.ndarray:
    """MissForest: Stekhoven and Bühlmann 2012, Bioinformatics 28, with 100 trees and its rule to stop."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    holes, filled, before = np.isnan(X), mean_or_mode(X, categories), None
    is_category = np.array([n > 0 for n in categories])
    for _ in range(rounds):
        old = filled.copy()
        for j in np.argsort(holes.sum(0)):
            hole = holes[:, j]
            if not hole.any():
                continue
            kind, share = (RandomForestClassifier, "sqrt") if categories[j] else (RandomForestRegressor, 1 / 3)
            forest = kind(100, n_jobs=-1, random_state=0, max_features=share)
            others = np.delete(filled, j, axis=1)
            filled[hole, j] = forest.fit(others[~hole], X[~hole, j]).predict(others[hole])
        numbers, codes = filled[:, ~is_category], filled[:, is_category]
        change = (
            ((numbers - old[:, ~is_category]) ** 2).sum() / max((numbers**2).sum(), 1e-12),
            (codes != old[:, is_category]).sum() / max(holes[:, is_category].sum(), 1),
        )
        if before is not None and all(
            new > last for new, last, some in zip(change, before, (numbers, codes), strict=True) if some.size
        ):
            return old
        before = change
    return filled


def miceforest(python: str) -> Fill:
    """miceforest in an environment of its own."""

    def fill(X: np.ndarray, categories: Sequence[int]) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in.npz"), Path(folder, "out.npy")
            np.savez(source, X=X, categories=np.asarray(categories))
            script = HERE / "peers" / "miceforest_impute.py"
            subprocess.run([python, str(script), str(source), str(target)], check=True, capture_output=True)
            filled: np.ndarray = np.load(target)
        return filled

    return fill


def _one_hot(X: np.ndarray, categories: Sequence[int]) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Standardised numbers and one-hot categories, NaN where a cell is missing; and the way back for the holes."""
    parts, scales = [], []
    for x, n in zip(X.T, categories, strict=True):
        hole = np.isnan(x)
        mean, deviation = (0.0, 1.0) if n else (np.nanmean(x), np.nanstd(x) or 1.0)
        part = np.eye(n)[np.where(hole, 0, x).astype(int)] if n else ((x - mean) / deviation)[:, None]
        part[hole] = np.nan
        parts.append(part)
        scales.append((mean, deviation))
    starts = np.cumsum([0, *(part.shape[1] for part in parts)])

    def back(features: np.ndarray) -> np.ndarray:
        filled = X.copy()
        for j, n in enumerate(categories):
            hole, part = np.isnan(X[:, j]), features[:, starts[j] : starts[j + 1]]
            mean, deviation = scales[j]
            filled[hole, j] = (part.argmax(1) if n else part[:, 0] * deviation + mean)[hole]
        return filled

    return np.concatenate(parts, 1), back
