"""Maps: samples as coloured points of a plane, below the names of the colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba

from isthmus.data.base import evenly_spread
from isthmus.evaluation.figures.style import Canvas
from isthmus.evaluation.study import Classes
from isthmus.evaluation.theme import Theme, clipped

Colors = list[tuple[float, float, float, float]]
Legend = list[tuple[str, Any]]

SIDE = 420  # of a map, in pixels
_MOST_POINTS = 2_000
_MOST_CLASSES = 10  # with a colour of their own
_LEGEND_ROW = 20


def scatter_map(
    plane: tuple[np.ndarray, tuple[str, str]],
    colors: Colors,
    legend: Legend,
    theme: Theme,
    beside: Sequence[str] = (),
) -> Canvas:
    """Points (n, 2) in their colours. plane : the points, and what the axes are. beside : see `map_canvas`."""
    points = plane[0]
    shown = evenly_spread(len(points), _MOST_POINTS)
    canvas, top = map_canvas(plane[1], beside or [name for name, _ in legend], theme)
    chart = canvas.chart(20, top, SIDE, SIDE, grid="")
    low, high = spread(points)
    chart.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    size = 13 if len(shown) > 300 else 26
    order = np.random.default_rng(0).permutation(shown)  # no class lies on top of the others
    x, y = points[order].clip(low, high).T  # the few that lie outside are shown at the edge
    chart.scatter(x, y, size, color=[colors[i] for i in order], linewidths=0)
    _draw_legend(canvas, legend)
    return canvas


def map_canvas(axes: tuple[str, str], names: Sequence[str], theme: Theme) -> tuple[Canvas, float]:
    """A canvas with the names of the axes, and where the map begins: below a legend of these names.

    Maps that stand side by side take the names of the longest legend.
    """
    top = 14.0 + _LEGEND_ROW * -(-len(names) // _legend_columns(names)) if names else 34.0
    canvas = Canvas(SIDE + 20, top + SIDE + 26, theme)
    canvas.text(20 + SIDE / 2, canvas.height - 10, axes[0], size=10.5)
    canvas.text(8, top + SIDE / 2, axes[1], size=10.5, rotation=90, rotation_mode="anchor")
    return canvas, top


def spread(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frame that holds all but a few stray points: lower and upper corner."""
    low, high = np.quantile(points, (0.003, 0.997), axis=0)
    margin = np.where(high > low, 0.05 * (high - low), 0.5)
    return low - margin, high + margin


def class_colors(classes: Classes, theme: Theme) -> tuple[Colors, Legend]:
    """A colour for every sample, and the legend: the largest classes get colours, the others share a pale one."""
    names = classes.names
    largest = np.argsort(-np.bincount(classes.index, minlength=len(names)), kind="stable")
    own = sorted(largest[: _MOST_CLASSES if len(names) <= _MOST_CLASSES else _MOST_CLASSES - 1])
    colors = [theme.faint] * len(names)
    for color, i in zip(theme.classes, own, strict=False):
        colors[i] = color
    legend: Legend = [(clipped(names[i], 18), colors[i]) for i in own]
    if len(names) > len(own):
        legend.append((f"{len(names) - len(own)} others", theme.faint))
    return [to_rgba(colors[i], 0.8) for i in classes.index], legend


def _legend_columns(names: Sequence[str]) -> int:
    return int(np.clip(SIDE / (26 + 7 * max(map(len, names), default=0)), 2, 5))


def _draw_legend(canvas: Canvas, legend: Legend) -> None:
    columns = _legend_columns([name for name, _ in legend])
    for i, (name, color) in enumerate(legend):
        x, y = 20 + (i % columns) * SIDE / columns, 10 + _LEGEND_ROW * (i // columns)
        canvas.stage.plot(x + 5, y, "o", color=color, markersize=8, markeredgewidth=0)
        canvas.text(x + 15, y, name, ha="left", size=11, color=canvas.theme.ink)
