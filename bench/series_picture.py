"""A picture of a series with its labels, and its score below."""

from __future__ import annotations

import numpy as np

from isthmus.evaluation.figures.style import Canvas, poster
from isthmus.evaluation.theme import LIGHT, Theme
from series_metrics import stretches

_WIDTH, _HEIGHT, _LEFT = 760, 340, 52


def picture(seconds: np.ndarray, x: np.ndarray, strangeness: np.ndarray, labels: np.ndarray) -> bytes:
    """PNG bytes. seconds, x, strangeness : (n,). labels : bool (n,)."""
    return poster(lambda theme: _draw(seconds, x, strangeness, labels, theme), LIGHT)


def _draw(seconds: np.ndarray, x: np.ndarray, strangeness: np.ndarray, labels: np.ndarray, theme: Theme) -> Canvas:
    canvas = Canvas(_WIDTH, _HEIGHT, theme)
    days = seconds.astype("datetime64[s]").astype("datetime64[m]")
    for top, values, color, title in (
        (34, x, theme.muted, "The series; shaded: labelled as anomalous"),
        (194, strangeness, theme.cool, "Strangeness of each time step, learned from the same series without labels"),
    ):
        chart = canvas.chart(_LEFT, top, _WIDTH - _LEFT - 16, 112)
        for first, last in stretches(labels).tolist():
            chart.axvspan(days[first], days[last], color=theme.warm, alpha=0.22, linewidth=0)
        chart.plot(days, values, color=color, linewidth=0.9)
        chart.set_xlim(days[0], days[-1])
        if top < 100:
            chart.tick_params(axis="x", labelbottom=False)
        canvas.text(_LEFT, top - 16, title, ha="left", size=11.5, color=theme.ink)
    return canvas
