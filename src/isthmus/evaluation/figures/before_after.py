"""Samples before and after, side by side: images at full size, signals as lines, and what was taken away."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.evaluation.figures.style import Canvas, poster
from isthmus.evaluation.theme import LIGHT, Theme, clipped, number, signed_alpha
from isthmus.files import atomic_path

_SIDE = 240  # pixels of a tile, and of the part of an image that it shows at full size
_GAP, _MARGIN, _TOP, _HEAD, _BELOW = 12, 24, 92, 30, 22
_WIDTH = 2 * _MARGIN + 4 * _SIDE + 3 * _GAP
_LINE, _REST = 96, 44  # pixels of a signal's channel, and of what was taken away from it
_MOST_CHANNELS, _MOST_STEPS = 3, 600
_CONTRAST = 4.0  # of what was taken away: a quarter of the range has the full colour


@dataclass(frozen=True)
class Example:
    """A sample before and after.

    before, after : the middle of an image (height, width[, 3]), or of a signal (length, channels).
    whole : a small picture of the image before, where its middle is not all of it. frame : where the middle lies in it,
    as shares: left, top, width, height. taken : standard deviation of what was taken away, in the sample's units.
    """

    name: str
    before: np.ndarray
    after: np.ndarray
    signal: bool
    whole: np.ndarray | None
    frame: tuple[float, float, float, float]
    taken: float


def example(name: str, before: np.ndarray, after: np.ndarray, *, signal: bool = False) -> Example:
    """What is shown of an image (height, width[, channels]), volume with channels, or signal (length[, channels])."""
    taken = float(np.nanstd(before.astype(np.float64) - after))
    if signal:
        cut = _span(len(before), _MOST_STEPS)
        parts = [np.array(x[cut].reshape(cut.stop - cut.start, -1)[:, :_MOST_CHANNELS]) for x in (before, after)]
        return Example(name, parts[0], parts[1], True, None, (0, 0, 1, 1), taken)
    planes = [_plane(np.asarray(x)) for x in (before, after)]
    height, width = planes[0].shape[:2]
    rows, columns = _span(height, _SIDE), _span(width, _SIDE)
    parts = [plane[rows, columns].copy() for plane in planes]
    step = max(1, -(-max(height, width) // (2 * _SIDE)))
    whole = planes[0][::step, ::step].copy() if max(height, width) > _SIDE else None
    frame = (columns.start / width, rows.start / height, parts[0].shape[1] / width, parts[0].shape[0] / height)
    return Example(name, parts[0], parts[1], False, whole, frame, taken)


def before_after(examples: Sequence[Example], path: Path, noise: str) -> None:
    """A picture file with a row for each sample. noise : what the denoiser takes for noise, in words."""
    from PIL import Image

    png = poster(lambda theme: _draw(examples, noise, theme), LIGHT)
    with atomic_path(path) as temporary, Image.open(io.BytesIO(png)) as sheet:
        sheet.convert("RGB").save(temporary)


def _draw(examples: Sequence[Example], noise: str, theme: Theme) -> Canvas:
    heights = [_height(one) for one in examples]
    canvas = Canvas(_WIDTH, _TOP + sum(heights) + _MARGIN, theme)
    canvas.text(_MARGIN, 34, "Before and after", ha="left", size=21, color=theme.ink, fontweight="bold")
    taken = "what was taken away: orange above 0, green below"
    canvas.text(_MARGIN, 62, f"noise {noise}  ·  {taken}, contrast × {_CONTRAST:g}", ha="left", size=12.5)
    top = float(_TOP)
    for one, height in zip(examples, heights, strict=True):
        canvas.text(_MARGIN, top + 8, clipped(one.name, 70), ha="left", size=13, color=theme.ink, fontweight="bold")
        lines = "before thin, after thick  ·  " if one.signal else ""
        said = f"{lines}taken away: standard deviation {number(one.taken)}"
        canvas.text(_WIDTH - _MARGIN, top + 8, said, ha="right", size=11.5)
        (_signal if one.signal else _image)(canvas, one, top + _HEAD)
        top += height
    return canvas


def _height(one: Example) -> float:
    tall = one.before.shape[1] * (_LINE + _REST + 2 * _GAP) if one.signal else _SIDE + _BELOW
    return _HEAD + tall + _GAP


def _image(canvas: Canvas, one: Example, top: float) -> None:
    low, high = _range(one.before)
    lost = one.before.astype(np.float64) - one.after
    lost = lost.mean(axis=-1) if lost.ndim == 3 else lost
    tiles = [("before", _pixels(one.before, low, high)), ("after", _pixels(one.after, low, high))]
    tiles.append(("taken away", signed_alpha(lost, (high - low) / _CONTRAST, canvas.theme)))
    if one.whole is not None:
        tiles = [(f"{name}, the part at full size", pixels) for name, pixels in tiles]
        tiles.insert(0, ("whole, before", _pixels(one.whole, low, high)))
    for column, (title, pixels) in enumerate(tiles):
        left = _MARGIN + column * (_SIDE + _GAP)
        canvas.box(left, top, _SIDE, _SIDE, canvas.theme.paper, edge=canvas.theme.faint)
        canvas.picture(left, top, _SIDE, pixels)
        canvas.text(left, top + _SIDE + 11, title, ha="left", size=11)
    if one.whole is not None:
        _framed(canvas, one, top)


def _framed(canvas: Canvas, one: Example, top: float) -> None:
    """Mark on the whole image what the other tiles show."""
    assert one.whole is not None
    height, width = (_SIDE * side / max(one.whole.shape[:2]) for side in one.whole.shape[:2])
    left, up, wide, tall = one.frame
    x, y = _MARGIN + (_SIDE - width) / 2 + left * width, top + (_SIDE - height) / 2 + up * height
    corners = [(x, y), (x + wide * width, y), (x + wide * width, y + tall * height), (x, y + tall * height), (x, y)]
    for color, stroke in ((canvas.theme.paper, 3.5), (canvas.theme.warm, 1.5)):
        canvas.stage.plot(*zip(*corners, strict=True), color=color, linewidth=stroke, zorder=4)


def _signal(canvas: Canvas, one: Example, top: float) -> None:
    x = np.linspace(_MARGIN + 8, _WIDTH - _MARGIN - 8, len(one.before))
    theme = canvas.theme
    for before, after in zip(one.before.T.astype(np.float64), one.after.T.astype(np.float64), strict=True):
        low, high = float(np.nanmin(before)), float(np.nanmax(before))
        reach = (high - low) or 1.0
        canvas.box(_MARGIN, top, _WIDTH - 2 * _MARGIN, _LINE, theme.land, radius=6)
        for values, color, stroke in ((before, theme.muted, 0.8), (after, theme.cool, 1.8)):
            y = top + _LINE - 6 - (_LINE - 12) * ((values - low) / reach).clip(0, 1)
            canvas.stage.plot(x, y, color=color, linewidth=stroke, solid_joinstyle="round", zorder=3)
        top += _LINE + _GAP
        middle = top + _REST / 2
        canvas.stage.plot([x[0], x[-1]], [middle] * 2, color=theme.faint, linewidth=0.8)
        lost = (_CONTRAST * (before - after) / reach).clip(-1, 1)
        canvas.stage.plot(x, middle - lost * _REST / 2, color=theme.warm, linewidth=0.8, zorder=3)
        canvas.text(_WIDTH - _MARGIN - 10, top + 6, "taken away", ha="right", size=10.5)
        top += _REST + _GAP


def _span(length: int, most: int) -> slice:
    start = max(0, (length - most) // 2)
    return slice(start, min(length, start + most))


def _plane(image: np.ndarray) -> np.ndarray:
    """Grey (height, width) or colour (height, width, 3); of a volume with channels, its middle slice."""
    while image.ndim > 3:
        image = image[len(image) // 2]
    if image.ndim < 3:
        return image
    return image[..., :3] if image.shape[-1] in (3, 4) else image[..., 0]


def _pixels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """As uint8 (height, width, 3)."""
    share = np.nan_to_num((values.astype(np.float64) - low) / (high - low)).clip(0, 1)
    pixels = (255 * share + 0.5).astype(np.uint8)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)


def _range(before: np.ndarray) -> tuple[float, float]:
    if before.dtype == np.uint8:
        return 0.0, 255.0
    low, high = (float(v) for v in np.nanpercentile(before, (0.5, 99.5)))
    return (low, high) if high > low else (low, low + 1.0)
