"""What the numbers of a code do: a walk along each, and what moves on the way."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

STEPS = np.linspace(-2, 2, 9)  # of a walk, in standard deviations
_MOST_COORDINATES = 256  # a code with more numbers is walked along its principal directions
_PRINCIPAL = 16
_MOST_WALKS = 8
_MOST_DECODED = 2_048  # samples, to find out what is important
_MOST_NUMBERS = 1 << 24  # in those samples
_MOST_FITTED = 2_000  # codes, to find the principal directions


@dataclass(frozen=True)
class Direction:
    """One direction in the space of codes.

    name : "z3" for the number Z[:, 3] of a code, "direction 1" for a principal direction of large and spatial codes.
    importance : mean absolute change of a pixel or cell when the code moves from −1 to +1 standard deviation.
    moved : that change for each pixel or cell, array of shape (C, *spatial) or (features,).
    walk : reconstructions around the mean code at `STEPS`, array (9, ...); None beyond the eight most important.
    """

    name: str
    importance: float
    moved: np.ndarray
    walk: np.ndarray | None


def code_directions(
    codes: np.ndarray, decode: Callable[[np.ndarray], np.ndarray], *, flat: bool, rng: np.random.Generator
) -> tuple[Direction, ...]:
    """The directions of a code by importance; empty where there are too few different codes to know a spread.

    codes : array (n, numbers). decode : such an array to samples. flat : whether a code is a row of numbers.
    """
    if len(codes) < 3 or not codes.std(axis=0).any():
        return ()
    if flat and codes.shape[1] <= _MOST_COORDINATES:
        axes, names = np.eye(codes.shape[1], dtype=np.float32), [f"z{i}" for i in range(codes.shape[1])]
    else:
        axes = _principal(codes, _PRINCIPAL)[0]
        names = [f"direction {i + 1}" for i in range(len(axes))]
    center = codes.mean(axis=0)
    spread = ((codes - center) @ axes.T).std(axis=0)
    moved = _moved(codes, center, axes, spread, decode, rng)
    importance = moved.reshape(len(axes), -1).mean(axis=1)
    order = np.argsort(-importance, kind="stable")
    walks = [decode(center + np.outer(STEPS * spread[i], axes[i]).astype(np.float32)) for i in order[:_MOST_WALKS]]
    return tuple(
        Direction(names[i], float(importance[i]), moved[i], walks[rank] if rank < len(walks) else None)
        for rank, i in enumerate(order)
    )


def _moved(
    codes: np.ndarray,
    center: np.ndarray,
    axes: np.ndarray,
    spread: np.ndarray,
    decode: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Mean absolute change between −1 and +1 standard deviation, over some real codes: (directions, *sample)."""
    numbers = math.prod(decode(codes[:1]).shape[1:])
    count = min(_MOST_DECODED, _MOST_NUMBERS // numbers) // (2 * len(axes))
    base = codes[rng.choice(len(codes), max(1, min(count, 32, len(codes))), replace=False)]
    changes = []
    for axis, sigma in zip(axes, spread, strict=True):
        middle = base - np.outer((base - center) @ axis, axis)  # everything else stays as it is
        ends = decode(np.concatenate([middle - sigma * axis, middle + sigma * axis]).astype(np.float32))
        changes.append(np.abs(ends[len(base) :] - ends[: len(base)]).mean(axis=0))
    return np.stack(changes)


def code_plane(codes: np.ndarray, errors: np.ndarray, flat: bool) -> tuple[np.ndarray, tuple[str, str]]:
    """Two coordinates of each code, array (n, 2), and their names."""
    if codes.shape[1] == 1:
        return np.column_stack([codes[:, 0], errors]), ("z0", "squared error")
    if codes.shape[1] == 2 and flat:
        return codes, ("z0", "z1")
    if len(codes) < 3:
        return codes[:, :2], ("", "")
    axes, shares = _principal(codes, 2)
    points = (codes - codes.mean(axis=0)) @ axes.T
    if points.shape[1] == 1:
        points = np.column_stack([points, np.zeros(len(points))])
    names = [f"principal component {i + 1} of the codes ({share:.0%})" for i, share in enumerate(shares)]
    return points, (names[0], names[1] if len(names) > 1 else "")


def _principal(codes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal directions as rows, and their shares of the variance."""
    from sklearn.decomposition import PCA

    some = codes[np.linspace(0, len(codes) - 1, min(len(codes), _MOST_FITTED)).astype(np.intp)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal codes: a share of no variance
        pca = PCA(min(count, *some.shape), random_state=0).fit(some)
    return pca.components_.astype(np.float32), np.nan_to_num(pca.explained_variance_ratio_)
