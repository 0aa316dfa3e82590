"""How much noise there is in data of which no clean version exists."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.fft import dctn

from isthmus.corruptions import ROW_REACH
from isthmus.errors import IsthmusError

_SIDES = {1: 16, 2: 8, 3: 4}  # of patches, by the number of spatial dimensions
_PATCHES, _TIMES = 200_000, 8  # in all, or so many times as there are places
_PATCHES_OF_ONE, _UNBIASED = 20_000, 1.03  # of one sample, and how much too small the least of the bins is there
_BINS = 12  # of brightness, where the noise depends on it
_LEAST_PATCHES = 1000  # in a bin, and of those that are smooth
_SMOOTH = 0.05  # share of the patches of equal brightness that say how much noise there is
_LEAST_SMOOTH = 100
_FITS, _OUTLYING = 4, 2.0  # of variances to brightness, without those so many times above the line
_FLAT = 0.1  # share of the patches that say whether noise is correlated
_CORRELATED = 0.3  # correlation of neighbours along a row from which on it counts
_CLIPPED = 0.05  # share of a patch's values at the ends of the data from which on it has been clipped
_TIED = 0.1  # share of neighbours that are equal from which on, beyond twice the usual, a patch is filled in part
_LEAST_KEPT = 0.02  # share of the patches that must be neither clipped nor filled for these to be left out


def estimate_deviation(samples: Sequence[np.ndarray], seed: int = 0, *, across_rows: bool = False) -> float:
    """Standard deviation of white Gaussian noise in samples (*spatial, channels), in their own units.

    across_rows : look along all axes but the last spatial one, along which the noise may be correlated.

    Ponomarenko et al. 2007, "An automatic approach to lossy compression of AVIRIS images", IGARSS: the fast changes of
    the smoothest patches; here of patches of equal brightness, of which the least noisy count. Patches that are
    constant, clipped or filled in part say nothing of the noise. 0 where all are constant.
    """
    return math.sqrt(_least(_by_brightness(samples, seed, across_rows)))


def estimate_level(sample: np.ndarray) -> float:
    """`estimate_deviation` of one sample (*spatial, channels), from fewer patches, without its bias on white noise.

    The least of the variances of several brightnesses is too small where all of them are the same noise. 0 where the
    sample is too small to tell.
    """
    if max(sample.shape[:-1]) < 2:
        return 0.0
    return _UNBIASED * math.sqrt(_least(_by_brightness([sample], 0, most=_PATCHES_OF_ONE)))


def estimate_gains(samples: Sequence[np.ndarray], seed: int = 0) -> tuple[float, float]:
    """Noise whose variance is a · brightness + b: (a, b), fitted to the noise of patches of equal brightness.

    b is below 0 where darkness has a value above 0, as that of most cameras has: a times that value is missing.

    Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting", IEEE TIP 17(10), with the variances of
    `estimate_deviation`.
    """
    found = _by_brightness(samples, seed)
    if not found or max(variance for _, variance in found) == 0:
        return 0.0, 0.0
    x, y = np.array(found).T
    slope, offset = 0.0, float(np.median(y))
    for _ in range(_FITS if len(x) > 1 else 0):
        fits = y <= _OUTLYING * np.maximum(slope * x + offset, y.min())  # edges and peaks make some variances too large
        slope, offset = np.polyfit(x[fits], y[fits], 1, w=1 / (y[fits] + 1e-3 * y.max())) if fits.sum() > 1 else (0, 0)
        if slope <= 0:
            return 0.0, float(np.median(y))
    return float(slope), float(offset)


def is_correlated(samples: Sequence[np.ndarray], seed: int = 0) -> bool:
    """Whether noise is correlated along rows (the last spatial axis), and not across them.

    Seen in the flattest tenth of the patches, after taking away the mean of each. Rows that differ as wholes are
    stripes: a row's other values could not tell these from the signal.
    """
    samples = _without_single(samples)
    d = samples[0].ndim - 1
    side = _side(samples, d)
    if d < 2 or side <= ROW_REACH:
        return False
    patches = _telling(_patches(samples, seed, [side] * d)).reshape(-1, *[side] * d)
    if len(patches) == 0:
        return False
    flat = patches[np.argsort(patches.var(tuple(range(1, patches.ndim))))[: max(1, int(_FLAT * len(patches)))]]
    flat = flat - flat.mean(tuple(range(1, flat.ndim)), keepdims=True)
    power = float((flat**2).mean())

    def along(lag: int) -> float:
        return float((flat[..., lag:] * flat[..., :-lag]).mean()) / power

    across = float((flat[..., 1:, :] * flat[..., :-1, :]).mean()) / power
    if side > ROW_REACH + 1 and along(ROW_REACH + 1) > along(1) / 3:  # noise along rows has none left there
        return False
    return along(1) - across > _CORRELATED


def _least(found: Sequence[tuple[float, float]]) -> float:
    return min((variance for _, variance in found), default=0.0)


def _by_brightness(
    samples: Sequence[np.ndarray], seed: int, across_rows: bool = False, most: int = _PATCHES
) -> list[tuple[float, float]]:
    """Mean and variance of the noise of patches of equal brightness; nothing where all patches are constant."""
    samples = _without_single(samples)
    d = samples[0].ndim - 1
    if d == across_rows:
        raise IsthmusError("the level of noise along rows cannot be estimated of signals; give it, as in rows:0.1")
    axes = d - across_rows
    side = _side(samples, axes)
    sides = [side] * axes + [1] * across_rows
    drawn = _patches(samples, seed, sides, most)
    patches = _telling(drawn)
    if len(patches) == 0:
        return []
    places = _places(samples, sides) * len(patches) // len(drawn)
    bins = min(_BINS, max(1, places // _LEAST_PATCHES))
    share = max(_SMOOTH, min(1.0, bins * _LEAST_SMOOTH / max(1, places)))
    parts = np.array_split(np.argsort(patches.mean(1)), bins)
    return [_smoothest(patches[part], axes, share) for part in parts]


def _without_single(samples: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """The samples without axes on which none is longer than 1: an image of one row is a signal."""
    d = samples[0].ndim - 1
    single = tuple(axis for axis in range(d) if all(sample.shape[axis] == 1 for sample in samples))
    return samples if len(single) in (0, d) else [sample.squeeze(single) for sample in samples]


def _side(samples: Sequence[np.ndarray], axes: int) -> int:
    """Length of the patches on each of the first axes: half of the shortest axis of most samples, or the usual one."""
    shortest = int(np.median([min(sample.shape[:axes]) for sample in samples]))
    return min(_SIDES[axes], max(2, shortest // 2))


def _places(samples: Sequence[np.ndarray], sides: Sequence[int]) -> int:
    """How many patches of that size there are."""
    return sum(
        sample.shape[-1] * math.prod(max(0, n - k + 1) for n, k in zip(sample.shape, sides, strict=False))
        for sample in samples
    )


def _patches(samples: Sequence[np.ndarray], seed: int, sides: Sequence[int], most: int = _PATCHES) -> np.ndarray:
    """Random patches of single channels, float64 (n, values)."""
    rng = np.random.default_rng([seed, 6])
    large = [sample for sample in samples if all(n >= k for n, k in zip(sample.shape, sides, strict=False))]
    if not large:
        raise IsthmusError(
            f"no sample is as long as {max(sides)} on every axis, so its noise cannot be estimated; give it, as in "
            f"noise='gaussian:0.1' with learn_from='noisy'"
        )
    chosen = rng.permutation(len(large))[:most]
    count, found = max(1, min(most, _TIMES * _places(large, sides)) // len(chosen)), []
    for index in chosen.tolist():
        sample = large[index]
        places = [rng.integers(0, n - k + 1, count) for n, k in zip(sample.shape, sides, strict=False)]
        channels = rng.integers(0, sample.shape[-1], count)
        windows = np.lib.stride_tricks.sliding_window_view(sample, sides, axis=tuple(range(len(sides))))
        found.append(windows[(*places, channels)].reshape(count, -1))
    return np.concatenate(found).astype(np.float64)


def _telling(patches: np.ndarray) -> np.ndarray:
    """The patches whose values are noisy: not constant, as borders are, and not in part at the ends or filled."""
    low, high = patches.min(), patches.max()
    patches = patches[patches.min(1) < patches.max(1)]
    if len(patches) == 0:
        return patches
    ends = ((patches == low) | (patches == high)).mean(1)
    ties = (patches[:, 1:] == patches[:, :-1]).mean(1)
    whole = (ends <= _CLIPPED) & (ties <= 2 * np.median(ties) + _TIED)
    return patches[whole] if whole.mean() >= _LEAST_KEPT else patches


def _smoothest(patches: np.ndarray, d: int, share: float) -> tuple[float, float]:
    """Mean of the patches with the least slow changes, and the mean square of their fast ones: of the noise."""
    side = round(patches.shape[1] ** (1 / d))
    waves = dctn(patches.reshape(-1, *[side] * d), axes=range(1, d + 1), norm="ortho").reshape(len(patches), -1) ** 2
    frequency = np.indices([side] * d).sum(0).ravel()
    fast = frequency >= side * d / 2
    order = np.argsort(waves[:, ~fast & (frequency > 0)].sum(1))[: max(1, int(share * len(patches)))]
    return float(patches[order].mean()), float(waves[order][:, fast].mean())
