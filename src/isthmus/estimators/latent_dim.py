"""How large a code the data asks for."""

from __future__ import annotations

import numpy as np

_MOST_DIMENSIONS = 64


def knee_dimension(scaled: np.ndarray) -> int:
    """Number of principal components at the knee of the explained variance.

    The knee is where the curve of cumulative explained variance over the first 64 components lies farthest above the
    straight line between its ends (Satopaa et al. 2011, "Finding a 'kneedle' in a haystack", section II).

    scaled : array of shape (n_samples, n_features). Returns at least 1 and at most min(64, n_features).
    """
    from sklearn.decomposition import PCA

    most: int = min(_MOST_DIMENSIONS, *scaled.shape)
    if most < 3:
        return max(1, most)
    if not np.ptp(scaled, axis=0).any():  # constant data
        return 1
    spectrum = PCA(most, svd_solver="randomized", random_state=0).fit(scaled).explained_variance_
    cumulative = np.concatenate([[0.0], np.cumsum(spectrum)])
    above = cumulative / cumulative[-1] - np.linspace(0, 1, most + 1)
    return max(1, int(above.argmax()))
