"""The same samples in several rows: as they were, and what was made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.pictures import as_pictures
from isthmus.evaluation.theme import Theme, signed_alpha

COLUMNS = 7  # samples that fit side by side
PIXELS = 112  # along a side of a cell
_GUTTER, _PITCH, _NOTE, _BELOW = 144, 126, 18, 12
_LINE_HEIGHT = 70  # of a cell with a line in it


@dataclass(frozen=True)
class SampleRow:
    """One row. title, detail : what it shows, in one line each. notes : a line below each sample.

    cells : for a theme, one for each sample: a picture, uint8 (height, width, 3 or 4), or lines with values from 0 to
    1, float (channels, length).
    """

    title: str
    detail: str
    cells: Callable[[Theme], Sequence[np.ndarray]]
    notes: Sequence[str] = ()


def sample_rows(name: str, caption: str, rows: Sequence[SampleRow]) -> Plate:
    """A figure of rows; each has the same number of samples, at most `COLUMNS`."""
    return Plate(name, caption, lambda theme: _draw(rows, theme), wide=True)


def _draw(rows: Sequence[SampleRow], theme: Theme) -> Canvas:
    drawn = [row.cells(theme) for row in rows]
    heights = [_LINE_HEIGHT if cells[0].dtype.kind == "f" else PIXELS for cells in drawn]
    total = sum(h + (_NOTE if row.notes else 0) + _BELOW for h, row in zip(heights, rows, strict=True))
    canvas = Canvas(_GUTTER + _PITCH * COLUMNS - (_PITCH - PIXELS), total, theme)
    top = 0.0
    for row, cells, height in zip(rows, drawn, heights, strict=True):
        canvas.text(0, top + height / 2 - 9, row.title, ha="left", size=12.5, color=theme.ink, fontweight="bold")
        canvas.text(0, top + height / 2 + 9, row.detail, ha="left", size=11)
        for column, cell in enumerate(cells):
            left = _GUTTER + column * _PITCH
            if cell.dtype.kind == "f":
                canvas.box(left, top, PIXELS, height, theme.land, radius=6)
                _lines(canvas, cell, left, top)
            else:
                canvas.box(left, top, PIXELS, PIXELS, theme.paper, edge=theme.faint)
                canvas.picture(left, top, PIXELS, cell)
        for column, note in enumerate(row.notes):
            canvas.text(_GUTTER + column * _PITCH + PIXELS / 2, top + height + _NOTE / 2 + 1, note, size=10.5)
        top += height + (_NOTE if row.notes else 0) + _BELOW
    return canvas


def _lines(canvas: Canvas, levels: np.ndarray, left: float, top: float) -> None:
    x = left + np.linspace(5, PIXELS - 5, levels.shape[-1])
    for line, color in zip(levels, (canvas.theme.ink, canvas.theme.cool, canvas.theme.warm), strict=False):
        y = top + 5 + (_LINE_HEIGHT - 10) * (1 - line.clip(0, 1))
        canvas.stage.plot(x, y, color=color, linewidth=1, solid_joinstyle="round")


def as_cell(sample: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """A sample (*spatial, channels) as a cell: of large images the middle, so that single pixels can be seen.

    limits : the values shown as black and white, or at the bottom and the top of a line.
    """
    low, high = limits
    if sample.ndim == 2:
        return ((sample.T[:3].astype(np.float64) - low) / (high - low)).clip(0, 1)
    picture = as_pictures(np.moveaxis(_middle(sample), -1, 0)[None].astype(np.float32), limits, 4 * PIXELS)[0]
    return np.broadcast_to(picture, (*picture.shape[:2], 3))


def as_difference(before: np.ndarray, after: np.ndarray, limit: float, theme: Theme) -> np.ndarray:
    """Of two samples (*spatial, channels), where the first is above the second (warm) and where below (cool).

    limit : differences of that size have the full colour, or lie at the edges of a line's cell.
    """
    difference = before.astype(np.float64) - after
    if difference.ndim == 2:
        return as_cell(difference, (-limit, limit))
    mean = _middle(difference).mean(axis=-1)
    return signed_alpha(mean[len(mean) // 2] if mean.ndim == 3 else mean, limit, theme)


def _middle(sample: np.ndarray) -> np.ndarray:
    """The middle of the last two axes before the channels, at most twice as many values as a cell has pixels."""
    most = 2 * PIXELS
    cut = [slice(max(0, (n - most) // 2), max(0, (n - most) // 2) + most) for n in sample.shape[-3:-1]]
    return sample[..., cut[0], cut[1], :]
