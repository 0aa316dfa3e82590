"""Figures of codes: the map, and what each number of a code does."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus.evaluation.directions import STEPS
from isthmus.evaluation.figures.samples import draw_profile, pictures
from isthmus.evaluation.figures.style import COOL, WARM, Canvas, Plate, Theme, clipped, number, signed_alpha
from isthmus.evaluation.study import Study

_MOST_POINTS = 2_000
_MOST_CLASSES = 10  # with a colour of their own
_SIDE = 460  # of the map
_THUMBNAIL = 27
_CELL, _GAP = 42, 4
_MOST_LABELS = 30  # columns whose names fit below a chart
_LEGEND_ROWS = 2


def code_map(study: Study) -> Plate | None:
    """Each sample as a point at its code, coloured by class."""
    points, axes = study.plane
    if len(points) < 3 or not np.ptp(points, axis=0).any():
        return None
    what = "its code" if study.code_size <= 2 else "the two principal components of its code"
    color = "its class; samples of a class that lie together have similar codes" if study.classes else "nothing else"
    caption = (
        f"Each point is a test sample at {what}, coloured by {color}."
        if study.classes
        else f"Each point is a test sample at {what}: neighbours have similar codes."
    )
    return Plate("map", caption, lambda theme: _map(study, points, axes, theme))


def picture_map(study: Study) -> Plate | None:
    """The same map with the samples themselves."""
    points, axes = study.plane
    if len(points) < 20 or not study.has_pictures or not np.ptp(points, axis=0).all():
        return None
    caption = "The same map with some of the samples themselves, each at the place of its code."
    return Plate("map_pictures", caption, lambda theme: _picture_map(study, points, axes, theme))


def _spread(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frame that holds all but a few stray points: lower and upper corner."""
    low, high = np.quantile(points, (0.003, 0.997), axis=0)
    margin = np.where(high > low, 0.05 * (high - low), 0.5)
    return low - margin, high + margin


def _map(study: Study, points: np.ndarray, axes: tuple[str, str], theme: Theme) -> Canvas:
    shown = np.linspace(0, len(points) - 1, min(len(points), _MOST_POINTS)).astype(int)
    top = 16 + 20 * (_LEGEND_ROWS if study.classes else 0)
    canvas = Canvas(_SIDE + 20, top + _SIDE + 26, theme)
    chart = canvas.chart(20, top, _SIDE, _SIDE, grid="")
    low, high = _spread(points)
    chart.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    size, alpha = (13, 0.8) if len(shown) > 300 else (26, 0.85)
    style: dict[str, Any] = {"s": size, "alpha": alpha, "linewidths": 0}
    if study.classes is None:
        chart.scatter(*points[shown].T, color=COOL, **style)
    else:
        colors, legend = _class_colors(study, theme)
        order = np.random.default_rng(0).permutation(shown)  # no class lies on top of the others
        chart.scatter(*points[order].T, color=[colors[i] for i in study.classes.index[order]], **style)
        _legend(canvas, legend)
    canvas.text(20 + _SIDE / 2, canvas.height - 10, axes[0], size=10.5)
    canvas.text(8, top + _SIDE / 2, axes[1], size=10.5, rotation=90)
    return canvas


def _class_colors(study: Study, theme: Theme) -> tuple[list[str], list[tuple[str, str]]]:
    """A colour for every class, and the legend: the largest classes get colours, the others share a pale one."""
    assert study.classes is not None
    names = study.classes.names
    largest = np.argsort(-np.bincount(study.classes.index), kind="stable")
    own = sorted(largest[: _MOST_CLASSES if len(names) <= _MOST_CLASSES else _MOST_CLASSES - 1])
    colors = [theme.faint] * len(names)
    for color, i in zip(theme.classes, own, strict=False):
        colors[i] = color
    legend = [(clipped(names[i], 13), colors[i]) for i in own]
    if len(names) > len(own):
        legend.append((f"{len(names) - len(own)} others", theme.faint))
    return colors, legend


def _legend(canvas: Canvas, legend: list[tuple[str, str]]) -> None:
    columns = 5
    for i, (name, color) in enumerate(legend):
        x, y = 20 + (i % columns) * _SIDE / columns, 10 + 20 * (i // columns)
        canvas.stage.plot(x + 5, y, "o", color=color, markersize=8, markeredgewidth=0)
        canvas.text(x + 15, y, name, ha="left", size=11, color=canvas.theme.ink)


def _picture_map(study: Study, points: np.ndarray, axes: tuple[str, str], theme: Theme) -> Canvas:
    top = 16 + 20 * (_LEGEND_ROWS if study.classes else 0)
    canvas = Canvas(_SIDE + 20, top + _SIDE + 26, theme)
    low, high = _spread(points)
    places = (points - low) / (high - low) * (_SIDE - _THUMBNAIL)
    places[:, 1] = _SIDE - _THUMBNAIL - places[:, 1]
    chosen = _apart(places, _THUMBNAIL * 1.05)
    for sample, image in zip(chosen, pictures(study, study.originals[chosen]), strict=True):
        canvas.picture(20 + places[sample, 0], top + places[sample, 1], _THUMBNAIL, image, radius=4)
    canvas.text(20 + _SIDE / 2, canvas.height - 10, axes[0], size=10.5)
    return canvas


def _apart(places: np.ndarray, distance: float) -> np.ndarray:
    """Indices of points inside the frame, none nearer to another than `distance` along both axes."""
    inside = ((places >= 0) & (places <= _SIDE - _THUMBNAIL)).all(axis=1)
    kept: list[int] = []
    for i in np.flatnonzero(inside):
        if not kept or (np.abs(places[kept] - places[i]).max(axis=1) >= distance).all():
            kept.append(int(i))
    return np.array(kept, dtype=int)


def traversals(study: Study) -> Plate | None:
    """A walk along each direction of the code, the most important first."""
    walked = [d for d in study.directions if d.walk is not None and d.importance > 0]
    if not walked:
        return None
    total = len(study.directions)
    some = f"the {len(walked)} most important of {total}" if total > len(walked) else "the most important first"
    what = "number of the code" if walked[0].name.startswith("z") else "principal direction of the codes"
    caption = f"Each row walks along one {what} from −2 to +2 standard deviations, the others at their mean; {some}."
    draw = _walks_in_pictures if study.has_pictures else _walks_in_profiles
    return Plate("traversals", caption, lambda theme: draw(study, walked, theme), wide=not study.has_pictures)


def _walks_in_pictures(study: Study, walked: list, theme: Theme) -> Canvas:
    left, pitch = _gutter(walked), _CELL + _GAP
    canvas = Canvas(left + pitch * len(STEPS), 24 + pitch * len(walked), theme)
    for column, step in enumerate(STEPS):
        if step == round(step):
            label = "mean" if step == 0 else f"{step:+.0f} σ".replace("-", "−")
            canvas.text(left + column * pitch + _CELL / 2, 10, label, size=10.5)
    for row, direction in enumerate(walked):
        y = 24 + row * pitch
        canvas.text(0, y + _CELL / 2, _short(direction.name), ha="left", size=11.5, color=theme.ink)
        for column, image in enumerate(pictures(study, direction.walk)):
            canvas.picture(left + column * pitch, y, _CELL, image)
    return canvas


def _walks_in_profiles(study: Study, walked: list, theme: Theme) -> Canvas:
    columns, width, height, pitch_y = 4, 240, 104, 142
    rows = -(-len(walked) // columns)
    canvas = Canvas(4 * 252 - 12, 34 + rows * pitch_y - 10, theme)
    for i, step in enumerate((-2, -1, 0, 1, 2)):
        canvas.stage.plot([60 * i, 60 * i + 16], [8, 8], color=_walk_color(step, theme), linewidth=2.2)
        canvas.text(60 * i + 21, 8, "mean" if step == 0 else f"{step:+d} σ".replace("-", "−"), ha="left", size=10.5)
    for i, direction in enumerate(walked):
        x, y = (i % columns) * 252, 50 + (i // columns) * pitch_y
        canvas.text(x, y - 12, direction.name, ha="left", size=11.5, color=theme.ink)
        canvas.box(x, y, width, height, theme.land, radius=6)
        for step, sample in zip(STEPS, direction.walk, strict=True):
            if step == round(step):
                color = _walk_color(step, theme)
                box = (x + 6, y + 6, width - 12, height - 12)
                draw_profile(canvas, study, sample, box, color, bars=False, width=1.6)
    return canvas


def _walk_color(step: float, theme: Theme) -> tuple[str, float] | str:
    if step == 0:
        return theme.ink
    return (COOL if step < 0 else WARM, 0.5 if abs(step) < 2 else 1.0)


def effects(study: Study) -> Plate | None:
    """How much each direction of the code changes a reconstruction, and where."""
    walked = [d for d in study.directions if d.walk is not None and d.importance > 0]
    if not walked:
        return None
    idle = sum(d.importance < 0.01 * walked[0].importance for d in study.directions)
    name, change = walked[0].name, number(walked[0].importance)
    caption = f"{name[0].upper() if len(name) > 3 else name[0]}{name[1:]} moves the most, {change} on average"
    caption += f"; {idle} of {len(study.directions)} do less than a hundredth of that" if idle else ""
    caption += ". Orange rises and green falls with it"
    caption += ", around the mean code; “where” is the mean change of real samples." if study.has_pictures else "."
    draw = _effects_in_pictures if study.has_pictures else _effects_as_heat
    return Plate("effects", caption, lambda theme: draw(study, walked, theme), wide=not study.has_pictures)


def _effects_in_pictures(study: Study, walked: list, theme: Theme) -> Canvas:
    """Rows as in the traversals: the change around the mean code, where pixels move, and how much."""
    left, pitch = _gutter(walked), _CELL + _GAP
    bar = left + 2 * pitch + 10
    canvas = Canvas(left + pitch * len(STEPS), 24 + pitch * len(walked), theme)
    for x, title in ((left, "change"), (left + pitch, "where")):
        canvas.text(x + _CELL / 2, 10, title, size=10.5)
    canvas.text(bar, 10, "mean absolute change of a pixel, −σ to +σ", size=10.5, ha="left")
    ahead, behind = int(np.argmin(np.abs(STEPS - 1))), int(np.argmin(np.abs(STEPS + 1)))
    most = max(d.importance for d in walked)
    for row, direction in enumerate(walked):
        y = 24 + row * pitch
        canvas.text(0, y + _CELL / 2, _short(direction.name), ha="left", size=11.5, color=theme.ink)
        change = _flat_picture(direction.walk[ahead] - direction.walk[behind])
        moved = -_flat_picture(direction.moved)  # a magnitude: all in the colour of the package
        for x, values in ((left, change), (left + pitch, moved)):
            canvas.box(x, y, _CELL, _CELL, theme.paper, edge=theme.faint)
            canvas.picture(x, y, _CELL, signed_alpha(values, float(np.abs(values).max())))
        length = (canvas.width - bar - 60) * direction.importance / most
        canvas.box(bar, y + _CELL / 2 - 5, max(length, 1.5), 10, COOL, radius=2)
        canvas.text(bar + length + 8, y + _CELL / 2, number(direction.importance), ha="left", size=10.5)
    return canvas


def _flat_picture(values: np.ndarray) -> np.ndarray:
    """(C, *spatial) -> (H, W): the mean over channels, the middle slice of a volume."""
    values = values.mean(axis=0)
    return values[len(values) // 2] if values.ndim == 3 else values


def _effects_as_heat(study: Study, walked: list, theme: Theme) -> Canvas:
    """Directions by columns or positions: the change of each from −1 to +1 standard deviation."""
    left, width, row, top = 92, 900, 24, 8
    ahead, behind = int(np.argmin(np.abs(STEPS - 1))), int(np.argmin(np.abs(STEPS + 1)))
    changes = np.stack([(d.walk[ahead] - d.walk[behind]).ravel() for d in walked])
    named = study.kind == "table" and changes.shape[1] <= _MOST_LABELS
    below = 12 + 6.2 * max(len(clipped(c, 16)) for c in study.columns) if named else 26
    canvas = Canvas(left + width, top + row * len(walked) + below, theme)
    canvas.box(left, top, width, row * len(walked), theme.land, radius=6)
    extent = (left, left + width, top + row * len(walked), top)
    colors = signed_alpha(changes, float(np.abs(changes).max()))
    canvas.stage.imshow(colors, extent=extent, aspect="auto", interpolation="none")
    for i, direction in enumerate(walked):
        canvas.text(0, top + row * (i + 0.5), direction.name, ha="left", size=11, color=theme.ink)
    if named:
        for i, name in enumerate(study.columns):
            x = left + width * (i + 0.5) / len(study.columns)
            y = top + row * len(walked) + 8
            canvas.text(x, y, clipped(name, 16), size=10.5, rotation=90, va="top")
    else:
        what = "columns, in their order" if study.kind == "table" else "position in the signal"
        canvas.text(left + width / 2, canvas.height - 9, what, size=10.5)
    return canvas


def _gutter(walked: list) -> int:
    return 34 if walked[0].name.startswith("z") else 58


def _short(name: str) -> str:
    return name.replace("direction ", "dir. ")
