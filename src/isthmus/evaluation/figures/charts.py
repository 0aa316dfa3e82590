"""Charts of errors: during training, over the samples, by class and by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.history import in_parts
from isthmus.evaluation.study import Study
from isthmus.evaluation.theme import Theme, clipped, number

WIDTH = 440
_MOST_ROWS = 16  # classes or columns in one chart
_ROWS_HEIGHT = 190  # at least, shared by the rows of a chart


def loss_curves(history: Sequence[Mapping[str, Any]], objective: str, *, wide: bool = False) -> Plate | None:
    """The objective during training, on the training and the validation samples, and the learning rate below.

    history : entries of the run, with and without a validation. objective : what it is called.
    """
    parts = in_parts([e for e in history if _is_positive(e.get("loss")) or _is_positive(e.get("validation_loss"))])
    history = [entry for part in parts for entry in part]
    if len(history) < 2:
        return None
    validated = [e for e in history if _is_positive(e.get("validation_loss"))]
    objective = clipped(objective, 60)
    if validated:
        best = min(validated, key=lambda e: e["validation_loss"])
        caption = (
            f"The objective ({objective}) on samples held out from training was lowest at step {best['step']:,} of "
            f"{history[-1]['step']:,}: {number(best['validation_loss'])}."
        )
    else:
        caption = f"The objective ({objective}) on the training samples fell to {number(history[-1]['loss'])}."
    return Plate("loss", caption, lambda theme: _loss(parts, objective, theme, wide), wide)


def _is_positive(value: float | None) -> bool:
    return value is not None and 0 < value < np.inf


def _loss(parts: list[list[dict[str, Any]]], objective: str, theme: Theme, wide: bool) -> Canvas:
    history = [entry for part in parts for entry in part]
    validated = [e for e in history if _is_positive(e.get("validation_loss"))]
    width = 2 * WIDTH + 48 if wide else WIDTH
    canvas = Canvas(width, 320, theme)
    chart = canvas.chart(52, 40, width - 74, 180)
    chart.set_yscale("log")
    lines = [("training", "loss", theme.muted, 1.5)]
    if validated:
        lines.append(("validation", "validation_loss", theme.cool, 2.4))
    for i, (name, key, color, stroke) in enumerate(lines):
        for part in parts:
            points = [(e["step"], e[key]) for e in part if _is_positive(e.get(key))]
            chart.plot([x for x, _ in points], [y for _, y in points], color=color, linewidth=stroke)
        canvas.stage.plot([52 + 96 * i, 70 + 96 * i], [12, 12], color=color, linewidth=stroke)
        canvas.text(76 + 96 * i, 12, name, ha="left", size=11, color=theme.ink)
    if validated:
        best = min(validated, key=lambda e: e["validation_loss"])
        chart.plot(best["step"], best["validation_loss"], "o", color=theme.cool, markersize=6)
    canvas.text(width - 22, 12, clipped(objective, 34), ha="right", size=10.5)
    few_log_ticks(chart.yaxis, chart.get_ylim())
    rate = canvas.chart(52, 244, width - 74, 40)
    for part in parts:
        rate.plot([e["step"] for e in part], [e["learning_rate"] for e in part], color=theme.muted, linewidth=1.2)
    rate.set_ylim(0, None)
    top = max(e["learning_rate"] for e in history) or 1.0
    rate.set_yticks([0, top], ["0", f"{top:.2g}"])
    canvas.text(width - 22, 236, "learning rate", ha="right", size=10)
    last = history[-1]["step"]
    for axes in (chart, rate):
        axes.set_xlim(0, last * 1.01)
    chart.set_xticklabels([])
    rate.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    canvas.text(52 + (width - 74) / 2, 312, "training steps", size=10.5)
    return canvas


def error_distribution(study: Study) -> Plate | None:
    """How the errors of the samples spread, beside PCA's."""
    ours, theirs = study.errors, study.pca_metrics.per_sample_mse
    both = np.concatenate([ours, theirs])
    both = both[both > 0]
    if len(ours) < 20 or not len(both) or both.min() == both.max():
        return None
    share = float((ours < theirs).mean())
    caption = (
        f"The auto-encoder rebuilds {share:.1%} of the test samples better than PCA does; farther to the left is "
        f"better, and dashed lines mark the means."
    )
    low, high = np.quantile(both, (0.001, 0.999))
    bins = np.geomspace(low, max(high, low * 1.01), 1 + int(np.clip(1.5 * len(ours) ** 0.5, 10, 48)))
    return Plate("errors", caption, lambda theme: _distribution(ours, theirs, bins, theme))


def _distribution(ours: np.ndarray, theirs: np.ndarray, bins: np.ndarray, theme: Theme) -> Canvas:
    canvas = Canvas(WIDTH, 320, theme)
    chart = canvas.chart(10, 40, WIDTH - 20, 230, grid="")
    chart.set_xscale("log")
    top = 0.0
    for errors, color, alpha in ((theirs, theme.muted, 0.28), (ours, theme.cool, 0.72)):
        counts, _ = np.histogram(np.clip(errors, bins[0], bins[-1]), bins)
        chart.stairs(counts, bins, fill=True, color=color, alpha=alpha, linewidth=0)
        chart.stairs(counts, bins, color=color, linewidth=1.2)
        top = max(top, counts.max())
        chart.axvline(errors.mean(), ymax=0.97, color=color, linewidth=1.6, linestyle=(0, (2, 2)))
    chart.set(xlim=(bins[0], bins[-1]), ylim=(0, top * 1.06), yticks=[])
    chart.axhline(0, color=theme.faint, linewidth=1.6)
    few_log_ticks(chart.xaxis, chart.get_xlim())
    _legend(canvas, 10, theme, number(float(ours.mean())), number(float(theirs.mean())))
    canvas.text(WIDTH / 2, 308, "squared error of a sample", size=10.5)
    return canvas


def errors_by_class(study: Study) -> Plate | None:
    """The mean error of each class, beside PCA's."""
    if study.classes is None or len(study.classes.names) < 2:
        return None
    index, counts = study.classes.index, np.bincount(study.classes.index)
    ours = np.bincount(index, study.errors) / counts
    theirs = np.bincount(index, study.pca_metrics.per_sample_mse) / counts
    order = np.argsort(-ours, kind="stable")[:_MOST_ROWS]
    names = [study.classes.names[i] for i in order]
    if not ours.any():
        return None
    ratio = ours[order[0]] / study.metrics.mse
    shown = f" Shown are the {_MOST_ROWS} worst of {len(counts)} classes." if len(counts) > _MOST_ROWS else ""
    caption = f"“{clipped(names[0])}” is the hardest class, with {number(ratio)} times the mean error.{shown}"
    return Plate(
        "classes", caption, lambda theme: _dumbbells(names, ours[order], theirs[order], "mean squared error", theme)
    )


def errors_by_column(study: Study) -> Plate | None:
    """The error of each column of a table, as the share of its variance that is lost."""
    if study.kind != "table" or study.originals.shape[1] < 2:
        return None
    variance = np.maximum(study.originals.var(axis=0, dtype=np.float64), 1e-12)
    ours, theirs = (
        np.square(rebuilt - study.originals).mean(axis=0, dtype=np.float64) / variance
        for rebuilt in (study.rebuilt, study.pca.reconstruction)
    )
    varies = study.originals.var(axis=0) > 1e-9
    order = np.argsort(np.where(varies, -ours, np.inf), kind="stable")[: min(_MOST_ROWS, int(varies.sum()))]
    if not len(order):
        return None
    names = [study.columns[i] for i in order]
    shown = f" Shown are the {_MOST_ROWS} worst of {len(ours)} columns." if len(ours) > _MOST_ROWS else ""
    lost = f"{ours[order[0]]:.0%} of the variance is lost"
    caption = f"Of “{clipped(names[0])}”, {lost}, more than of any other column.{shown}"
    return Plate(
        "columns", caption, lambda theme: _dumbbells(names, ours[order], theirs[order], "share of variance lost", theme)
    )


def _dumbbells(names: Sequence[str], ours: np.ndarray, theirs: np.ndarray, what: str, theme: Theme) -> Canvas:
    """One row for each name: our error and PCA's, joined by a line."""
    labels = [clipped(name, 18) for name in names]
    left = 26 + 6.6 * max(map(len, labels))
    height = len(names) * float(np.clip(_ROWS_HEIGHT / len(names), 22, 48))
    canvas = Canvas(WIDTH, 34 + height + 56, theme)
    chart = canvas.chart(left, 34, WIDTH - left - 14, height, grid="x")
    rows = np.arange(len(names))
    chart.hlines(rows, ours, theirs, color=theme.faint, linewidth=3)
    chart.plot(theirs, rows, "o", color=theme.paper, markeredgecolor=theme.muted, markeredgewidth=1.6, markersize=7)
    chart.plot(ours, rows, "o", color=theme.cool, markersize=8)
    chart.set(ylim=(len(names) - 0.4, -0.6), xlim=(0, 1.06 * max(ours.max(), theirs.max(), 1e-9)))
    chart.set_yticks(rows, labels, parse_math=False, color=theme.ink)
    chart.tick_params(axis="y", pad=10, labelsize=11)
    chart.locator_params(axis="x", nbins=5)
    chart.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    _legend(canvas, left, theme)
    canvas.text(left + (WIDTH - left - 14) / 2, canvas.height - 12, what, size=10.5)
    return canvas


def _legend(canvas: Canvas, left: float, theme: Theme, ours: str = "", theirs: str = "") -> None:
    dots = canvas.stage
    dots.plot(left + 5, 12, "o", color=theme.cool, markersize=8)
    canvas.text(left + 16, 12, f"auto-encoder  {ours}".strip(), ha="left", color=theme.ink)
    x = left + (178 if ours else 122)
    dots.plot(x + 5, 12, "o", color=theme.paper, markeredgecolor=theme.muted, markeredgewidth=1.6, markersize=7)
    canvas.text(x + 16, 12, f"PCA  {theirs}".strip(), ha="left", color=theme.ink)


def few_log_ticks(axis: object, limits: tuple[float, float]) -> None:
    """Few ticks on a logarithmic axis, written as plain numbers."""
    decades = np.log10(limits[1] / limits[0])
    steps = ((3, (1,)), (1.4, (1, 3)), (0.5, (1, 2, 5)), (0, range(1, 10)))
    parts = next(parts for least, parts in steps if decades >= least)
    axis.set_major_locator(LogLocator(10, parts, numticks=30))  # type: ignore[attr-defined]
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))  # type: ignore[attr-defined]
    axis.set_minor_formatter(NullFormatter())  # type: ignore[attr-defined]
