"""Whether rows are copies of rows that a model was trained on, and how near they come to these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.latent.distance_to_data import TrainingNeighbours
from isthmus.training.order import mixed


class SeenRows:
    """The rows of a training table as 64 bits each: enough to recognise a row, too little to read it.

    trained, held_out : sorted hashes, uint64, of the rows that were trained on and of those that chose the weights.
    """

    def __init__(self, trained: np.ndarray, held_out: np.ndarray) -> None:
        self.trained, self.held_out = trained, held_out

    def copies(self, values: np.ndarray) -> np.ndarray:
        """Which rows (n, columns) equal a row of the table in every cell, bool (n,)."""
        hashes = row_hashes(values)
        found: np.ndarray = _among(hashes, self.trained) | _among(hashes, self.held_out)
        return found

    def were_trained_on(self, values: np.ndarray) -> np.ndarray:
        """Which rows (n, columns) equal one that was trained on, bool (n,)."""
        return _among(row_hashes(values), self.trained)

    def were_held_out(self, values: np.ndarray) -> np.ndarray:
        """Which rows (n, columns) equal one that chose the weights, bool (n,)."""
        return _among(row_hashes(values), self.held_out)


@dataclass(frozen=True)
class RowPrivacy:
    """How near synthetic rows come to the training rows, beside rows that the model never saw.

    copies, usual_copies : share of synthetic and of held-out rows that equal a training row in every cell.
    neighbours : distances to the nearest training row, in standard deviations of numbers and steps of categories.
    rows, held_out : how many were compared.

    Synthetic rows that come no nearer than held-out rows tell no more about a single training row than the table's
    regularities do. This is a measurement, not a proof such as differential privacy gives.
    """

    copies: float
    usual_copies: float
    neighbours: TrainingNeighbours
    rows: int
    held_out: int

    @property
    def distance(self) -> float:
        """The median distance of synthetic rows to the nearest training row."""
        return float(np.median(self.neighbours.distances[:, 0]))

    @property
    def usual_distance(self) -> float:
        """The same median for held-out rows."""
        return float(np.median(self.neighbours.usual))

    @property
    def too_near(self) -> float:
        """Share of synthetic rows that lie nearer to a training row than 1 % of held-out rows do: .01 is usual."""
        return float((self.neighbours.distances[:, 0] < np.quantile(self.neighbours.usual, 0.01)).mean())

    def __str__(self) -> str:
        return (
            f"copies of training rows: {self.copies:.2%} (of held-out rows: {self.usual_copies:.2%}); median distance "
            f"to the nearest training row: {self.distance:.3f} (held-out rows: {self.usual_distance:.3f}); nearer than "
            f"99 % of held-out rows: {self.too_near:.1%}"
        )


def row_hashes(values: np.ndarray) -> np.ndarray:
    """64 bits for each row of numbers (n, columns), in which all NaN are alike: uint64 (n,)."""
    known = np.where(np.isnan(values), np.nan, values.astype(np.float64) + 0.0)  # -0.0 is 0.0
    bits = np.ascontiguousarray(known).view(np.uint64)
    hashes = np.full(len(values), 0x9E3779B97F4A7C15, np.uint64)
    for column in bits.T:
        hashes = mixed((hashes ^ column) * np.uint64(0xBF58476D1CE4E5B9))
    return hashes


def _among(hashes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which are among those known, which are sorted."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    found: np.ndarray = known[places] == hashes
    return found
