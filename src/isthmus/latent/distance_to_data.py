"""How near samples come to the data a model was trained on: are they copies, and do they lie off the manifold?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from isthmus.data.base import evenly_spread
from isthmus.data.neighbour_graph import neighbour_index
from isthmus.errors import IsthmusError
from isthmus.words import count

NEAREST = 5  # neighbours whose mean distance says how far a code lies from those of the data
MOST_USUAL = 2_000  # samples that say what is usual
_MOST_PAIRS = 1 << 30  # that are all compared; beyond, a graph is searched
_COPY = 0.01  # share of data not seen in training that comes as near as what is called a copy


@dataclass(frozen=True)
class TrainingNeighbours:
    """The nearest training samples of generated ones, by the distance of their codes, and whether these are copies.

    indices : int64 array of shape (n, k), into the training data, nearest first. distances : float32, the same shape.
    usual : distances of new samples (not trained on) to their nearest training sample, array of shape (m,).
    """

    indices: np.ndarray
    distances: np.ndarray
    usual: np.ndarray = field(repr=False)

    def __repr__(self) -> str:
        n, k = self.indices.shape
        return (
            f"<TrainingNeighbours: {count(k, 'neighbour')} of each of {count(n, 'sample')}; nearest at "
            f"{np.median(self.ratios):.3g} times the usual distance, {int(self.memorised.sum()):,} may be copies>"
        )

    @property
    def ratios(self) -> np.ndarray:
        """Distance to the nearest training sample over the median of the usual ones, (n,): near 0 is a copy."""
        ratios: np.ndarray = self.distances[:, 0] / max(float(np.median(self.usual)), np.finfo(np.float32).tiny)
        return ratios

    @property
    def memorised(self) -> np.ndarray:
        """Whether each sample lies nearer to a training sample than 99 % of new data do, (n,)."""
        memorised: np.ndarray = self.distances[:, 0] < np.quantile(self.usual, _COPY)
        return memorised

    @property
    def copying(self) -> float:
        """Standard deviations by which the samples as a whole are farther from the training data than new data are.

        Below −3 the generator copies its training data; far above 3 it does not come near enough to data. The z-score
        of the rank-sum test on the two sets of distances: Meehan, Chaudhuri and Dasgupta (2020), "A non-parametric
        test to detect data-copying in generative models", arXiv:2004.05675, section 3.1 (one cell).
        """
        from scipy.stats import ranksums

        return float(ranksums(self.distances[:, 0], self.usual).statistic)


@dataclass(frozen=True)
class OffManifold:
    """How far samples lie from the manifold that the decoder spans, and their codes from those of data.

    error : root mean squared difference between each sample and its reconstruction, in scaled units, (n,). The sample's
        distance to a point on the manifold, and so at least that to the nearest one.
    distance : mean distance of each code to the 5 nearest ones of the data, (n,): large where the decoder was not
        trained, even if the sample is reconstructed well.
    usual_error, usual_distance : the medians of the data themselves.
    """

    error: np.ndarray
    distance: np.ndarray
    usual_error: float
    usual_distance: float

    def __repr__(self) -> str:
        return (
            f"<OffManifold: {count(len(self.error), 'sample')}; median error {np.median(self.error_ratio):.3g} times, "
            f"median distance {np.median(self.distance_ratio):.3g} times the usual>"
        )

    @property
    def error_ratio(self) -> np.ndarray:
        """How many times the usual error, (n,): about 1 on the manifold."""
        ratio: np.ndarray = self.error / max(self.usual_error, np.finfo(np.float32).tiny)
        return ratio

    @property
    def distance_ratio(self) -> np.ndarray:
        """How many times the usual distance, (n,): about 1 among the data."""
        ratio: np.ndarray = self.distance / max(self.usual_distance, np.finfo(np.float32).tiny)
        return ratio


def training_neighbours(
    codes: np.ndarray, data: np.ndarray, k: int, held_out: np.ndarray | None = None
) -> TrainingNeighbours:
    """The k nearest rows of `data` (m, d) for each row of `codes` (n, d).

    held_out : rows of samples that the model has not seen. Without them every row of the data is compared with the
    others, which says the same as long as the model treats new data like its own.
    """
    _check_k(k, len(data))
    indices, distances = nearest(codes, data, k)
    if held_out is not None:
        return TrainingNeighbours(indices, distances, nearest(held_out, data, 1)[1][:, 0])
    return TrainingNeighbours(indices, distances, among_themselves(data, 1)[:, 0])


def nearest(queries: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and Euclidean distances of the k rows nearest to each query, (n, k) each.

    Exact up to 2³⁰ pairs, beyond that by a graph that finds 99 % and more of them (`neighbour_index`).
    """
    if len(queries) * len(rows) > _MOST_PAIRS:
        found = neighbour_index(rows).search(np.ascontiguousarray(queries), k)
        return np.asarray(found.keys).reshape(-1, k).astype(np.int64), np.sqrt(found.distances).reshape(-1, k)
    from sklearn.neighbors import NearestNeighbors

    distances, indices = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows).kneighbors(queries)
    return indices, distances.astype(np.float32)


def among_themselves(rows: np.ndarray, k: int) -> np.ndarray:
    """Distances of some rows, from all over, to the k nearest of the others, (at most 2,000, k)."""
    _check_k(k + 1, len(rows))
    picked = evenly_spread(len(rows), MOST_USUAL)
    indices, distances = nearest(rows[picked], rows, k + 1)
    own = indices == picked[:, None]
    own[~own.any(axis=1), -1] = True  # of many equal rows, the row itself need not be among the first
    others: np.ndarray = distances[~own].reshape(-1, k)
    return others


def _check_k(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise IsthmusError(f"{k} neighbours were asked for among {n} samples; that many samples are needed at least")
