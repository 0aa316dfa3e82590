"""Charts of plain figures: bars beside each other, and curves of one quantity over another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import FuncFormatter

from isthmus.evaluation.figures.charts import WIDTH, few_log_ticks
from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.theme import Theme, clipped, number

_ROW = 40  # pixels of a bar and the space around it
_STYLES = ("-", "-", (0, (4, 2)), (0, (1, 1.4)))


@dataclass(frozen=True)
class Curve:
    """Values y over x, both of shape (n,); the first curve of a chart is ours."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


def bars(name: str, caption: str, rows: Sequence[tuple[str, float]], what: str) -> Plate:
    """One bar for each name, the first of which is ours. what : the quantity and its unit."""
    return Plate(name, caption, lambda theme: _bars(rows, what, theme))


def _bars(rows: Sequence[tuple[str, float]], what: str, theme: Theme) -> Canvas:
    labels = [clipped(label, 26) for label, _ in rows]
    left = 24 + 6.6 * max(map(len, labels))
    canvas = Canvas(WIDTH, 8 + _ROW * len(rows) + 44, theme)
    chart = canvas.chart(left, 8, WIDTH - left - 60, _ROW * len(rows), grid="")
    values = [value for _, value in rows]
    for row, value in enumerate(values):
        color = theme.cool if row == 0 else theme.muted
        chart.barh(row, value, height=0.56, color=color, alpha=1 if row == 0 else 0.4, linewidth=0)
        chart.annotate(
            number(value), (value, row), (7, 0), textcoords="offset points", va="center", fontsize=11.5,
            color=theme.ink, fontweight="bold" if row == 0 else "normal",
        )  # fmt: skip
    chart.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, max(values) or 1.0), xticks=[])
    chart.set_yticks(range(len(rows)), labels, color=theme.ink)
    chart.tick_params(axis="y", pad=8, labelsize=11.5)
    canvas.text(left, canvas.height - 16, what, ha="left", size=10.5)
    return canvas


def curves(name: str, caption: str, lines: Sequence[Curve], x_label: str, y_label: str) -> Plate:
    """Curves over a logarithmic axis."""
    return Plate(name, caption, lambda theme: _curves(lines, x_label, y_label, theme))


def _curves(lines: Sequence[Curve], x_label: str, y_label: str, theme: Theme) -> Canvas:
    canvas = Canvas(WIDTH, 324, theme)
    chart = canvas.chart(48, 48, WIDTH - 62, 224)
    chart.set_xscale("log")
    left = 48.0
    for i, (line, color, style) in enumerate(
        reversed(list(zip(lines, (theme.cool, theme.warm, theme.muted, theme.ink), _STYLES, strict=False)))
    ):
        ours = i == len(lines) - 1
        chart.plot(line.x, line.y, color=color, linestyle=style, linewidth=2.4 if ours else 1.5, marker="o", ms=4)
    for line, color, style in zip(lines, (theme.cool, theme.warm, theme.muted, theme.ink), _STYLES, strict=False):
        canvas.stage.plot([left, left + 20], [12, 12], color=color, linestyle=style, linewidth=2)
        canvas.text(left + 27, 12, line.label, ha="left", color=theme.ink)
        left += 52 + 6.6 * len(line.label)
    few_log_ticks(chart.xaxis, chart.get_xlim())
    chart.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    chart.locator_params(axis="y", nbins=6)
    canvas.text(48, 34, y_label, ha="left", size=10.5)
    canvas.text(48 + (WIDTH - 62) / 2, 312, x_label, size=10.5)
    return canvas
