"""Figures of codes: the map, and what each number of a code does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgba

from isthmus.evaluation.directions import GRID, STEPS, Direction
from isthmus.evaluation.figures.samples import draw_profile, pictures
from isthmus.evaluation.figures.scatter import SIDE, Colors, Legend, class_colors, map_canvas, scatter_map, spread
from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.study import Study
from isthmus.evaluation.theme import Theme, clipped, number, signed_alpha

_THUMBNAIL = 27
_CELL, _GAP = 42, 4
_MOST_LABELS = 30  # columns whose names fit below a chart
_WIDE = 1008  # of figures that take the whole page


def code_map(study: Study) -> Plate | None:
    """Each sample as a point at its code, coloured by class."""
    points = study.plane[0]
    if len(points) < 3 or not np.ptp(points, axis=0).any():
        return None
    what = "its code" if study.code_size <= 2 else "the two principal components of its code"
    why = "coloured by class" if study.classes else "so that neighbours have similar codes"
    caption = f"Each point is a test sample at {what}, {why}."

    def colors(theme: Theme) -> tuple[Colors, Legend]:
        return class_colors(study.classes, theme) if study.classes else ([to_rgba(theme.cool, 0.8)] * len(points), [])

    return Plate("map", caption, lambda theme: _map(study, *colors(theme), theme))


def error_map(study: Study) -> Plate | None:
    """The same map, coloured by the error of each sample."""
    points = study.plane[0]
    if len(points) < 20 or study.code_size == 1 or not np.ptp(points, axis=0).all() or not np.ptp(study.errors):
        return None
    caption = "The same map coloured by error: where orange gathers, samples are hard to rebuild."
    level = np.argsort(np.argsort(study.errors)) / (len(study.errors) - 1)

    def colors(theme: Theme) -> tuple[Colors, Legend]:
        steps = [to_rgba(theme.warm, 0.1 * step) for step in range(1, 10)]
        return [steps[int(8 * share)] for share in level], [("small error", steps[1]), ("large error", steps[8])]

    return Plate("map_errors", caption, lambda theme: _map(study, *colors(theme), theme))


def picture_map(study: Study) -> Plate | None:
    """The same map with the samples themselves."""
    points = study.plane[0]
    if len(points) < 20 or not study.has_pictures or not np.ptp(points, axis=0).all():
        return None
    caption = "The same map with some of the samples themselves, each at the place of its code."
    return Plate("map_pictures", caption, lambda theme: _picture_map(study, theme))


def decoded_grid(study: Study) -> Plate | None:
    """What the decoder makes of codes on a grid, for pictures and codes of two numbers."""
    grid = study.grid
    if grid is None:
        return None
    caption = "What the decoder makes of codes on a square grid: the manifold of the data, unrolled."
    return Plate("map_decoded", caption, lambda theme: _decoded_grid(study, grid, theme))


def _decoded_grid(study: Study, grid: np.ndarray, theme: Theme) -> Canvas:
    canvas, top = _map_canvas(study, theme)
    size = SIDE / GRID
    for i, image in enumerate(pictures(study, grid)):
        row, column = divmod(i, GRID)
        canvas.picture(20 + column * size, top + row * size, size, image, radius=0)
    return canvas


def _map_canvas(study: Study, theme: Theme) -> tuple[Canvas, float]:
    """A canvas for a map, below as many names of classes as the map of the classes has: maps stand side by side."""
    names = [] if study.classes is None else [name for name, _ in class_colors(study.classes, theme)[1]]
    return map_canvas(study.plane[1], names, theme)


def _map(study: Study, colors: Colors, legend: Legend, theme: Theme) -> Canvas:
    names = [] if study.classes is None else [name for name, _ in class_colors(study.classes, theme)[1]]
    return scatter_map(study.plane, colors, legend, theme, names)


def _picture_map(study: Study, theme: Theme) -> Canvas:
    points = study.plane[0]
    canvas, top = _map_canvas(study, theme)
    low, high = spread(points)
    places = (points - low) / (high - low) * (SIDE - _THUMBNAIL)
    places[:, 1] = SIDE - _THUMBNAIL - places[:, 1]
    chosen = _apart(places, _THUMBNAIL * 1.05)
    for sample, image in zip(chosen, pictures(study, study.originals[chosen]), strict=True):
        canvas.picture(20 + places[sample, 0], top + places[sample, 1], _THUMBNAIL, image, radius=4)
    return canvas


def _apart(places: np.ndarray, distance: float) -> np.ndarray:
    """Indices of points inside the frame, none nearer to another than `distance` along both axes."""
    inside = ((places >= 0) & (places <= SIDE - _THUMBNAIL)).all(axis=1)
    kept: list[int] = []
    for i in np.flatnonzero(inside):
        if not kept or (np.abs(places[kept] - places[i]).max(axis=1) >= distance).all():
            kept.append(int(i))
    return np.array(kept, dtype=int)


def traversals(study: Study) -> Plate | None:
    """A walk along each direction of the code, the most important first."""
    walked, total = study.directions.top, len(study.directions.importances)
    if not walked or study.kind == "table":
        return None
    some = f"the {len(walked)} most important of {total}" if total > len(walked) else "the most important first"
    what = "number of the code" if walked[0].name.startswith("z") else "principal direction of the codes"
    caption = f"Each row walks along one {what} from −2 to +2 standard deviations, the others at their mean; {some}."
    return Plate("traversals", caption, lambda theme: _walks(study, walked, theme), wide=not study.has_pictures)


def _walks(study: Study, walked: Sequence[Direction], theme: Theme) -> Canvas:
    left = _gutter(walked)
    width = _CELL if study.has_pictures else (_WIDE - left) / len(STEPS) - 2 * _GAP
    pitch = width + (_GAP if study.has_pictures else 2 * _GAP)
    canvas = Canvas(left + pitch * len(STEPS), 24 + (_CELL + _GAP) * len(walked), theme)
    for column, step in enumerate(STEPS):
        if step == round(step):
            label = "mean" if step == 0 else f"{step:+.0f} σ".replace("-", "−")
            canvas.text(left + column * pitch + width / 2, 10, label, size=10.5)
    for row, direction in enumerate(walked):
        y = 24 + row * (_CELL + _GAP)
        canvas.text(0, y + _CELL / 2, _short(direction.name), ha="left", size=11.5, color=theme.ink)
        images = pictures(study, direction.walk) if study.has_pictures else direction.walk
        for column, sample in enumerate(images):
            x = left + column * pitch
            if study.has_pictures:
                canvas.picture(x, y, _CELL, sample)
            else:
                canvas.box(x, y, width, _CELL, theme.land, radius=5)
                draw_profile(canvas, study, sample, (x + 5, y + 4, width - 10, _CELL - 8), theme.ink, width=1.1)
    return canvas


def effects(study: Study) -> Plate | None:
    """How much each direction of the code changes a reconstruction, and where."""
    walked, importances = study.directions.top, study.directions.importances
    if not walked:
        return None
    idle = int((importances < 0.01 * importances[0]).sum())
    name = walked[0].name[0].upper() + walked[0].name[1:] if len(walked[0].name) > 4 else walked[0].name
    caption = f"{name} moves the most, {number(walked[0].importance)} on average between −1 and +1 standard deviation"
    caption += f"; {idle} of {len(importances)} do less than a hundredth of that" if idle else ""
    caption += ". Orange grows and green shrinks on the way from −σ to +σ around the mean code"
    caption += "; “where” is the mean change of real samples." if study.has_pictures else "."
    draw = _effects_in_pictures if study.has_pictures else _effects_as_heat
    return Plate("effects", caption, lambda theme: draw(study, walked, theme), wide=not study.has_pictures)


def _effects_in_pictures(study: Study, walked: Sequence[Direction], theme: Theme) -> Canvas:
    """Rows as in the traversals: the change around the mean code, where pixels move, and how much."""
    left, pitch = _gutter(walked), _CELL + _GAP
    bar = left + 2 * pitch + 10
    canvas = Canvas(left + pitch * len(STEPS), 24 + pitch * len(walked), theme)
    for x, title in ((left, "change"), (left + pitch, "where")):
        canvas.text(x + _CELL / 2, 10, title, size=10.5)
    canvas.text(bar, 10, "mean absolute change of a pixel, −σ to +σ", size=10.5, ha="left")
    most = max(d.importance for d in walked)
    for row, direction in enumerate(walked):
        y = 24 + row * pitch
        canvas.text(0, y + _CELL / 2, _short(direction.name), ha="left", size=11.5, color=theme.ink)
        change = _flat_picture(_change(direction))
        moved = -_flat_picture(direction.moved)  # a magnitude: all in the colour of the package
        for x, values in ((left, change), (left + pitch, moved)):
            canvas.box(x, y, _CELL, _CELL, theme.paper, edge=theme.faint)
            canvas.picture(x, y, _CELL, signed_alpha(values, float(np.abs(values).max()), theme))
        length = (canvas.width - bar - 60) * direction.importance / most
        canvas.box(bar, y + _CELL / 2 - 5, max(length, 1.5), 10, theme.cool, radius=2)
        canvas.text(bar + length + 8, y + _CELL / 2, number(direction.importance), ha="left", size=10.5)
    return canvas


def _flat_picture(values: np.ndarray) -> np.ndarray:
    """(C, *spatial) -> (H, W): the mean over channels, the middle slice of a volume."""
    values = values.mean(axis=0)
    return values[len(values) // 2] if values.ndim == 3 else values


def _effects_as_heat(study: Study, walked: Sequence[Direction], theme: Theme) -> Canvas:
    """Directions by columns or positions: the change of each from −1 to +1 standard deviation."""
    left, row, top = _gutter(walked) + 10, 28, 2
    width = _WIDE - left
    changes = np.stack([_change(d).ravel() for d in walked])
    named = study.kind == "table" and changes.shape[1] <= _MOST_LABELS
    below = 12 + 6.2 * max(len(clipped(c, 16)) for c in study.columns) if named else 26
    canvas = Canvas(left + width, top + row * len(walked) + below, theme)
    canvas.box(left, top, width, row * len(walked), theme.paper, radius=0, edge=theme.faint)
    extent = (left, left + width, top + row * len(walked), top)
    colors = signed_alpha(changes, float(np.abs(changes).max()), theme)
    canvas.stage.imshow(colors, extent=extent, aspect="auto", interpolation="none", zorder=3)
    for i, direction in enumerate(walked):
        canvas.text(0, top + row * (i + 0.5), direction.name, ha="left", size=11, color=theme.ink)
    if named:
        for i, name in enumerate(study.columns):
            x = left + width * (i + 0.5) / len(study.columns)
            y = top + row * len(walked) + 8
            canvas.text(x, y, clipped(name, 16), size=10.5, rotation=90, rotation_mode="anchor", ha="right")
    else:
        what = "columns, in their order" if study.kind == "table" else "position in the signal"
        canvas.text(left + width / 2, canvas.height - 9, what, size=10.5)
    return canvas


def _change(direction: Direction) -> np.ndarray:
    """From −1 to +1 standard deviation, around the mean code."""
    change: np.ndarray = direction.walk[np.argmin(np.abs(STEPS - 1))] - direction.walk[np.argmin(np.abs(STEPS + 1))]
    return change


def _gutter(walked: Sequence[Direction]) -> int:
    return 34 if walked[0].name.startswith("z") else 58


def _short(name: str) -> str:
    return name.replace("direction ", "dir. ")
