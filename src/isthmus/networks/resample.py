"""Fixed interpolations by an integer factor, for 1, 2 or 3 spatial dimensions: no parameters.

Positions are those of pixel centres: output m lies at (m + 1/2) / factor - 1/2 of the input. Weights of positions
outside the input are dropped and the others divided by their sum, as Keras, JAX and TensorFlow do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.errors import unknown_name

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
_BLOCK = 64  # output positions computed by one matrix product: a wider matrix would hold little but zeros


def _cubic(t: np.ndarray) -> np.ndarray:
    """Keys (1981), "Cubic convolution interpolation", equation 4 with a = -1/2."""
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _lanczos(radius: int) -> Callable[[np.ndarray], np.ndarray]:
    """Lanczos (1956) as in Turkowski (1990), "Filters for common resampling tasks": sinc(t) sinc(t / radius)."""
    return lambda t: np.where(t < radius, np.sinc(t) * np.sinc(t / radius), 0.0)


# Each kernel takes absolute distances in input positions; it is zero from its radius on.
_KERNELS: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
    "bicubic": (2, _cubic),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
}
METHODS = ("nearest", "bilinear", *_KERNELS, "area")


def resample(x: Tensor, factor: int, method: str) -> Tensor:
    """Interpolate, (N, C, *S) -> (N, C, *factor·S).

    `method` is one of METHODS; "bilinear" is linear in 1-D and trilinear in 3-D, the others are separable likewise.
    "area" (each output is the mean of the input under it) equals "nearest" at an integer factor.
    Raises IsthmusError for an unknown method.
    """
    if method in ("nearest", "area"):
        return F.interpolate(x, scale_factor=factor, mode="nearest")
    if method == "bilinear":
        return F.interpolate(x, scale_factor=factor, mode=_LINEAR[x.ndim - 2], align_corners=False)
    if method not in _KERNELS:
        raise unknown_name("interpolation", method, METHODS)
    y = x.movedim(1, -1)  # (N, C, *S) -> (N, *S, C): no copy where the memory format is channels_last
    for axis in range(1, y.ndim - 1):
        y = _resample_axis(y, axis, factor, method)
    return y.movedim(-1, 1)


def _resample_axis(y: Tensor, axis: int, factor: int, method: str) -> Tensor:
    """Interpolate one axis by matrix products: (..., n, ..., C) -> (..., factor·n, ..., C)."""
    rest = y.shape[axis + 1 :]
    y = y.flatten(axis + 1)  # (..., n, rest)
    blocks = []
    for rows, columns, matrix in _blocks(y.shape[axis], factor, method):
        weights = torch.tensor(matrix, dtype=y.dtype, device=y.device)  # (rows, columns)
        blocks.append(weights @ y.narrow(axis, columns.start, len(columns)))
        assert blocks[-1].shape[axis] == len(rows)
    y = blocks[0] if len(blocks) == 1 else torch.cat(blocks, axis)
    y = y.unflatten(-1, rest)
    return y


@lru_cache(maxsize=256)
def _blocks(size: int, factor: int, method: str) -> list[tuple[range, range, np.ndarray]]:
    """(output positions, input positions that they depend on, weights), from first to last.

    NumPy arrays rather than tensors: what is cached must not belong to the inference or export that first asked.
    """
    radius, kernel = _KERNELS[method]
    blocks = []
    for start in range(0, size * factor, _BLOCK):
        rows = range(start, min(start + _BLOCK, size * factor))
        columns = range(max(0, rows.start // factor - radius), min(size, rows[-1] // factor + radius + 1))
        positions = (np.asarray(rows) + 0.5) / factor - 0.5
        weights = kernel(np.abs(positions[:, None] - np.asarray(columns)))
        blocks.append((rows, columns, (weights / weights.sum(1, keepdims=True)).astype(np.float32)))
    return blocks
