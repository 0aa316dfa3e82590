"""Metrics: their definitions, their limits and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import IsthmusError
from isthmus.evaluation import metrics


def pair(shape: tuple[int, ...], noise: float = 0.1) -> Any:
    rng = np.random.default_rng(0)
    X = rng.random(shape, dtype=np.float32)
    return X, np.clip(X + noise * rng.standard_normal(shape), 0, 1).astype(np.float32)


@pytest.mark.parametrize("shape", [(7, 1, 28, 28), (5, 3, 12, 14), (4, 1, 6, 7, 8), (6, 2, 30), (9, 5)])
def test_values_per_sample(shape: tuple[int, ...]) -> None:
    X, X_hat = pair(shape)
    axes = tuple(range(1, len(shape)))
    difference = X_hat.astype(np.float64) - X
    assert np.allclose(metrics.mse(X, X_hat), (difference**2).mean(axes), rtol=1e-5)
    assert np.allclose(metrics.mae(X, X_hat), np.abs(difference).mean(axes), rtol=1e-5)
    assert np.allclose(metrics.psnr(X, X_hat), 10 * np.log10(1 / (difference**2).mean(axes)), rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 40), size=st.integers(1, 30), chunk=st.integers(1, 200))
def test_chunks_change_nothing(n: int, size: Any, chunk: Any) -> None:
    X, X_hat = pair((n, size))
    expected = metrics.mse(X, X_hat)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_CHUNK_NUMBERS", chunk)
        assert np.allclose(metrics.mse(X, X_hat), expected, rtol=1e-6)


def test_perfect_reconstruction() -> None:
    X, _ = pair((3, 1, 16, 16))
    found = metrics.reconstruction_metrics(X, X)
    assert (found.mse, found.mae, found.psnr) == (0, 0, 100)
    assert found.ssim == pytest.approx(1)
    assert found.per_sample_mse.shape == (3,)


def test_similarity_falls_with_noise_and_is_for_images_only() -> None:
    values = [metrics.reconstruction_metrics(*pair((4, 3, 20, 20), noise)).ssim for noise in (0.05, 0.2, 0.5)]
    assert values == sorted(values, reverse=True)
    assert metrics.reconstruction_metrics(*pair((4, 6))).ssim is None
    assert metrics.reconstruction_metrics(*pair((4, 1, 60))).ssim is None


def test_messages() -> None:
    with pytest.raises(IsthmusError, match=r"\(3, 4\).*\(3, 5\)"):
        metrics.reconstruction_metrics(np.zeros((3, 4)), np.zeros((3, 5)))
    with pytest.raises(IsthmusError, match="at least 1 sample"):
        metrics.mse(np.zeros((0, 4)), np.zeros((0, 4)))
