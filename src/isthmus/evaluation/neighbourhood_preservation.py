"""Whether a code or a map keeps neighbourhoods: trustworthiness and continuity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.errors import IsthmusError

_BLOCK_NUMBERS = 1 << 22  # distances that are held at a time, in each of the two spaces: 32 MiB


@dataclass(frozen=True)
class NeighbourhoodScores:
    """How well neighbourhoods of k samples survive, from 0 (as bad as can be) to 1 (all of them); chance is about 0.5.

    trustworthiness : neighbours in the code are neighbours in the data.
    continuity : neighbours in the data are neighbours in the code.
    """

    trustworthiness: float
    continuity: float
    k: int


def neighbourhood_scores(X: Any, Z: Any, k: int = 15) -> NeighbourhoodScores:
    """Trustworthiness and continuity of codes Z of samples X, in one pass.

        T(k) = 1 − 2 / (n k (2n − 3k − 1)) · Σ_i Σ_{j is one of the k neighbours of i in Z} max(0, r_X(i, j) − k)

    where r_X(i, j) is 1 for the sample j that is nearest to i in X; the continuity has X and Z exchanged (Venna and
    Kaski 2001 and 2006, "Local multidimensional scaling", section 2). Euclidean distances. Exact: the time grows with
    n², the memory with n alone.

    X : array of shape (n, ...). Z : array of shape (n, ...), the same samples in the same order.
    k : neighbours of a sample, below n / 2.

    Raises IsthmusError where the numbers of samples differ, k does not suit them, or a number is not finite.
    """
    X, Z = _rows(X, "X"), _rows(Z, "Z")
    n = len(X)
    if len(Z) != n:
        raise IsthmusError(f"X has {n} samples and Z has {len(Z)}; give codes of the same samples in the same order")
    if not 1 <= k < n / 2:
        raise IsthmusError(f"k (={k}) must be at least 1 and below half the number of samples (={n})")
    size = max(1, _BLOCK_NUMBERS // n)
    norms = [np.einsum("ij,ij->i", rows, rows, dtype=np.float64)[:, None] for rows in (X, Z)]
    false, missing = 0, 0
    for start in range(0, n, size):
        in_x, in_z = (_distances(rows, start, size, norm) for rows, norm in zip((X, Z), norms, strict=True))
        near_x, near_z = (np.argpartition(d, k - 1, axis=1)[:, :k] for d in (in_x, in_z))
        false += _excess(in_x, near_z, k)
        missing += _excess(in_z, near_x, k)
    worst = n * k * (2 * n - 3 * k - 1) / 2
    return NeighbourhoodScores(1 - false / worst, 1 - missing / worst, k)


def trustworthiness(X: Any, Z: Any, k: int = 15) -> float:
    """Share of neighbours in Z that are neighbours in X; see `neighbourhood_scores`."""
    return neighbourhood_scores(X, Z, k).trustworthiness


def continuity(X: Any, Z: Any, k: int = 15) -> float:
    """Share of neighbours in X that are neighbours in Z; see `neighbourhood_scores`."""
    return neighbourhood_scores(X, Z, k).continuity


def _rows(samples: Any, name: str) -> np.ndarray:
    rows = np.asarray(samples)
    rows = rows.reshape(len(rows), -1)
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float32)
    if not np.isfinite(rows).all():
        raise IsthmusError(f"{name} contains NaN or infinity; give finite numbers")
    return rows


def _distances(rows: np.ndarray, start: int, size: int, norms: np.ndarray) -> np.ndarray:
    """Squared distances of a block of rows to all, (block, n); of a row to itself: infinite."""
    from sklearn.metrics.pairwise import euclidean_distances

    stop = min(start + size, len(rows))
    distances: np.ndarray = euclidean_distances(
        rows[start:stop], rows, X_norm_squared=norms[start:stop], Y_norm_squared=norms.T, squared=True
    )
    distances[np.arange(stop - start), np.arange(start, stop)] = np.inf
    return distances


def _excess(distances: np.ndarray, neighbours: np.ndarray, k: int) -> int:
    """By how much the ranks of the neighbours (block, k) exceed k, summed; equally far samples share the best rank."""
    own = np.take_along_axis(distances, neighbours, axis=1)
    distances = np.sort(distances, axis=1)
    ranks = [np.searchsorted(row, values) + 1 for row, values in zip(distances, own, strict=True)]
    return int(np.maximum(np.stack(ranks) - k, 0).sum())
