"""What the numbers of a code do: a walk along each, and what moves on the way."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isthmus.data.base import evenly_spread

STEPS = np.linspace(-2, 2, 9)  # of a walk, in standard deviations
GRID = 12  # decoded codes along a side
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
    walk : reconstructions around the mean code at `STEPS`, array (9, *moved.shape).
    """

    name: str
    importance: float
    moved: np.ndarray
    walk: np.ndarray


@dataclass(frozen=True)
class Directions:
    """The directions of a code. importances : of all, falling. top : the most important ones that do anything."""

    importances: np.ndarray
    top: tuple[Direction, ...]


def code_directions(
    codes: np.ndarray, decode: Callable[[np.ndarray], np.ndarray], *, flat: bool, rng: np.random.Generator
) -> Directions:
    """The directions of a code; none where there are too few different codes to know a spread.

    codes : array (n, numbers). decode : such an array to samples. flat : whether a code is a row of numbers.
    """
    if len(codes) < 3 or not codes.std(axis=0).any():
        return Directions(np.zeros(0), ())
    axes, names = code_axes(codes, flat)
    center = codes.mean(axis=0)
    spread = ((codes - center) @ axes.T).std(axis=0)
    numbers = math.prod(decode(codes[:1]).shape[1:])
    count = min(_MOST_DECODED, _MOST_NUMBERS // numbers) // (2 * len(axes))
    base = codes[rng.choice(len(codes), max(1, min(count, 32, len(codes))), replace=False)]
    importances = np.zeros(len(axes))
    moved: dict[int, np.ndarray] = {}  # of the most important so far: one for each of 256 would be too much memory
    for i, (axis, sigma) in enumerate(zip(axes, spread, strict=True)):
        middle = base - np.outer((base - center) @ axis, axis)  # everything else stays as it is
        ends = decode(np.concatenate([middle - sigma * axis, middle + sigma * axis]).astype(np.float32))
        moved[i] = np.abs(ends[len(base) :] - ends[: len(base)]).mean(axis=0)
        importances[i] = moved[i].mean()
        if len(moved) > _MOST_WALKS:
            del moved[min(moved, key=lambda j: float(importances[j]))]
    top = []
    for i in sorted(moved, key=lambda j: -float(importances[j])):
        if importances[i] > 0:
            walk = decode((center + np.outer(STEPS * spread[i], axes[i])).astype(np.float32))
            top.append(Direction(names[i], float(importances[i]), moved[i], walk))
    return Directions(np.sort(importances)[::-1], tuple(top))


def code_axes(codes: np.ndarray, flat: bool) -> tuple[np.ndarray, list[str]]:
    """The directions that codes (n, d) are walked along, as unit rows, and their names.

    Those of the numbers themselves, or the first principal ones where there are many numbers or a code is not flat.
    """
    if flat and codes.shape[1] <= _MOST_COORDINATES:
        return np.eye(codes.shape[1], dtype=np.float32), [f"z{i}" for i in range(codes.shape[1])]
    axes = _principal(codes, _PRINCIPAL)[0]
    return axes, [f"direction {i + 1}" for i in range(len(axes))]


def code_grid(codes: np.ndarray, decode: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
    """What the decoder makes of a square grid over codes of two numbers, row by row from the top left; else None."""
    if codes.shape[1] != 2 or len(codes) < 3 or not np.ptp(codes, axis=0).all():
        return None
    return decode(grid_codes(codes).reshape(-1, 2))


def grid_codes(codes: np.ndarray, size: int = GRID) -> np.ndarray:
    """A square grid over where codes (n, d) lie, from the top left: float32 array (size, size, d).

    It spans 98 % of their range in each of two numbers: the code's own two, or those along the two principal
    directions of longer codes, through their mean.
    """
    if codes.shape[1] == 2:
        center, axes = np.zeros(2), np.eye(2)
    else:
        center, axes = codes.mean(axis=0), _principal(codes, 2)[0]
    low, high = np.quantile((codes - center) @ axes.T, (0.01, 0.99), axis=0)
    across, down = np.linspace(low[0], high[0], size), np.linspace(high[1], low[1], size)
    return (center + np.stack(np.meshgrid(across, down), axis=-1) @ axes).astype(np.float32)


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

    some = codes[evenly_spread(len(codes), _MOST_FITTED)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal codes: a share of no variance
        pca = PCA(min(count, *some.shape), random_state=0).fit(some)
    return pca.components_.astype(np.float32), np.nan_to_num(pca.explained_variance_ratio_)
