"""How much noise there is in data that nobody has seen clean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus.errors import IsthmusError

_SIDES = {1: 16, 2: 8, 3: 4}  # of patches, by the number of spatial dimensions
_PATCHES = 200_000
_BINS = 12  # of brightness, where the noise depends on it
_LEAST_PATCHES = 200  # in a bin
_FLAT = 0.1  # share of the patches that say whether noise is correlated
_CORRELATED = 0.3  # correlation of neighbours along a row from which on it counts


def estimate_deviation(samples: Sequence[np.ndarray], seed: int = 0, *, across_rows: bool = False) -> float:
    """Standard deviation of white Gaussian noise in samples (*spatial, channels), in their own units.

    across_rows : look along all axes but the last spatial one, along which the noise may be correlated.

    Chen, Zhu and Heng 2015, "An efficient statistical method for image noise level estimation", ICCV, algorithm 1: what
    is left of the eigenvalues of the patches' covariance when those of the signal are taken away; here of patches of
    equal brightness, of which the least counts: where patches are empty there is nothing but noise.
    """
    return float(np.sqrt(min(variance for _, variance in _by_brightness(_patches(samples, seed, across_rows)))))


def estimate_gains(samples: Sequence[np.ndarray], seed: int = 0) -> tuple[float, float]:
    """Noise whose variance is a · brightness + b: (a, b), fitted to the noise of patches of equal brightness.

    Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting", IEEE TIP 17(10), with the variances of
    `estimate_deviation`.
    """
    x, y = np.array(_by_brightness(_patches(samples, seed))).T
    weight = 1 / (y + 1e-3 * y.max())  # of the relative error of a variance
    slope, offset = np.polyfit(x, y, 1, w=weight)
    return max(0.0, float(slope)), max(0.0, float(offset))


def is_correlated(samples: Sequence[np.ndarray], seed: int = 0) -> bool:
    """Whether the noise of neighbours along a row (the last spatial axis) hangs together, and across rows it does not.

    Seen in the flattest tenth of the patches, after taking away the mean of each.
    """
    if samples[0].ndim < 3:
        return False
    d = samples[0].ndim - 1
    patches = _patches(samples, seed)
    patches = patches.reshape(-1, *[round(patches.shape[1] ** (1 / d))] * d)
    flat = patches[np.argsort(patches.var(tuple(range(1, patches.ndim))))[: max(1, int(_FLAT * len(patches)))]]
    flat = flat - flat.mean(tuple(range(1, flat.ndim)), keepdims=True)
    power = float((flat**2).mean())
    if power == 0:
        return False
    along = float((flat[..., 1:] * flat[..., :-1]).mean()) / power
    across = float((flat[..., 1:, :] * flat[..., :-1, :]).mean()) / power
    return along - across > _CORRELATED


def _patches(samples: Sequence[np.ndarray], seed: int, across_rows: bool = False) -> np.ndarray:
    """Random patches of single channels, float64 (n, side^d); of one column where `across_rows` is set."""
    rng = np.random.default_rng([seed, 6])
    d = samples[0].ndim - 1
    if d == across_rows:
        raise IsthmusError("the level of noise along rows cannot be estimated of signals; give it, as in rows:0.1")
    shortest = int(np.median([min(sample.shape[: d - across_rows]) for sample in samples]))
    side = min(_SIDES[d - across_rows], max(2, shortest // 2))
    sides = [side] * (d - across_rows) + [1] * across_rows
    large = [sample for sample in samples if all(n >= k for n, k in zip(sample.shape, sides, strict=False))]
    if not large:
        raise IsthmusError(f"no sample is as long as {side} on every axis, so its noise cannot be estimated; give it")
    chosen = rng.permutation(len(large))[:_PATCHES]
    count, found = max(1, _PATCHES // len(chosen)), []
    for index in chosen.tolist():
        sample = large[index]
        places = [rng.integers(0, n - k + 1, count) for n, k in zip(sample.shape, sides, strict=False)]
        channels = rng.integers(0, sample.shape[-1], count)
        windows = np.lib.stride_tricks.sliding_window_view(sample, sides, axis=tuple(range(d)))
        found.append(windows[(*places, channels)].reshape(count, -1))
    return np.concatenate(found).astype(np.float64)


def _by_brightness(patches: np.ndarray) -> list[tuple[float, float]]:
    """Mean and variance of the noise of patches of equal brightness."""
    means = patches.mean(1)
    bins = min(_BINS, max(1, len(patches) // _LEAST_PATCHES))
    chosen = np.array_split(np.argsort(means), bins)
    return [(float(means[part].mean()), _least_variance(patches[part])) for part in chosen]


def _least_variance(patches: np.ndarray) -> float:
    values = np.sort(np.linalg.eigvalsh(np.cov(patches, rowvar=False)))[::-1]
    for first in range(len(values)):
        rest = values[first:]
        mean = rest.mean()
        if (rest > mean).sum() >= (rest < mean).sum():  # no longer skewed: noise alone
            return max(0.0, float(mean))
    return max(0.0, float(values[-1]))
