"""How figures look: a canvas measured in pixels, and the ways out as PNG and SVG; the colours are those of `theme`.

A figure is drawn once for each theme. The SVG for the report is the light one with its colours replaced by the page's
CSS variables, so that one drawing follows the reader's colour scheme and stays sharp on a phone and on paper.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Outline

from isthmus.evaluation.theme import DARK, LIGHT, Theme, theme_colors

_FONTS = ("Inter", "Helvetica Neue", "Helvetica", "Segoe UI", "Arial", "Liberation Sans", "DejaVu Sans")
_PIXELS = 72  # of a figure per inch: one point of type is one pixel


@dataclass(frozen=True)
class Plate:
    """A figure of the report: its file's name, a sentence that says what to see, and how it is drawn.

    width : pixels at which it is drawn; wide ones take the whole page, the others half of it.
    """

    name: str
    caption: str
    draw: Callable[[Theme], Canvas]
    wide: bool = False


@dataclass(frozen=True)
class Print:
    """A rendered plate: PNG bytes for light and dark pages (transparent), an SVG element, and its width in pixels."""

    plate: Plate
    light: bytes
    dark: bytes
    svg: Markup
    width: float


def render(plate: Plate) -> Print:
    """Draw a plate in every way that is needed."""
    with _style():
        light, dark = plate.draw(LIGHT), plate.draw(DARK)
        svg = _svg(light.figure, plate.name)
        return Print(plate, _png(light.figure), _png(dark.figure), svg, light.width)


def poster(draw: Callable[[Theme], Canvas], theme: Theme) -> bytes:
    """PNG bytes of a figure that stands alone: on its theme's paper."""
    with _style():
        buffer = io.BytesIO()
        standing_alone(draw, theme).savefig(buffer, format="png", dpi=2 * _PIXELS, metadata={"Software": None})
        return buffer.getvalue()


def standing_alone(draw: Callable[[Theme], Canvas], theme: Theme) -> Figure:
    """A figure on its theme's paper, as Matplotlib's own."""
    with _style():
        figure = draw(theme).figure
        figure.set_facecolor(theme.paper)
        return figure


class _Figure(Figure):
    """A figure that a notebook shows whether or not pyplot was imported there."""

    def _repr_png_(self) -> tuple[bytes, dict[str, float]]:
        with _style():
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=2 * _PIXELS)
        width, height = (_PIXELS * inches for inches in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}


class Canvas:
    """A figure measured in pixels from the top left corner."""

    def __init__(self, width: float, height: float, theme: Theme) -> None:
        self.width, self.height, self.theme = width, height, theme
        self.figure = _Figure(figsize=(width / _PIXELS, height / _PIXELS), dpi=_PIXELS, facecolor="none")
        self.stage = self.figure.add_axes((0, 0, 1, 1), frameon=False)
        self.stage.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], autoscale_on=False)

    def chart(self, left: float, top: float, width: float, height: float, *, grid: str = "y") -> Axes:
        """Axes in the house style: no frame, a faint grid."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box, facecolor="none")
        axes.spines[:].set_visible(False)
        axes.tick_params(which="both", length=0, colors=self.theme.muted, labelsize=10.5, pad=5)
        axes.set_axisbelow(True)
        if grid:
            axes.grid(axis=grid, color=self.theme.faint, linewidth=0.8)  # type: ignore[arg-type]
        return axes

    def text(self, x: float, y: float, text: str, *, size: float = 11, color: str = "", **style: object) -> None:
        """Plain text, never read as a formula, at a place on the canvas."""
        color = color or self.theme.muted
        style = {"va": "center", "ha": "center", **style}
        self.stage.text(x, y, text, fontsize=size, color=color, parse_math=False, **style)  # type: ignore[arg-type]

    def picture(self, x: float, y: float, size: float, pixels: np.ndarray, *, radius: float = 3) -> None:
        """An image, uint8 (H, W, 3 or 4), as large as fits into a square with its corner at (x, y)."""
        height, width = (size * side / max(pixels.shape[:2]) for side in pixels.shape[:2])
        left, top = x + (size - width) / 2, y + (size - height) / 2
        extent = (left, left + width, top + height, top)
        image = self.stage.imshow(pixels, extent=extent, aspect="auto", interpolation="none", zorder=3)
        corners = f"round,pad=0,rounding_size={radius}"
        image.set_clip_path(
            FancyBboxPatch((left, top), width, height, boxstyle=corners, transform=self.stage.transData)
        )

    def box(
        self, x: float, y: float, width: float, height: float, color: Any, *, radius: float = 3, edge: str = "none"
    ) -> None:
        """A filled rectangle with round corners."""
        corners = f"round,pad=0,rounding_size={min(radius, width / 2, height / 2)}"
        self.stage.add_patch(
            FancyBboxPatch((x, y), width, height, boxstyle=corners, facecolor=color, edgecolor=edge, linewidth=0.8)
        )

    def shape(self, vertices: Sequence[tuple[float, float]], codes: Sequence[int], color: str) -> None:
        """A filled outline."""
        self.stage.add_patch(PathPatch(Outline(vertices, codes), facecolor=color, edgecolor="none"))


@contextmanager
def _style() -> Iterator[None]:
    """Matplotlib's defaults with our type, whatever the user has set; put back afterwards."""
    installed = set(get_font_names())
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # the browser has more fonts
        matplotlib.rcdefaults()
        fonts = [font for font in _FONTS if font in installed]
        matplotlib.rcParams.update(
            {"font.family": fonts, "svg.fonttype": "none", "image.composite_image": False, "axes.unicode_minus": True}
        )
        yield


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=2 * _PIXELS, transparent=True, metadata={"Software": None})
    return buffer.getvalue()


def _svg(figure: Figure, name: str) -> Markup:
    """An <svg> element for an HTML page: ids of its own, the page's colours and type, no references outside."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'(<svg)[^>]*?(viewBox="[^"]*")[^>]*>', r"\1 \2>", text, count=1)
    text = text.replace("xlink:href", "href")
    text = re.sub(r" font-family: [^;\"]*;", "", text)  # inherited from the page
    text = re.sub(r"(font-size: |font: (?:\w+ )?)([\d.]+px)", r"\1calc(\2 * var(--type, 1))", text)  # larger on a phone
    text = re.sub(r' transform="rotate\(-?0 [^"]*"', "", text)
    for purpose, color in theme_colors(LIGHT).items():
        text = text.replace(color, f"var(--{purpose})")
    return Markup(re.sub(r"\n\s*", "\n", text).strip())  # Matplotlib escapes text
