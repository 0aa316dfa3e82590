"""Samples as pieces of HTML: images as pictures, signals as lines, rows of a table as bars."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from isthmus.data.channels_last import channels_last, has_alpha
from isthmus.evaluation.theme import LIGHT, clipped, number, signed_alpha

_MOST_POINTS = 400  # of a line: more cannot be seen
_MOST_LINES = 3  # more channels than three cannot be told apart
_MOST_ROWS = 40  # columns of a table whose names and values are written out; more become bars
TALLEST = 420  # pixels of a row of a table; more columns scroll
_DEVIATIONS = 3.0  # of a column, at the ends of a bar
_LINES = (LIGHT.cool, LIGHT.warm, LIGHT.classes[4])


@dataclass(frozen=True)
class Viewer:
    """Samples of one kind as HTML.

    kind : "images", "volumes", "signals" or "table".
    axis : of the channels within a sample; None where there is none.
    low, high : the values shown as black and white, or at the bottom and the top of a line.
    center, spread : of a table's columns, arrays of shape (columns,). names : what they are called.
    """

    kind: str
    axis: int | None
    low: float
    high: float
    center: np.ndarray
    spread: np.ndarray
    names: Sequence[str] = ()

    @classmethod
    def of(cls, some: Sequence[np.ndarray], axis: int | None, *, table: bool, names: Sequence[str] = ()) -> Viewer:
        """A viewer of samples like these; their values tell the range where the dtype does not."""
        first = np.asarray(some[0])
        spatial = first.ndim - (axis is not None)
        kind = "table" if table else {1: "signals", 2: "images"}.get(spatial, "volumes")
        center, spread = np.zeros(0), np.zeros(0)
        if table:
            values = np.asarray(some, np.float64)
            center, spread = values.mean(0), np.maximum(values.std(0), 1e-12)
            names = names or [f"column {i}" for i in range(len(first))]
        low, high = _range(first.dtype, np.concatenate([np.ravel(sample) for sample in some]), kind)
        return cls(kind, axis, low, high, center, spread, tuple(names))

    def picture(self, sample: np.ndarray, size: int) -> Markup:
        """A sample large, at most `size` pixels wide and high; a row of a table with names and values."""
        if self.kind == "table":
            wide = len(self.center) > _MOST_ROWS
            return self._bars(sample, size, self.height(size)) if wide else self._rows(sample, size)
        return (
            self.line(sample, size, self.height(size)) if self.kind == "signals" else image(self.pixels(sample), size)
        )

    def height(self, width: int) -> int:
        """How high a large picture of that width is."""
        wide = self.kind == "signals" or (self.kind == "table" and len(self.center) > _MOST_ROWS)
        return width * 5 // 8 if wide else width

    def thumbnail(self, sample: np.ndarray, size: int) -> Markup:
        """A sample small, in a square of `size` pixels."""
        if self.kind == "table":
            return self._bars(sample, size, size)
        return self.line(sample, size, size) if self.kind == "signals" else image(self.pixels(sample), size)

    def difference(self, a: np.ndarray, b: np.ndarray, size: int) -> Markup:
        """a - b: orange where it is above 0, green where it is below; half the range is the full colour."""
        change = np.subtract(a, b, dtype=np.float64)
        if self.kind in ("signals", "table"):
            return self.line(change + (self.high + self.low) / 2, size, self.height(size))
        mean = self._slice(channels_last(change, self.axis)).mean(-1)
        return image(signed_alpha(mean, (self.high - self.low) / 2, LIGHT), size)

    @property
    def of_differences(self) -> str:
        """What the colours of a difference say."""
        return "orange above 0, green below" if self.kind in ("images", "volumes") else "the line in the middle is 0"

    def pixels(self, sample: np.ndarray) -> np.ndarray:
        """An image as uint8 (height, width[, 3]); of a volume the middle slice."""
        plane = self._slice(channels_last(np.asarray(sample), self.axis))
        plane = plane[..., :3] if plane.shape[-1] == 3 or has_alpha(plane) else plane[..., 0]
        share = (plane.astype(np.float32) - self.low) / (self.high - self.low)
        pixels: np.ndarray = (np.clip(np.nan_to_num(share), 0, 1) * 255).round().astype(np.uint8)
        return pixels

    def _slice(self, plane: np.ndarray) -> np.ndarray:
        """(*spatial, channels) -> (height, width, channels)."""
        while plane.ndim > 3:
            plane = plane[len(plane) // 2]
        return plane

    def line(self, sample: np.ndarray, width: int, height: int, mark: float | None = None) -> Markup:
        """A signal, at most three channels of it. mark : a place on it to point at, from 0 to 1."""
        rows = np.atleast_2d(channels_last(np.asarray(sample), self.axis).T)[:_MOST_LINES]  # (length, C) -> (C, length)
        rows = rows[:, :: max(1, -(-rows.shape[1] // _MOST_POINTS))].astype(np.float64)
        y = 3 + (height - 6) * (1 - np.clip((rows - self.low) / (self.high - self.low), 0, 1))
        x = np.linspace(3, width - 3, rows.shape[1])
        line = Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="1.5" stroke-linejoin="round"/>')
        lines = (
            line.format(" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, row, strict=True)), color)
            for row, color in zip(y, _LINES, strict=False)
        )
        if mark is None:
            return _svg(width, height, lines)
        stroke = Markup('<rect x="{:.1f}" y="0" width="2" height="{}" fill="{}" opacity="0.35"/>')
        return _svg(width, height, [stroke.format(2 + mark * (width - 6), height, LIGHT.warm), *lines])

    def _bars(self, sample: np.ndarray, width: int, height: int) -> Markup:
        """A row as bars around the columns' means."""
        step, middle = width / len(self.center), height / 2
        bar = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>')
        bars = (
            bar.format(
                (i + 0.15) * step, middle - max(level, 0) * middle, 0.7 * step, max(abs(level) * middle, 0.5),
                _color(level),
            )
            for i, level in enumerate(self._levels(sample))
        )  # fmt: skip
        return _svg(width, height, bars)

    def _rows(self, sample: np.ndarray, size: int) -> Markup:
        """A row as a table: name, bar and value."""
        cells = zip(self.names, self._levels(sample), np.asarray(sample).tolist(), strict=True)
        row = Markup('<tr><th>{}</th><td><i style="left:{:.1f}%;width:{:.1f}%;background:{}"></i></td><td>{}</td></tr>')
        lines = (
            row.format(clipped(name, 24), 50 + min(level, 0) * 50, abs(level) * 50, _color(level), number(float(value)))
            for name, level, value in cells
        )
        table = Markup('<div class="row" style="width:{}px;max-height:{}px"><table>{}</table></div>')
        return table.format(size, TALLEST, Markup("").join(lines))

    def _levels(self, sample: np.ndarray) -> list[float]:
        levels = (np.asarray(sample, np.float64) - self.center) / self.spread / _DEVIATIONS
        clipped: list[float] = np.clip(np.nan_to_num(levels), -1, 1).tolist()
        return clipped


def _range(dtype: np.dtype, values: np.ndarray, kind: str) -> tuple[float, float]:
    """The values at both ends of what is shown."""
    if dtype.kind == "b" or (dtype.kind == "u" and kind != "signals"):
        return 0.0, 1.0 if dtype.kind == "b" else float(np.iinfo(dtype).max)
    low, high = (float(v) for v in np.quantile(values.astype(np.float64), (0.001, 0.999)))
    if kind in ("images", "volumes") and low >= -0.05 and high <= 1.05:
        return 0.0, 1.0
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def image(pixels: np.ndarray, size: int) -> Markup:
    """uint8 (height, width[, channels]) as an <img> that fills a square; small ones keep their pixels."""
    from PIL import Image

    shrink = max(1, math.ceil(max(pixels.shape[:2]) / (2 * size)))  # two pixels for each of the page: sharp displays
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.reduce(shrink) if shrink > 1 else picture).save(buffer, "PNG", compress_level=1)
    height, width = (max(1, round(size * side / max(pixels.shape[:2]))) for side in pixels.shape[:2])
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    kind = "pixels" if max(pixels.shape[:2]) < size else "photo"
    image = Markup('<img class="{}" alt="" decoding="sync" width="{}" height="{}" src="data:image/png;base64,{}">')
    return image.format(kind, width, height, data)


def _svg(width: int, height: int, shapes: Iterable[Markup]) -> Markup:
    drawing = Markup('<svg class="drawing" width="{0}" height="{1}" viewBox="0 0 {0} {1}">{2}</svg>')
    return drawing.format(width, height, Markup("").join(shapes))


def _color(level: float) -> str:
    """Of a bar: below or above the mean."""
    return LIGHT.cool if level < 0 else LIGHT.warm
