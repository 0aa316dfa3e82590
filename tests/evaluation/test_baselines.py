"""PCA as the auto-encoder to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isthmus.evaluation import baselines
from isthmus.evaluation.baselines import pca_baseline


def rank_three(n: int, shape: tuple[int, ...] = (4, 5)) -> Any:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((3, *shape))
    return np.tensordot(rng.standard_normal((n, 3)), mixing, 1).astype(np.float32) + 2


def test_enough_components_rebuild_exactly_and_fewer_do_not() -> None:
    X = rank_three(120)
    errors = []
    for n_components in (1, 2, 3):
        found = pca_baseline(X[:100], X[100:], n_components)
        assert found.codes.shape == (20, n_components) and found.reconstruction.shape == (20, 4, 5)
        errors.append(np.square(found.reconstruction - X[100:]).mean())
    assert errors[0] > errors[1] > errors[2] and errors[2] == pytest.approx(0, abs=1e-8)


def test_more_components_than_data_span() -> None:
    X = rank_three(6)
    assert pca_baseline(X[:4], X, 50).n_components == 4


def test_one_training_sample_and_constant_data() -> None:
    X = rank_three(3)
    assert np.array_equal(pca_baseline(X[:1], X, 2).reconstruction, np.repeat(X[:1], 3, axis=0))
    constant = np.full((5, 8), 0.3, np.float32)
    assert np.allclose(pca_baseline(constant, constant, 2).reconstruction, 0.3)


def test_large_training_sets_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_MOST_ROWS", 50)
    X = rank_three(500)
    found = pca_baseline(X, X, 3)
    assert len(found.codes) == 500 and np.allclose(found.reconstruction, X, atol=1e-4)
    again = pca_baseline(X, X, 3)
    assert np.array_equal(found.codes, again.codes)
