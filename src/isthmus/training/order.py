"""In which order an epoch sees the samples: a permutation that is computed where it is needed, not stored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_ROUNDS = 6
_BLOCK = 1 << 14  # positions that are looked up together
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # of splitmix64, as the next one
_MIX = np.uint64(0xBF58476D1CE4E5B9)  # of splitmix64 (Steele et al. 2014, "Fast splittable pseudorandom generators")


def mixed(z: np.ndarray) -> np.ndarray:
    """Numbers of 64 bits spread over all of them, each by itself: the finaliser of splitmix64; uint64."""
    for shift, factor in ((30, int(_MIX)), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    spread: np.ndarray = z ^ (z >> np.uint64(31))
    return spread


def hashed(numbers: np.ndarray, parts: int) -> np.ndarray:
    """Which of some equal parts each number falls into by its hash, int64: the same wherever it is asked."""
    found: np.ndarray = (mixed(numbers.astype(np.uint64) * _GOLDEN) % np.uint64(parts)).astype(np.int64)
    return found


class Permutation:
    """A pseudo-random permutation of 0 .. n - 1 that needs no memory, so that ten million samples cost what ten do.

    A Feistel network over the next power of four, whose outputs above n are sent through it again ("cycle walking":
    Black and Rogaway 2002, "Ciphers with arbitrary finite domains", section 3).
    """

    def __init__(self, n: int, seed: list[int]) -> None:
        self.n = n
        self._half = np.uint64(max(1, -(-(n - 1).bit_length() // 2)))
        self._mask = np.uint64((1 << int(self._half)) - 1)
        self._keys = np.random.default_rng(seed).integers(0, 2**64, _ROUNDS, dtype=np.uint64)

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """What stands at these positions, int64."""
        values = self._encipher(np.asarray(positions, dtype=np.uint64))
        while (outside := np.flatnonzero(values >= self.n)).size:
            values[outside] = self._encipher(values[outside])
        return values.astype(np.int64)

    def _encipher(self, values: np.ndarray) -> np.ndarray:
        left, right = values >> self._half, values & self._mask
        for key in self._keys:
            mixed = (right + key) * _MIX
            left, right = right, left ^ ((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(17) & self._mask)
        return (left << self._half) | right


def epoch_batches(
    n_samples: int, held_out: np.ndarray, batch_size: int, seed: list[int], first: int = 0
) -> Iterator[np.ndarray]:
    """Indices of the whole batches of one epoch from number `first` on; `held_out` (sorted) are in none of them."""
    n = n_samples - len(held_out)
    order, gaps = Permutation(n, seed), held_out - np.arange(len(held_out))
    step = max(1, _BLOCK // batch_size) * batch_size
    end = n // batch_size * batch_size
    for start in range(first * batch_size, end, step):
        chosen = order(np.arange(start, min(start + step, end)))
        chosen += np.searchsorted(gaps, chosen, side="right")  # step over those that are held out
        yield from chosen.reshape(-1, batch_size)
