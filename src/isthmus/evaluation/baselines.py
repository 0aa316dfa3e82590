"""What an auto-encoder has to beat."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from isthmus.data.base import evenly_spread

_MOST_ROWS = 20_000
_MOST_NUMBERS = 1 << 26  # in the rows that are fitted: 256 MiB


@dataclass(frozen=True)
class PcaBaseline:
    """Principal component analysis with a given code size, the best linear auto-encoder (Baldi and Hornik 1989).

    codes : array of shape (n_test, n_components). reconstruction : array with the shape of the test samples.
    """

    codes: np.ndarray
    reconstruction: np.ndarray

    @property
    def n_components(self) -> int:
        """Numbers in a code: fewer than asked for where the training samples do not span as many."""
        return int(self.codes.shape[1])


def pca_baseline(train: np.ndarray, test: np.ndarray, n_components: int, *, random_state: int = 0) -> PcaBaseline:
    """Fit PCA on training samples and rebuild test samples from `n_components` numbers each.

    train, test : arrays (n, ...) in scaled units. Of `train`, at most 20,000 evenly spaced samples are used.
    """
    from sklearn.decomposition import PCA

    rows, flat = _evenly(train).reshape(-1, math.prod(train.shape[1:])), test.reshape(len(test), -1)
    n_components = min(n_components, *rows.shape)
    if len(rows) < 2:  # one sample has no directions, only a mean
        codes = np.zeros((len(test), n_components), np.float32)
        return PcaBaseline(codes, np.repeat(train[:1], len(test), axis=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # constant data: a share of no variance
        pca = PCA(n_components, random_state=random_state).fit(rows)
    codes = pca.transform(flat).astype(np.float32, copy=False)
    rebuilt = pca.inverse_transform(codes).astype(np.float32, copy=False)
    return PcaBaseline(codes, rebuilt.reshape(test.shape))


def _evenly(samples: np.ndarray) -> np.ndarray:
    most = min(_MOST_ROWS, max(2, _MOST_NUMBERS // max(1, math.prod(samples.shape[1:]))))
    if len(samples) <= most:
        return samples
    spread: np.ndarray = samples[evenly_spread(len(samples), most)]
    return spread
