"""The map of a data set as a picture that stands alone: the samples, and beside them what the decoder makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patheffects import withStroke

from isthmus.evaluation.figures.style import Canvas, poster
from isthmus.evaluation.theme import DARK, LIGHT, Theme, clipped
from isthmus.files import write_bytes
from isthmus.manifold.drawn_map import DrawnMap, Land
from isthmus.remote.paths import as_path

_SIDE, _MARGIN, _TOP = 640, 32, 84  # pixels
_DOTS = (1.4, 5.5)  # diameters of many and of few points
_FEWEST_SHADED = 2_000  # points without a class that become a shade; fewer stay points
_BINS = 320
_LETTER, _LINE = 8.6, 20  # pixels of a class's name


def write_map_pictures(drawn: DrawnMap, folder: str | Path, title: str) -> list[Path]:
    """Write map.png and map-dark.png into a folder."""
    paths = [as_path(folder) / "map.png", as_path(folder) / "map-dark.png"]
    for path, theme in zip(paths, (LIGHT, DARK), strict=True):
        write_bytes(path, poster(lambda theme: _draw(drawn, title, theme), theme))
    return paths


def _draw(drawn: DrawnMap, title: str, theme: Theme) -> Canvas:
    panels = 1 if drawn.land is None else 2
    canvas = Canvas(_MARGIN + panels * (_SIDE + _MARGIN), _TOP + _SIDE + _MARGIN, theme)
    canvas.text(_MARGIN, 36, clipped(title, 60), ha="left", size=23, color=theme.ink, fontweight="bold")
    stray = f"  ·  {drawn.outside:,} far outside" if drawn.outside else ""
    canvas.text(_MARGIN, 63, drawn.headline + stray, ha="left", size=13)
    chart = _panel(canvas, _MARGIN)
    if drawn.hues:
        _points(chart, drawn, theme)
        _names(chart, drawn, theme)
    elif len(drawn.points) < _FEWEST_SHADED:
        x, y = _shares(drawn).T
        chart.scatter(x, y, _diameter(len(x)) ** 2, color=theme.cool, alpha=0.7, linewidths=0)
    else:
        _shade(chart, drawn, theme)
    if drawn.land is not None:
        left = 2 * _MARGIN + _SIDE
        canvas.text(left, 63, "what the decoder makes of each place", ha="left", size=13)
        (_mosaic if drawn.form == "pictures" else _profiles)(_panel(canvas, left), drawn.land, theme)
    return canvas


def _panel(canvas: Canvas, left: float) -> Axes:
    """A square with coordinates from 0 to 1."""
    chart = canvas.chart(left, _TOP, _SIDE, _SIDE, grid="")
    chart.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], autoscale_on=False)
    return chart


def _shares(drawn: DrawnMap) -> np.ndarray:
    shares: np.ndarray = (drawn.points - drawn.low) / drawn.side
    return shares


def _diameter(count: int) -> float:
    return float(np.clip(0.62 * _SIDE / np.sqrt(count), *_DOTS))


def _points(chart: Axes, drawn: DrawnMap, theme: Theme) -> None:
    assert drawn.classes is not None
    colors = np.array([to_rgb(theme.classes[hue]) for hue in drawn.hues])
    order = np.random.default_rng(0).permutation(len(drawn.points))  # no class lies on top of the others
    x, y = _shares(drawn)[order].T
    diameter = _diameter(len(order))
    alpha = float(np.interp(diameter, _DOTS, (0.55, 0.85)))
    chart.scatter(x, y, diameter**2, c=colors[drawn.classes.index[order]], alpha=alpha, linewidths=0, rasterized=True)


def _names(chart: Axes, drawn: DrawnMap, theme: Theme) -> None:
    """The names of the classes, with a halo, where their samples are; pushed apart where they would overlap."""
    assert drawn.classes is not None
    names = [clipped(name, 18) for name in drawn.classes.names]
    sizes = np.array([(_LETTER * len(name) + 8, _LINE) for name in names]) / _SIDE
    centers = _apart((drawn.anchors - drawn.low) / drawn.side, sizes)
    halo = [withStroke(linewidth=4, foreground=theme.paper, alpha=0.85)]
    style = {"va": "center", "ha": "center", "fontweight": "bold", "path_effects": halo, "zorder": 9}
    for name, (x, y) in zip(names, centers, strict=True):
        chart.text(x, y, name, fontsize=16, color=theme.ink, parse_math=False, **style)  # type: ignore[arg-type]


def _apart(centers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Centres of boxes (n, 2) inside the unit square, moved until none overlaps another."""
    centers = centers.astype(float)
    for _ in range(200):
        away = centers[:, None] - centers  # (n, n, 2)
        overlap = (sizes[:, None] + sizes) / 2 - np.abs(away)
        pairs = np.argwhere(np.triu((overlap > 0).all(axis=2), 1))
        for i, j in pairs:
            axis = int(overlap[i, j].argmin())
            step = 0.51 * overlap[i, j, axis] * (1 if away[i, j, axis] >= 0 else -1)
            centers[i, axis] += step
            centers[j, axis] -= step
        centers = centers.clip(sizes / 2, 1 - sizes / 2)
        if not len(pairs):
            break
    return centers


def _shade(chart: Axes, drawn: DrawnMap, theme: Theme) -> None:
    """How many samples lie at each place: from the paper over the package's colour to ink."""
    from scipy.ndimage import gaussian_filter

    x, y = _shares(drawn).T
    counts, *_ = np.histogram2d(x, y, bins=_BINS, range=[[0, 1], [0, 1]])
    width = np.clip(0.6 * _BINS / np.sqrt(len(drawn.points)), 1.0, 4.0)  # few samples are smoothed more
    density = gaussian_filter(counts.T, width)
    level = np.log1p(8 * density / np.quantile(density[density > 1e-3], 0.9)) / np.log1p(8)
    cool, ink = np.array(to_rgb(theme.cool)), np.array(to_rgb(theme.ink))
    mix = (level[..., None] - 0.55).clip(0, 1) ** 1.2
    rgba = np.concatenate([cool + mix * (ink - cool), level[..., None].clip(0, 1) ** 0.8], axis=-1)
    chart.imshow(rgba, extent=(0, 1, 0, 1), origin="lower", interpolation="bilinear", aspect="auto")


def _mosaic(chart: Axes, land: Land, theme: Theme) -> None:
    """The decoder's pictures side by side, each where it belongs."""
    chart.imshow(land.mosaic(), extent=(0, 1, 0, 1), interpolation="antialiased", aspect="auto")


def _profiles(chart: Axes, land: Land, theme: Theme) -> None:
    """The decoder's signals as small lines, each where it belongs."""
    steps = land.shown.shape[-1]
    x = np.linspace(0.1, 0.9, steps)
    lines = [
        np.stack([(column + x) / land.size, (land.size - 1 - row + 0.1 + 0.8 * line / 255.0) / land.size], axis=1)
        for (row, column), channels in zip(land.cells, land.shown, strict=True)
        for line in channels
    ]
    chart.add_collection(LineCollection(lines, colors=theme.ink, linewidths=0.9))
