"""Figures of an evaluation: what features are worth, and how many directions they use."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter

from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.representation import FeatureScores, Representation
from isthmus.evaluation.theme import Theme, number

_WIDTH, _ROW, _LEFT, _TOP = 440, 40, 132, 44
_MOST_DIRECTIONS = 64  # that are drawn: the code's own, and of the raw data as many as fit

MEASURES = {
    "linear_probe": "linear probe",
    "nearest_neighbours": "5 nearest neighbours",
    "nmi": "k-means, NMI",
    "ari": "k-means, ARI",
    "trustworthiness": "trustworthiness",
    "continuity": "continuity",
}


def feature_scores(measured: Representation) -> Plate | None:
    """Every score from 0 to 1 of the code, of PCA and of the raw data, on one line each; None where there are none."""
    rows = [(label, [getattr(f, name) for f in _kinds(measured)]) for name, label in MEASURES.items()]
    rows = [(label, values) for label, values in rows if values[0] is not None]
    if not rows:  # without labels, of too few samples for neighbourhoods
        return None
    better = sum(values[0] > values[1] for _, values in rows)
    caption = f"The code is ahead of PCA in {better} of {len(rows)} scores; farther to the right is better."
    return Plate("features", caption, lambda theme: _scores(rows, theme))


def _scores(rows: list[tuple[str, list[float | None]]], theme: Theme) -> Canvas:
    canvas = Canvas(_WIDTH, _TOP + _ROW * len(rows) + 40, theme)
    chart = canvas.chart(_LEFT, _TOP, _WIDTH - _LEFT - 14, _ROW * len(rows), grid="x")
    for row, (_, values) in enumerate(rows):
        known = [value for value in values if value is not None]
        chart.hlines(row, min(known), max(known), color=theme.faint, linewidth=3)
        for value, style in reversed(list(zip(values, _styles(theme), strict=True))):  # ours on top
            if value is not None:
                chart.plot(value, row, "o", **style)
    lowest = min(value for _, values in rows for value in values if value is not None)
    chart.set(ylim=(len(rows) - 0.4, -0.6), xlim=(np.floor(10 * lowest - 0.5) / 10, 1.02))
    chart.set_yticks(range(len(rows)), [label for label, _ in rows], color=theme.ink)
    chart.tick_params(axis="y", pad=10, labelsize=11)
    chart.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    _legend(canvas, theme)
    return canvas


def feature_spectra(measured: Representation) -> Plate | None:
    """How the spread is shared among directions, from the largest to the smallest."""
    kinds = _kinds(measured)
    if measured.code.size < 2 or not len(measured.code.spectrum):
        return None
    caption = (
        f"How the spread is shared among directions: a flat line uses all alike. The code really uses "
        f"{number(measured.code.effective_rank)} of {measured.code.size}, PCA {number(measured.pca.effective_rank)}, "
        f"the raw data {number(measured.raw.effective_rank)} of {measured.raw.size:,}."
    )
    return Plate("spectrum", caption, lambda theme: _spectra(kinds, theme))


def _spectra(kinds: list[FeatureScores], theme: Theme) -> Canvas:
    canvas = Canvas(_WIDTH, 324, theme)
    chart = canvas.chart(44, _TOP, _WIDTH - 58, 226)
    most = min(_MOST_DIRECTIONS, max(kinds[0].size, 2))
    for features, style in reversed(list(zip(kinds, _styles(theme), strict=True))):
        shares = features.spectrum[:most]
        line = {"color": style["markeredgecolor"], "linewidth": 2.2 if features is kinds[0] else 1.5}
        chart.plot(
            np.arange(1, len(shares) + 1), shares, **line, linestyle=(0, (1, 1.4)) if features is kinds[2] else "-"
        )
    chart.set(xlim=(0.6, most + 0.4), ylim=(0, None))
    chart.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    chart.locator_params(axis="x", integer=True, nbins=8)
    chart.locator_params(axis="y", nbins=5)
    _legend(canvas, theme, 44)
    canvas.text(44 + (_WIDTH - 58) / 2, 312, "direction", size=10.5)
    return canvas


def _kinds(measured: Representation) -> list[FeatureScores]:
    return [measured.code, measured.pca, measured.raw]


def _styles(theme: Theme) -> list[dict[str, Any]]:
    """Markers of the code, of PCA and of the raw data."""
    return [
        {"color": theme.cool, "markeredgecolor": theme.cool, "markersize": 8},
        {"color": theme.paper, "markeredgecolor": theme.muted, "markeredgewidth": 1.6, "markersize": 7},
        {"color": theme.warm, "markeredgecolor": theme.warm, "markersize": 4.5},
    ]


def _legend(canvas: Canvas, theme: Theme, left: float = _LEFT) -> None:
    for i, (name, style) in enumerate(zip(("code", "PCA", "raw data"), _styles(theme), strict=True)):
        canvas.stage.plot(left + 5 + 76 * i, 14, "o", **style)
        canvas.text(left + 16 + 76 * i, 14, name, ha="left", color=theme.ink)
