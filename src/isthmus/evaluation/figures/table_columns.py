"""Charts of a table's columns: how well each comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter

from isthmus.evaluation.figures.charts import WIDTH
from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.theme import Theme, clipped

_MOST_ROWS = 24


@dataclass(frozen=True)
class Bar:
    """A column: shares between 0 and 1 of ours, of another method where there is one, and of the simplest guess."""

    name: str
    ours: float
    other: float | None
    simple: float


@dataclass(frozen=True)
class Names:
    """What a chart calls ours, the other method and the simplest guess, and the quantity."""

    ours: str
    other: str
    simple: str
    what: str


def column_shares(name: str, caption: str, bars: Sequence[Bar], names: Names) -> Plate | None:
    """A line for each column, the worst first; of more than 24, those."""
    if not bars:
        return None
    worst = sorted(bars, key=lambda bar: bar.ours)[:_MOST_ROWS]
    if len(bars) > len(worst):
        caption += f" Shown are the {_MOST_ROWS} worst of {len(bars)}."
    return Plate(name, caption, lambda theme: _shares(worst, names, theme))


def _shares(bars: Sequence[Bar], names: Names, theme: Theme) -> Canvas:
    labels = [clipped(bar.name, 18) for bar in bars]
    left = 26 + 6.6 * max(map(len, labels))
    height = len(bars) * float(np.clip(190 / len(bars), 22, 44))
    canvas = Canvas(WIDTH, 34 + height + 56, theme)
    chart = canvas.chart(left, 34, WIDTH - left - 20, height, grid="x")
    rows = np.arange(len(bars))
    ours, simple = (np.clip([getattr(bar, key) for bar in bars], 0, 1) for key in ("ours", "simple"))
    chart.hlines(rows, simple, ours, color=theme.faint, linewidth=3)
    chart.plot(simple, rows, "|", color=theme.muted, markersize=12, markeredgewidth=2, clip_on=False)
    if bars[0].other is not None:
        others = np.clip([bar.other or 0.0 for bar in bars], 0, 1)
        chart.plot(
            others, rows, "o", color=theme.paper, markeredgecolor=theme.muted, markeredgewidth=1.6, markersize=7,
            clip_on=False,
        )  # fmt: skip
    chart.plot(ours, rows, "o", color=theme.cool, markersize=8, clip_on=False)
    chart.set(ylim=(len(bars) - 0.4, -0.6), xlim=(0, 1))
    chart.set_yticks(rows, labels, parse_math=False, color=theme.ink)
    chart.tick_params(axis="y", pad=12, labelsize=11)
    chart.set_xticks(np.linspace(0, 1, 6))
    chart.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    _legend(canvas, 12, names, bars[0].other is not None, theme)
    canvas.text(left + (WIDTH - left - 20) / 2, canvas.height - 12, names.what, size=10.5)
    return canvas


def _legend(canvas: Canvas, left: float, names: Names, other: bool, theme: Theme) -> None:
    dots = canvas.stage
    marks: list[tuple[str, dict[str, Any]]] = [(names.ours, {"marker": "o", "color": theme.cool, "markersize": 8})]
    if other:
        hollow = {"marker": "o", "color": theme.paper, "markeredgecolor": theme.muted, "markeredgewidth": 1.6}
        marks.append((names.other, hollow | {"markersize": 7}))
    marks.append((names.simple, {"marker": "|", "color": theme.muted, "markersize": 12, "markeredgewidth": 2}))
    for label, style in marks:
        dots.plot([left + 5], [12], linestyle="none", **style)
        canvas.text(left + 16, 12, label, ha="left", color=theme.ink)
        left += 40 + 6.2 * len(label)
