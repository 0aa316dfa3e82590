"""Samples before and after, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isthmus.files import atomic_path

_SIDE = 240  # pixels of a tile
_GAP, _TITLE = 8, 26
_CONTRAST = 4.0  # of the differences: ± a quarter of the range is black and white


def before_after(pairs: Sequence[tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """A PNG with a row for each pair (before, after): both, and what was taken away, which should look like noise."""
    from PIL import Image, ImageDraw, ImageFont

    width = 3 * (_SIDE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, len(pairs) * (_SIDE + _GAP) + _TITLE + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    titles = ("before", "after", f"taken away, contrast x {_CONTRAST:g}")
    for column, title in enumerate(titles):
        draw.text((_GAP + column * (_SIDE + _GAP) + 2, 6), title, fill="#333333", font=font)
    for row, (before, after) in enumerate(pairs):
        before = middle(np.asarray(before))
        a, b = before.astype(np.float64), middle(np.asarray(after)).astype(np.float64)
        low, high = _range(before)
        scaled = [(x - low) / (high - low) for x in (a, b)]
        scaled.append(0.5 + _CONTRAST / 2 * (scaled[0] - scaled[1]))
        for column, values in enumerate(scaled):
            pixels = (255 * values.clip(0, 1) + 0.5).astype(np.uint8)
            tile = Image.fromarray(pixels).convert("RGB")
            factor = _SIDE / max(tile.size)
            method = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.LANCZOS
            size = (max(1, round(tile.width * factor)), max(1, round(tile.height * factor)))
            place = (_GAP + column * (_SIDE + _GAP), _TITLE + _GAP + row * (_SIDE + _GAP))
            sheet.paste(tile.resize(size, method), place)
    with atomic_path(path) as temporary:
        sheet.save(temporary)


def middle(image: np.ndarray) -> np.ndarray:
    """The part of a large image that a sheet shows, its middle, so that single pixels can be seen; grey or colour.

    Of a volume with channels, its middle slice.
    """
    if image.ndim > 3:
        return middle(image[len(image) // 2])
    top, left = (max(0, (n - _SIDE) // 2) for n in image.shape[:2])
    part = image[top : top + _SIDE, left : left + _SIDE]
    return part[..., :3] if part.ndim == 3 and part.shape[-1] in (3, 4) else part[..., 0] if part.ndim == 3 else part


def _range(before: np.ndarray) -> tuple[float, float]:
    if before.dtype == np.uint8:
        return 0.0, 255.0
    low, high = (float(v) for v in np.percentile(before, (0.5, 99.5)))
    return (low, high) if high > low else (low, low + 1.0)
