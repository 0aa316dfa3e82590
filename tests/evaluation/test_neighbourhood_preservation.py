"""Trustworthiness and continuity."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import manifold

from isthmus.errors import IsthmusError
from isthmus.evaluation import neighbourhood_preservation as neighbourhoods
from isthmus.evaluation.neighbourhood_preservation import continuity, neighbourhood_scores, trustworthiness


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Images and a bad map of them."""
    X = np.random.default_rng(0).normal(size=(211, 4, 3)).astype(np.float32)
    return X, X.reshape(211, 12)[:, :2].copy()


@pytest.mark.parametrize("k", [1, 15, 100])
def test_equals_scikit_learn(pair: tuple[np.ndarray, np.ndarray], k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbourhoods, "_BLOCK_NUMBERS", 211 * 50)  # several blocks, the last of another length
    X, Z = pair
    flat = X.reshape(len(X), -1)
    scores = neighbourhood_scores(X, Z, k)
    assert scores.trustworthiness == pytest.approx(manifold.trustworthiness(flat, Z, n_neighbors=k), abs=1e-12)
    assert scores.continuity == pytest.approx(manifold.trustworthiness(Z, flat, n_neighbors=k), abs=1e-12)
    assert (trustworthiness(X, Z, k), continuity(X, Z, k)) == (scores.trustworthiness, scores.continuity)


def test_what_is_torn_and_what_is_folded() -> None:
    t = np.sort(np.random.default_rng(0).random(400))
    line = np.stack([t, 0 * t], 1)
    pieces = np.random.default_rng(1).permutation(10)
    apart = 9 * pieces[(10 * t).astype(int)] + t  # far apart, in another order
    together = np.abs(t - 0.5)  # two halves on top of each other
    same, torn, folded = (neighbourhood_scores(line, z[:, None]) for z in (8 * t, apart, together))
    assert (same.trustworthiness, same.continuity) == (1, 1)
    assert torn.trustworthiness > torn.continuity > 0.9
    assert folded.trustworthiness < 0.7 and folded.continuity > 0.98


def test_copies_of_a_sample_are_equally_near() -> None:
    X = np.repeat(np.eye(3), 10, axis=0)
    assert neighbourhood_scores(X, X, k=5) == neighbourhoods.NeighbourhoodScores(1.0, 1.0, 5)


@pytest.mark.parametrize(
    ("Z", "k", "message"),
    [
        (np.zeros((9, 2)), 3, "X has 10 samples and Z has 9"),
        (np.zeros((10, 2)), 5, r"k \(=5\) must be at least 1 and below half the number of samples \(=10\)"),
        (np.full((10, 2), np.nan), 3, "Z contains NaN"),
    ],
)
def test_one_clear_line(Z: np.ndarray, k: int, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        neighbourhood_scores(np.zeros((10, 3)), Z, k)
