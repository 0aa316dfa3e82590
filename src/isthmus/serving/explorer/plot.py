"""The figure that pages draw points in: the house's colours, which follow the browser's."""

from __future__ import annotations

from typing import Any, Literal

from bokeh.core.property.descriptors import UnsetValueError
from bokeh.models import CustomJS, InlineStyleSheet, PanTool, Range1d, ResetTool, WheelZoomTool
from bokeh.plotting import figure

from isthmus.evaluation.theme import DARK, LIGHT, Theme, theme_colors
from isthmus.serving.explorer.cards import served
from isthmus.serving.explorer.live import script

FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Liberation Sans", sans-serif'  # the reports' own
FEW_POINTS = 5_000  # which are drawn faster without a graphics card
_USUAL_SIZE = 600  # pixels of a figure's sides


def plot(
    x_ends: tuple[float, float],
    y_ends: tuple[float, float],
    labels: tuple[str, str],
    points: int,
    style: InlineStyleSheet,
    theme: Theme = LIGHT,
    *,
    pan: PanTool | None = None,
    y_scale: Literal["linear", "log"] = "linear",
) -> Any:
    """An empty figure. labels : of both axes. points : how many there will be. y_scale : "linear" or "log"."""
    zoom = WheelZoomTool()
    made = figure(
        x_range=Range1d(start=x_ends[0], end=x_ends[1]),
        y_range=Range1d(start=y_ends[0], end=y_ends[1]),
        x_axis_label=labels[0],
        y_axis_label=labels[1],
        y_axis_type=y_scale,
        tools=[pan or PanTool(), zoom, ResetTool()],
        active_scroll=zoom,
        output_backend="webgl" if points > FEW_POINTS else "canvas",
        sizing_mode="stretch_both",
        min_height=420,
        background_fill_color=theme.paper,
        border_fill_color=None,  # the card's own: a margin that is painted ends in a line where themes change
        outline_line_color=theme.faint,
        toolbar_location=None,
        stylesheets=[style],
        css_classes=["figure"],
    )
    made.grid.grid_line_color = theme.faint
    made.grid.grid_line_alpha = 0.6
    made.axis.axis_line_color = made.axis.major_tick_line_color = made.axis.minor_tick_line_color = None
    made.axis.major_label_text_color = made.axis.axis_label_text_color = theme.muted
    made.axis.axis_label_text_font_style = "normal"
    made.axis.axis_label_text_font_size = made.axis.major_label_text_font_size = "12px"
    made.axis.axis_label_text_font = made.axis.major_label_text_font = FONT
    return made


def point_style(points: int) -> dict[str, float]:
    """Size and strength of points, by how many there are."""
    size, alpha = (7, 0.8) if points <= 2_000 else (4.5, 0.6) if points <= 15_000 else (3, 0.5)
    return {"size": size, "alpha": alpha}


def follow_theme(made: Any, theme: Theme = LIGHT) -> None:
    """Make a figure dark where the browser is; all that it draws must be in it already."""
    if served():
        pairs = list(zip(theme_colors(theme).values(), theme_colors(DARK).values(), strict=True))
        colors = CustomJS(args={"figure": made, "pairs": pairs}, code=script("colors.js"))
        made.js_on_change("inner_width", colors)  # which the browser sets when it has made the figure


def pixels(made: Any) -> tuple[int, int]:
    """Width and height of what a figure draws in, as the browser has laid it out."""

    def of(name: str) -> int:
        try:
            return getattr(made, name) or _USUAL_SIZE
        except UnsetValueError:  # only a browser sets these
            return _USUAL_SIZE

    return of("inner_width"), of("inner_height")
