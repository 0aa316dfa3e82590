"""Scaled samples as pictures."""

from __future__ import annotations

import numpy as np


def as_pictures(samples: np.ndarray, limits: tuple[float, float], most: int) -> np.ndarray:
    """Scaled images (n, C, *spatial) as uint8 pictures (n, H, W, 1 or 3); of a volume, the middle slice.

    limits : the scaled values shown as black and white. most : pixels along a side; larger ones are shrunk by a whole
    factor.
    """
    if samples.ndim == 5:
        samples = samples[:, :, samples.shape[2] // 2]
    low, high = limits
    samples = samples[:, :3] if samples.shape[1] in (3, 4) else samples[:, :1]
    shrink = -(-max(samples.shape[2:]) // most)
    if shrink > 1:
        height, width = (max(1, side // shrink) for side in samples.shape[2:])
        down, across = (min(shrink, side) for side in samples.shape[2:])
        cut = samples[:, :, : height * down, : width * across]
        samples = cut.reshape(*cut.shape[:2], height, down, width, across).mean(axis=(3, 5))
    pixels = np.clip((samples - low) / (high - low), 0, 1) * 255
    return np.ascontiguousarray(pixels.round().astype(np.uint8).transpose(0, 2, 3, 1))


def shown_range(some: np.ndarray, kind: str) -> tuple[float, float]:
    """The scaled values shown as black and white, or at the bottom and the top of a profile.

    some : scaled samples to measure on. kind : "images", "volumes", "signals" or "table".
    """
    if kind == "table":
        return -3.0, 3.0
    low, high = (float(v) for v in np.quantile(some, (0.001, 0.999)))
    if kind in ("images", "volumes") and low >= -0.05 and high <= 1.05:
        return 0.0, 1.0
    return (low, high) if high > low else (low - 0.5, low + 0.5)
