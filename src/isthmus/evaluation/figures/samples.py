"""Figures of samples: through the isthmus, and the best and the worst reconstructions."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.path import Path as Outline

from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.pictures import as_pictures, shown_range
from isthmus.evaluation.study import Passage, Study
from isthmus.evaluation.theme import Theme, clipped, number, signed_alpha
from isthmus.words import count

_MOST_PIXELS = 96  # along a side of a picture: more cannot be seen at the size they are drawn
_MOST_BARS = 40  # columns that are drawn as bars; more become a line
_MOST_CELLS = 64  # numbers of a code that are drawn one by one
_COLUMNS = 10  # samples that go through the isthmus
_GUTTER, _PITCH, _LAND, _STRIP, _NECK, _INSET = 122, 96, 84, 28, 44, 5


def pictures(study: Passage, samples: np.ndarray) -> np.ndarray:
    """Scaled images (n, C, *spatial) as uint8 pictures (n, H, W, 3); of a volume, the middle slice."""
    shown = as_pictures(samples, value_range(study), _MOST_PIXELS)
    return np.broadcast_to(shown, (*shown.shape[:3], 3))


def value_range(study: Passage) -> tuple[float, float]:
    """The scaled values shown as black and white, or at the bottom and the top of a profile."""
    return shown_range(study.originals[:: max(1, len(study.originals) // 500)], study.kind)


def through_the_isthmus(study: Passage, most: int = _COLUMNS) -> Plate:
    """Original, code and reconstruction of a row of samples: two wide lands and the narrow strip between them.

    most : samples that are drawn.
    """
    chosen = typical_samples(study, most)
    picked = "Each column is a test sample; their errors are evenly spaced"
    if study.classes is not None:
        picked += " within each class"
        if len(chosen) == len(study.classes.names):
            picked = "Each column is the test sample with the median error of its class"
    caption = (
        f"Above the originals, below what the decoder rebuilds from nothing but the {count(study.code_size, 'number')} "
        f"of the code in between, coloured by their deviation from the mean. {picked}."
    )
    return Plate("reconstructions", caption, lambda theme: _isthmus(study, chosen, theme), wide=True)


def typical_samples(study: Passage, most: int = _COLUMNS) -> np.ndarray:
    """Indices of samples that stand for the others: at evenly spaced errors, the same number of each class."""
    order = np.argsort(study.errors, kind="stable")
    groups = [order]
    if study.classes is not None:
        largest = np.argsort(-np.bincount(study.classes.index), kind="stable")[:most]
        groups = [order[study.classes.index[order] == c] for c in sorted(largest)]
    per_group = most // len(groups)
    chosen = []
    for group in groups:
        few = min(per_group, len(group))
        chosen.append(group[((np.arange(few) + 0.5) / few * len(group)).astype(int)])
    return np.concatenate(chosen)


def _isthmus(study: Passage, chosen: np.ndarray, theme: Theme) -> Canvas:
    strip = float(np.clip(9 * study.code_size, 54, 108))
    top = 26 if study.classes else 4
    middle = top + _LAND + _NECK + strip / 2
    canvas = Canvas(_GUTTER + _PITCH * len(chosen), 2 * middle - top + 22, theme)
    bottom = 2 * middle - top - _LAND
    _gutter_text(canvas, study, top + _LAND / 2, middle, bottom + _LAND / 2)
    deviations = study.codes[chosen] - study.codes.mean(axis=0)
    deviations /= np.maximum(study.codes.std(axis=0), 1e-9)
    for column, sample in enumerate(chosen):
        center = _GUTTER + _PITCH * (column + 0.5)
        _land(canvas, center, top, strip)
        for y, samples in ((top, study.originals), (bottom, study.rebuilt)):
            _draw_sample(canvas, study, samples[sample], center - _LAND / 2 + _INSET, y + _INSET, _LAND - 2 * _INSET)
        _draw_code(canvas, deviations[column], center, middle - strip / 2, strip)
        canvas.text(center, bottom + _LAND + 13, number(study.errors[sample]), size=10.5)
        if study.classes is not None:
            name = study.classes.names[study.classes.index[sample]]
            canvas.text(center, 11, clipped(name, 15), size=11.5, color=theme.ink)
    return canvas


def _gutter_text(canvas: Canvas, study: Passage, original: float, code: float, rebuilt: float) -> None:
    width = count(int(np.prod(study.sample_shape)), "number")
    for y, title, detail in (
        (original, "original", width),
        (code, "code", count(study.code_size, "number")),
        (rebuilt, "reconstruction", width),
    ):
        canvas.text(0, y - 8, title, size=12, color=canvas.theme.ink, ha="left", fontweight="bold")
        canvas.text(0, y + 9, detail, size=10.5, ha="left")
    for y, name in (((original + code) / 2, "encoder f"), ((code + rebuilt) / 2, "decoder g")):
        canvas.text(0, y, f"↓  {name}", size=10.5, ha="left")
    canvas.text(0, rebuilt + _LAND / 2 + 13, "squared error", size=10.5, ha="left")


def _land(canvas: Canvas, center: float, top: float, strip: float) -> None:
    """The outline of two lands and the isthmus between them."""
    wide, narrow, radius = _LAND / 2, _STRIP / 2, 9
    y1 = top + _LAND - radius
    y2 = top + _LAND + _NECK
    y3, y4, y5 = y2 + strip, y2 + strip + _NECK + radius, y2 + strip + _NECK + _LAND
    right = [
        (wide - radius, top), (wide, top), (wide, top + radius), (wide, y1),
        (wide, y1 + 0.62 * _NECK), (narrow, y2 - 0.72 * _NECK), (narrow, y2), (narrow, y3),
        (narrow, y3 + 0.72 * _NECK), (wide, y4 - 0.62 * _NECK), (wide, y4), (wide, y5 - radius),
        (wide, y5), (wide - radius, y5),
    ]  # fmt: skip
    vertices = [(center + x, y) for x, y in right] + [(center - x, y) for x, y in reversed(right)]
    curve, line, neck = int(Outline.CURVE3), int(Outline.LINETO), int(Outline.CURVE4)
    half = [curve, curve, line, neck, neck, neck, line, neck, neck, neck, line, curve, curve]
    canvas.shape(vertices, [int(Outline.MOVETO), *half, line, *half], canvas.theme.land)


def _draw_code(canvas: Canvas, deviations: np.ndarray, center: float, top: float, height: float) -> None:
    """A code as a strip of cells; the colour says on which side of the mean a number is, its strength how far."""
    cells = deviations[:_MOST_CELLS]
    width, step = _STRIP - 10, height / len(cells)
    gap = min(1.5, 0.15 * step)
    canvas.box(center - width / 2 - 1.5, top - 1.5, width + 3, height + 3, canvas.theme.paper, radius=3)
    visible = np.clip(np.abs(cells), 0.12, 2) * np.where(cells < 0, -1, 1)
    for i, color in enumerate(signed_alpha(visible, 2.0, canvas.theme)):
        canvas.box(center - width / 2, top + i * step + gap / 2, width, step - gap, color / 255, radius=2)


def _draw_sample(canvas: Canvas, study: Passage, sample: np.ndarray, x: float, y: float, size: float) -> None:
    if study.has_pictures:
        canvas.picture(x, y, size, pictures(study, sample[None])[0])
    else:
        draw_profile(canvas, study, sample, (x, y, size, size), canvas.theme.ink)


def draw_profile(
    canvas: Canvas,
    study: Passage,
    sample: np.ndarray,
    box: tuple[float, float, float, float],
    color: Any,
    *,
    width: float = 1.3,
) -> None:
    """A row of a table as bars around the columns' means, or a signal as a line, in a box (x, y, width, height)."""
    left, top, wide, tall = box
    rows = np.atleast_2d(sample)[:3]  # more channels than three cannot be told apart
    level = _level(rows, value_range(study))
    x = left + (np.arange(rows.shape[1]) + 0.5) / rows.shape[1] * wide
    if study.kind == "table" and rows.shape[1] <= _MOST_BARS:
        colors = list(np.where(rows[0] < 0, canvas.theme.cool, canvas.theme.warm))
        thickness = min(7.0, 0.7 * wide / rows.shape[1])
        canvas.stage.vlines(x, top + tall / 2, top + tall * (1 - level[0]), colors=colors, linewidth=thickness)
        canvas.stage.plot([left, left + wide], [top + tall / 2] * 2, color=canvas.theme.muted, linewidth=0.6)
        return
    for channel, row in enumerate(level):
        base = top + tall * (channel + 1) / len(level)
        canvas.stage.plot(x, base - row * tall / len(level), color=color, linewidth=width, solid_joinstyle="round")


def _level(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1)


def worst_and_best(study: Study) -> Plate | None:
    """The samples with the largest and the smallest errors, and where the errors lie."""
    few = min(6 if study.has_pictures else 4, len(study.errors) // 2)
    if few < 1 or not study.errors.any():
        return None
    order = np.argsort(study.errors, kind="stable")
    worst, best = order[::-1][:few], order[:few]
    ratio = study.errors[worst[0]] / max(study.metrics.mse, 1e-30)
    how = "orange marks where the reconstruction is too high, green where it is too low"
    if not study.has_pictures:
        how = "the thin line is the original, the thick one its reconstruction"
        if study.kind == "table":
            by = ", sorted by value" if study.originals.shape[1] > _MOST_BARS else ""
            how = f"dots are the columns of the original{by}, and a line leads from each to its reconstruction"
    caption = f"The sample that is rebuilt worst has {number(ratio)} times the mean error; {how}."
    draw = _extremes_in_pictures if study.has_pictures else _extremes_in_profiles
    return Plate("extremes", caption, lambda theme: draw(study, worst, best, theme), wide=True)


def _extremes_in_pictures(study: Study, worst: np.ndarray, best: np.ndarray, theme: Theme) -> Canvas:
    size, pitch, gutter, between, top = 68, 76, 94, 36, 50
    canvas = Canvas(gutter + 2 * pitch * len(worst) + between - 7, top + 3 * pitch + 12, theme)
    for row, title in enumerate(("original", "rebuilt", "difference")):
        canvas.text(0, top + row * pitch + size / 2, title, ha="left", color=theme.ink, size=12)
    for group, (title, chosen) in enumerate((("Worst", worst), ("Best", best))):
        left = gutter + group * (pitch * len(worst) + between)
        canvas.text(left, 10, title, ha="left", color=theme.ink, size=14, fontweight="bold")
        originals, rebuilt = study.originals[chosen], study.rebuilt[chosen]
        shown = (pictures(study, originals), pictures(study, rebuilt), _differences(originals, rebuilt, theme))
        for column, sample in enumerate(chosen):
            x = left + column * pitch
            canvas.text(x + size / 2, top - 13, _sample_name(study, sample), size=10.5)
            canvas.box(x, top + 2 * pitch, size, size, theme.paper, edge=theme.faint)
            for row, images in enumerate(shown):
                canvas.picture(x, top + row * pitch, size, images[column])
            canvas.text(x + size / 2, top + 3 * pitch + 2, number(study.errors[sample]), size=10.5)
    canvas.text(0, top + 3 * pitch + 2, "squared error", ha="left", size=10.5)
    return canvas


def _differences(originals: np.ndarray, rebuilt: np.ndarray, theme: Theme) -> np.ndarray:
    difference = (rebuilt - originals).mean(axis=1)  # (n, C, *spatial) -> (n, *spatial)
    if difference.ndim == 4:
        difference = difference[:, difference.shape[1] // 2]
    shrink = -(-max(difference.shape[1:]) // _MOST_PIXELS)
    return signed_alpha(difference[:, ::shrink, ::shrink], 0.5, theme)


def _extremes_in_profiles(study: Study, worst: np.ndarray, best: np.ndarray, theme: Theme) -> Canvas:
    width, height, pitch, top, gap = 236, 120, 252, 44, 66
    canvas = Canvas(pitch * max(2, len(worst)) - (pitch - width), top + 2 * height + gap + 4, theme)
    for row, (title, chosen) in enumerate((("Worst", worst), ("Best", best))):
        y = top + row * (height + gap)
        canvas.text(0, y - 32, title, ha="left", color=theme.ink, size=14, fontweight="bold")
        for column, sample in enumerate(chosen):
            x = column * pitch
            name = f"{_sample_name(study, sample)}  ·  squared error {number(study.errors[sample])}"
            canvas.text(x, y - 11, name, ha="left", size=10.5)
            canvas.box(x, y, width, height, theme.land, radius=6)
            box = (x + 8, y + 8, width - 16, height - 16)
            color = theme.warm if row == 0 else theme.cool
            if study.kind == "table":
                _draw_errors(canvas, study.originals[sample], study.rebuilt[sample], box, color)
            else:
                draw_profile(canvas, study, study.rebuilt[sample], box, color, width=3)
                draw_profile(canvas, study, study.originals[sample], box, theme.ink, width=1)
    return canvas


def _draw_errors(
    canvas: Canvas, original: np.ndarray, rebuilt: np.ndarray, box: tuple[float, float, float, float], color: str
) -> None:
    """The cells of a row as dots, with a line from each to its reconstruction."""
    left, top, wide, tall = box
    if len(original) > _MOST_BARS:  # neighbours in a wide table are strangers; sorted, the dots become a curve
        order = np.argsort(original, kind="stable")
        original, rebuilt = original[order], rebuilt[order]
    limit = max(3.0, float(np.abs(original).max()), float(np.abs(rebuilt).max()))
    x = left + (np.arange(len(original)) + 0.5) / len(original) * wide
    y, y_hat = (top + tall * (1 - _level(v, (-limit, limit))) for v in (original, rebuilt))
    canvas.stage.plot([left, left + wide], [top + tall / 2] * 2, color=canvas.theme.muted, linewidth=0.6)
    crowd = min(1.0, _MOST_BARS / len(original))
    canvas.stage.vlines(x, y, y_hat, colors=color, linewidth=max(1.0, 3 * crowd))
    canvas.stage.plot(x, y, "o", color=canvas.theme.ink, markersize=max(1.8, 3.4 * crowd), markeredgewidth=0)


def _sample_name(study: Study, sample: int) -> str:
    if study.classes is not None:
        return clipped(study.classes.names[study.classes.index[sample]], 11)
    return f"no. {sample}"
