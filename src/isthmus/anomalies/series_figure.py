"""Series above the strangeness of their time steps, for the report."""

from __future__ import annotations

import numpy as np

from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.theme import Theme, clipped

_WIDTH, _LEFT, _HEIGHT, _GAP = 760, 56, 104, 40
_MOST_CHANNELS, _MOST_POINTS = 4, 4000


def series_plate(
    name: str, channels: list[tuple[str, np.ndarray]], strangeness: np.ndarray, flagged: np.ndarray
) -> Plate:
    """The first channels of a series, and its strangeness. channels : names and values (n,). flagged : bool (n,)."""
    shown = channels[:_MOST_CHANNELS]
    caption = "Shaded: flagged. " if flagged.any() else "Nothing is flagged. "
    if len(shown) < len(channels):
        caption += f"The first {len(shown)} of {len(channels)} channels. "
    rows = [*shown, ("strangeness", strangeness)]
    return Plate(name, caption.strip(), lambda theme: _draw(rows, flagged, theme), wide=True)


def _draw(rows: list[tuple[str, np.ndarray]], flagged: np.ndarray, theme: Theme) -> Canvas:
    canvas = Canvas(_WIDTH, 24 + len(rows) * (_HEIGHT + _GAP), theme)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flagged.astype(np.int8), [0]])))
    for i, (name, values) in enumerate(rows):
        top, last = 28 + i * (_HEIGHT + _GAP), i == len(rows) - 1
        chart = canvas.chart(_LEFT, top, _WIDTH - _LEFT - 16, _HEIGHT)
        for start, end in edges.reshape(-1, 2).tolist():
            chart.axvspan(start, end, color=theme.warm, alpha=0.22, linewidth=0)
        steps, drawn = _extremes(values)
        chart.plot(steps, drawn, color=theme.cool if last else theme.muted, linewidth=0.9)
        chart.set_xlim(0, max(1, len(values) - 1))
        chart.tick_params(axis="x", labelbottom=last)
        canvas.text(_LEFT, top - 13, clipped(name, 60), ha="left", size=11.5, color=theme.ink)
    return canvas


def _extremes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values, of long series the least and the largest of each stretch, so that no peak is lost."""
    if len(values) <= _MOST_POINTS:
        return np.arange(len(values)), values
    known = np.nan_to_num(values, nan=float(np.nanmedian(values)))
    parts = np.array_split(np.arange(len(values)), _MOST_POINTS // 2)
    steps = np.unique([step for part in parts for step in (part[known[part].argmin()], part[known[part].argmax()])])
    return steps, values[steps]
