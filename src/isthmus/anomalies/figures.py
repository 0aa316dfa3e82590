"""Figures of a detector's report: how strange samples are, how sure that is, and which columns are guilty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from isthmus.anomalies.findings import FDR, Findings
from isthmus.evaluation.figures.charts import WIDTH, few_log_ticks
from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.theme import Theme, clipped, number, share

_BINS = 48
_MOST_POINTS = 400  # of a curve
_MOST_BARS = 20
_PLAIN = FuncFormatter(lambda value, _: f"{value:,.7f}".rstrip("0").rstrip("."))
_LEVELS = (0.01, FDR)  # whose lines are drawn beside the p-values


def histogram(findings: Findings, what: str) -> Plate:
    """The strangeness of the samples, beside that of the calibration, and from where on samples are flagged.

    what : the name of the samples, in the plural.
    """
    flagged = findings.flagged()
    least = float(findings.strangeness[flagged].min()) if flagged.any() else None
    caption = (
        f"How strange the {what} are, beside the {len(findings.usual):,} that calibrate: normal {what} should have the "
        f"same shape. The dashed line is the threshold of “predict”"
    )
    caption += ", the solid one where the list at an FDR of 10 % begins." if least is not None else "."
    bins = _bins(np.concatenate([findings.strangeness, findings.usual]))
    return Plate("strangeness", caption, lambda theme: _histogram(findings, least, bins, theme))


def _bins(values: np.ndarray) -> np.ndarray:
    """Edges between the smallest and the largest: in equal ratios where the values are positive and far apart."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    middle = float(np.median(values))
    start = float(np.quantile(values, 0.001))
    if start > 1e-3 * middle > 0 and high > 8 * middle:
        return np.geomspace(start, high * (1 + 1e-9), _BINS + 1)
    return np.linspace(low, high, _BINS + 1)


def _histogram(findings: Findings, least: float | None, bins: np.ndarray, theme: Theme) -> Canvas:
    canvas = Canvas(WIDTH, 320, theme)
    chart = canvas.chart(52, 40, WIDTH - 66, 226)
    chart.set_yscale("log")
    logarithmic = len(bins) > 2 and not np.isclose(bins[1] - bins[0], bins[2] - bins[1])
    if logarithmic:
        chart.set_xscale("log")
    floor = 0.5 / max(len(findings), len(findings.usual))
    for values, color, alpha in ((findings.usual, theme.muted, 0.28), (findings.strangeness, theme.cool, 0.6)):
        counts, _ = np.histogram(np.clip(values, bins[0], bins[-1]), bins)
        shares = counts / len(values)
        chart.stairs(np.maximum(shares, floor), bins, baseline=floor, fill=True, color=color, alpha=alpha, linewidth=0)
        chart.stairs(np.maximum(shares, floor), bins, baseline=floor, color=color, linewidth=1.2)
    chart.axvline(findings.threshold, color=theme.ink, linewidth=1.4, linestyle=(0, (3, 2)))
    if least is not None:
        chart.axvline(least, color=theme.warm, linewidth=1.8)
    margin = 0.04 * (bins[-1] - bins[0])
    chart.set(ylim=(floor, 1), xlim=(bins[0], bins[-1]) if logarithmic else (bins[0] - margin, bins[-1] + margin))
    chart.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    chart.yaxis.set_minor_formatter(NullFormatter())
    if logarithmic:
        few_log_ticks(chart.xaxis, chart.get_xlim())
        chart.xaxis.set_major_formatter(_PLAIN)
    else:
        chart.locator_params(axis="x", nbins=5)
    _legend(canvas, [("these data", theme.cool), ("calibration", theme.muted)], theme)
    canvas.text(52 + (WIDTH - 66) / 2, 308, "strangeness", size=10.5)
    return canvas


def p_value_plot(findings: Findings, what: str) -> Plate:
    """Sorted p-values against those of normal samples, and what the false-discovery rates ask for."""
    caption = (
        f"The p-values in order. Normal {what} alone lie along the grey line; where points fall below an orange line, "
        f"everything up to the last such point is on the list (Benjamini and Hochberg). No p is below "
        f"{number(findings.smallest_p)}."
    )
    return Plate("p_values", caption, lambda theme: _p_values(findings, theme))


def _p_values(findings: Findings, theme: Theme) -> Canvas:
    n, p = len(findings), np.sort(findings.p)
    places = np.unique(np.geomspace(1, n, _MOST_POINTS).round().astype(int))
    canvas = Canvas(WIDTH, 320, theme)
    chart = canvas.chart(74, 40, WIDTH - 88, 226)
    chart.set(xscale="log", yscale="log")
    ranks = np.array([1.0, max(n, 2)])
    chart.plot(ranks, ranks / n, color=theme.muted, linewidth=1.5)
    for level, style in zip(_LEVELS, ((0, (1, 1.6)), "-"), strict=True):
        chart.plot(ranks, level * ranks / n, color=theme.warm, linewidth=1.5, linestyle=style)
    found = int(findings.flagged().sum())
    listed = places <= found
    for mask, color in ((~listed, theme.cool), (listed, theme.warm)):
        chart.plot(places[mask], p[places[mask] - 1], "o", color=color, markersize=3.4, linestyle="none")
    chart.set(xlim=(0.8, max(n, 2) * 1.3), ylim=(0.6 * min(findings.smallest_p, _LEVELS[0] / n), 1.6))
    for axis in (chart.xaxis, chart.yaxis):
        few_log_ticks(axis, (axis.get_view_interval()[0], axis.get_view_interval()[1]))
        axis.set_major_formatter(_PLAIN)
    _legend(canvas, [("normal alone", theme.muted), ("FDR 10 %, dotted 1 %", theme.warm)], theme)
    canvas.text(8, 40 + 113, "p-value", size=10.5, rotation=90)
    canvas.text(74 + (WIDTH - 88) / 2, 308, "rank, the smallest p first", size=10.5)
    return canvas


def guilty_columns(
    names: Sequence[str], guilty: np.ndarray, others: np.ndarray, called: tuple[str, str], caption: str
) -> Plate | None:
    """How often each column is the guiltiest, among strange rows and among the others; None for fewer than two columns.

    guilty, others : shares of rows, (columns,). called : what the two kinds of rows are called.
    """
    order = np.argsort(-guilty, kind="stable")[:_MOST_BARS]
    order = order[guilty[order] > 0]
    if len(names) < 2 or not len(order):
        return None
    return Plate(
        "columns",
        caption,
        lambda theme: _guilty([names[i] for i in order], guilty[order], others[order], called, theme),
    )


def _guilty(
    names: Sequence[str], guilty: np.ndarray, others: np.ndarray, called: tuple[str, str], theme: Theme
) -> Canvas:
    labels = [clipped(name, 20) for name in names]
    left = 22 + 6.6 * max(map(len, labels))
    height = max(60.0, len(labels) * float(np.clip(226 / len(labels), 21, 34)))
    canvas = Canvas(WIDTH, 40 + height + 54, theme)
    chart = canvas.chart(left, 40, WIDTH - left - 56, height, grid="")
    rows = np.arange(len(labels))
    chart.barh(rows, guilty, height=0.62, color=theme.warm, linewidth=0)
    chart.plot(others, rows, "|", color=theme.ink, markersize=11, markeredgewidth=2, clip_on=False)
    for row, value in enumerate(guilty.tolist()):
        chart.annotate(
            share(value), (max(value, others[row]), row), (7, 0), textcoords="offset points", va="center",
            fontsize=10.5, color=theme.ink,
        )  # fmt: skip
    chart.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, float(max(guilty.max(), others.max()))), xticks=[])
    chart.set_yticks(rows, labels, parse_math=False, color=theme.ink)
    chart.tick_params(axis="y", pad=8, labelsize=11)
    _legend(canvas, [(called[0], theme.warm), (called[1], theme.ink)], theme)
    canvas.text(left, canvas.height - 14, "rows in which it is the guiltiest", size=10.5, ha="left")
    return canvas


def _legend(canvas: Canvas, entries: Sequence[tuple[str, str]], theme: Theme) -> None:
    left = 10.0
    for label, color in entries:
        canvas.box(left, 6, 12, 12, color)
        canvas.text(left + 19, 12, label, ha="left", color=theme.ink)
        left += 46 + 6.4 * len(label)
