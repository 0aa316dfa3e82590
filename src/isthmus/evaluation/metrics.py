"""How close reconstructions are to their originals.

Arrays are in scaled units with the sample axis first: images (N, C, *spatial) in [0, 1], tables (N, features).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from isthmus.errors import IsthmusError

_CHUNK_NUMBERS = 1 << 19  # numbers that are compared at a time: temporary arrays stay small
_PSNR_CAP = 100.0  # decibels: one exact reconstruction must not make the mean of many infinite


@dataclass(frozen=True)
class ReconstructionMetrics:
    """Means over all samples, and the squared error of each.

    mse, mae : mean squared and mean absolute error of a pixel or cell.
    psnr : peak signal-to-noise ratio in decibels, the mean over the samples.
    ssim : structural similarity, 1 for identical images; None for tables and signals.
    per_sample_mse : array of shape (N,).
    """

    mse: float
    mae: float
    psnr: float
    ssim: float | None
    per_sample_mse: np.ndarray = field(repr=False, compare=False)


def reconstruction_metrics(X: np.ndarray, X_hat: np.ndarray) -> ReconstructionMetrics:
    """Every metric of the reconstructions `X_hat` of `X`, two arrays of one shape.

    Raises IsthmusError where the shapes differ or there is no sample.
    """
    squared = mse(X, X_hat)
    return ReconstructionMetrics(
        mse=float(squared.mean()),
        mae=float(mae(X, X_hat).mean()),
        psnr=float(_decibels(squared).mean()),
        ssim=float(ssim(X, X_hat).mean()) if X.ndim >= 4 else None,
        per_sample_mse=squared,
    )


def mse(X: np.ndarray, X_hat: np.ndarray) -> np.ndarray:
    """Mean squared error of each sample, float64 array of shape (N,)."""
    return _per_sample(X, X_hat, np.square)


def mae(X: np.ndarray, X_hat: np.ndarray) -> np.ndarray:
    """Mean absolute error of each sample, float64 array of shape (N,)."""
    return _per_sample(X, X_hat, np.abs)


def psnr(X: np.ndarray, X_hat: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each sample in decibels, data range 1, at most 100; array of shape (N,)."""
    return _decibels(mse(X, X_hat))


def ssim(X: np.ndarray, X_hat: np.ndarray) -> np.ndarray:
    """Structural similarity of each image (Wang et al. 2004), mean over pixels and channels, array of shape (N,)."""
    import torch

    from isthmus.objectives import Objective

    _check(X, X_hat)
    objective = Objective({"ssim": 1.0})
    similarity = np.empty(len(X))
    for part in _parts(X):
        pair = [torch.from_numpy(np.ascontiguousarray(a[part], dtype=np.float32)) for a in (X_hat, X)]
        similarity[part] = 1 - objective.per_sample(*pair).numpy()
    return similarity


def decibels(error: float) -> float:
    """The peak signal-to-noise ratio of a mean squared error, data range 1; infinite without an error."""
    return -10 * math.log10(error) if error > 0 else math.inf


def _decibels(squared: np.ndarray) -> np.ndarray:
    decibels: np.ndarray = -10 * np.log10(np.maximum(squared, 10 ** (-_PSNR_CAP / 10)))
    return decibels


def _per_sample(X: np.ndarray, X_hat: np.ndarray, penalty: np.ufunc) -> np.ndarray:
    _check(X, X_hat)
    errors = np.empty(len(X))
    for part in _parts(X):
        difference = np.subtract(X_hat[part], X[part], dtype=np.float32)
        penalty(difference, out=difference)
        errors[part] = difference.reshape(len(difference), -1).mean(axis=1, dtype=np.float64)
    return errors


def _parts(X: np.ndarray) -> list[slice]:
    size = max(1, _CHUNK_NUMBERS // max(1, math.prod(X.shape[1:])))
    return [slice(start, start + size) for start in range(0, len(X), size)]


def _check(X: np.ndarray, X_hat: np.ndarray) -> None:
    if X.shape != X_hat.shape:
        raise IsthmusError(
            f"originals of shape {X.shape} and reconstructions of shape {X_hat.shape} cannot be compared; "
            f"the shapes must be equal"
        )
    if X.size == 0:
        raise IsthmusError(f"there is nothing to compare in arrays of shape {X.shape}; at least 1 sample is needed")
