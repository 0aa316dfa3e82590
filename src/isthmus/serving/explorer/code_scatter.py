"""The map of a page: codes as points, where one stands, and the walk."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, CustomJS, InlineStyleSheet, LinearColorMapper, PanTool
from bokeh.models.annotations.legends import Legend, LegendItem
from bokeh.models.widgets.groups import RadioButtonGroup
from bokeh.models.widgets.inputs import Select

from isthmus.data.table_source import TableSource
from isthmus.evaluation.theme import LIGHT, Theme, clipped
from isthmus.serving.explorer.atlas import Atlas
from isthmus.serving.explorer.labelled_data import LabelledData
from isthmus.serving.explorer.plot import FONT, follow_theme, pixels, plot, point_style
from isthmus.serving.explorer.table_rows import Coloring, palette

_COLORED = 10  # classes with a colour of their own
_MORE = 1.3  # times as many points are worth drawing all of them again
_HIDE = """
const palette = mapper.palette.slice()
const color = cb_obj.glyph.fill_color.value
classes.forEach((one) => { palette[one] = cb_obj.visible ? color : "rgba(0, 0, 0, 0)" })
mapper.palette = palette
"""


class CodeScatter:
    """A figure with up to 70,000 points.

    mode : buttons, look around or draw a walk. path : the places that a walk is drawn through; route : the walk itself;
    spot : where it is being played.
    """

    def __init__(self, atlas: Atlas, style: InlineStyleSheet, theme: Theme = LIGHT) -> None:
        self._atlas, self._theme, self._shown = atlas, theme, 0
        self.mode = RadioButtonGroup(labels=["Look around", "Draw a walk"], active=0, stylesheets=[style])
        self.pan = PanTool()
        plane = atlas.plane
        x_ends, y_ends = ((float(plane.low[i]), float(plane.high[i])) for i in (0, 1))
        labels = plane.names[0], plane.names[1]
        self.figure = plot(x_ends, y_ends, labels, len(atlas), style, theme, pan=self.pan)
        self._slots: np.ndarray | None = None  # of a table's rows, in the palette
        self._items: list[LegendItem] = []
        self.choosers: list[Select] = []
        self._points = ColumnDataSource({"x": np.zeros(0, np.float32), "y": np.zeros(0, np.float32), "class": []})
        self._add_points(atlas.samples)
        if isinstance(atlas.samples.data, TableSource):
            self._add_chooser(atlas.samples.data, atlas.samples, style)
        self.path, self.route, self.spot, self._here = (ColumnDataSource({"x": [], "y": []}) for _ in range(4))
        self._add_walk()
        follow_theme(self.figure, theme)
        self.update()

    def color_by(self, coloring: Coloring) -> None:
        """Colour the points anew; the palette stays as it is, and so follows the browser's theme."""
        self._slots = coloring.slots
        order = self._atlas.order[: self._shown]
        self._points.data = {**self._points.data, "class": self._slots[order].astype(np.float32)}
        for slot, item in enumerate(self._items):
            item.visible = slot in coloring.names
            item.label = {"value": coloring.names.get(slot, "")}

    def update(self) -> bool:
        """Show the codes that have become ready; returns whether these were the last."""
        ready, done = self._atlas.ready, self._atlas.done
        if ready > self._shown * (1 if done else _MORE):
            new = slice(self._shown, ready)
            classes = self._atlas.samples.classes if self._slots is None else self._slots
            index = np.zeros(ready - self._shown) if classes is None else classes[self._atlas.order[new]]
            x, y = self._atlas.points[new].T
            self._points.stream({"x": x.copy(), "y": y.copy(), "class": index.astype(np.float32)})
            self._shown = ready
        return done

    def _add_chooser(self, table: TableSource, samples: LabelledData, style: InlineStyleSheet) -> None:
        """What the points are coloured by: the labels, or any column."""
        values = table.take(np.arange(len(table)))
        columns = {column.name: j for j, column in enumerate(table.schema.used)}
        labels = [] if samples.classes is None else ["(label)"]

        def coloring(name: str) -> Coloring:
            if labels and name == labels[0]:
                assert samples.classes is not None
                return Coloring.of_classes(samples.classes, samples.names)
            j = columns[name]
            return Coloring.of_column(table.schema.used[j], values[:, j])

        options: list[Any] = [*labels, *columns]
        first = next((c.name for c in table.schema.used if c.is_category), options[0]) if not labels else labels[0]
        chooser = Select(options=options, value=first, width=170, stylesheets=[style])
        chooser.on_change("value", lambda attribute, old, new: self.color_by(coloring(new)))
        self.choosers.append(chooser)
        self.color_by(coloring(first))

    def stand(self, place: tuple[float, float]) -> None:
        """Mark the place that was chosen."""
        self._here.data = {"x": [place[0]], "y": [place[1]]}

    def units_per_pixel(self) -> tuple[float, float]:
        """How much of the map one pixel of the screen is."""
        x, y = self.figure.x_range, self.figure.y_range
        width, height = pixels(self.figure)
        return abs(x.end - x.start) / width, abs(y.end - y.start) / height

    def _add_points(self, samples: LabelledData) -> None:
        color: Any = self._theme.cool
        if isinstance(samples.data, TableSource):
            colors = palette(self._theme)
            mapper = LinearColorMapper(palette=colors, low=-0.5, high=len(colors) - 0.5)
            color = {"field": "class", "transform": mapper}
            entries = [("", slot_color, [slot]) for slot, slot_color in enumerate(colors)]
            self._add_legend(entries, mapper)
        elif samples.classes is not None:
            colors = _class_colors(samples, self._theme)
            mapper = LinearColorMapper(palette=colors, low=-0.5, high=len(colors) - 0.5)
            color = {"field": "class", "transform": mapper}
            self._add_legend(_entries(samples, colors, self._theme), mapper)
        look = point_style(len(self._atlas))
        self.figure.scatter("x", "y", source=self._points, color=color, line_color=None, name="points", **look)

    def _add_legend(self, entries: list[tuple[str, str, list[int]]], mapper: LinearColorMapper) -> None:
        """A name, a colour and the classes that have it; a click hides their points."""
        items = self._items
        for name, color, classes in entries:
            dot = self.figure.scatter([np.nan], [np.nan], size=10, color=color, line_color=None)
            arguments = {"mapper": mapper, "classes": classes}
            dot.js_on_change("visible", CustomJS(args=arguments, code=_HIDE))
            items.append(LegendItem(label={"value": clipped(name, 18) if name else ""}, renderers=[dot]))
        legend = Legend(
            items=items,
            click_policy="hide",
            border_line_color=None,
            background_fill_color=None,
            label_text_color=self._theme.ink,
            label_text_font_size="13px",
            label_text_font=FONT,
            inactive_fill_color=self._theme.paper,
            inactive_fill_alpha=0.7,
            spacing=2,
            margin=4,
        )
        self.figure.add_layout(legend, "right")

    def _add_walk(self) -> None:
        """What moves is drawn over the points, so that these are not drawn again with every step."""
        ink, paper, warm, level = self._theme.ink, self._theme.paper, self._theme.warm, "overlay"
        line, scatter = self.figure.line, self.figure.scatter
        line("x", "y", source=self.path, level=level, line_color=ink, line_alpha=0.6, line_dash=[4, 4])
        line("x", "y", source=self.route, level=level, line_color=paper, line_width=7, line_alpha=0.9)
        line("x", "y", source=self.route, level=level, line_color=ink, line_width=2.5)
        scatter("x", "y", source=self.path, level=level, size=7, color=paper, line_color=ink, line_width=1.5)
        for width, color in ((6, paper), (2.5, ink)):
            ring = {"size": 18, "fill_color": None, "line_color": color, "line_width": width}
            scatter("x", "y", source=self._here, level=level, **ring)
        scatter("x", "y", source=self.spot, level=level, size=13, color=warm, line_color=paper, line_width=2)


def _entries(samples: LabelledData, colors: list[str], theme: Theme) -> list[tuple[str, str, list[int]]]:
    """One for each class with a colour of its own, and one for all others."""
    entries: dict[str, list[int]] = {}
    for index, name in enumerate(samples.names):
        entries.setdefault("others" if colors[index] == theme.muted else name, []).append(index)
    return [(name, colors[classes[0]], classes) for name, classes in entries.items()]


def _class_colors(samples: LabelledData, theme: Theme) -> list[str]:
    """The largest classes have a colour of their own."""
    assert samples.classes is not None
    largest = np.sort(np.argsort(-np.bincount(samples.classes), kind="stable")[:_COLORED])
    colors = [theme.muted] * len(samples.names)
    for index, color in zip(largest, theme.classes, strict=False):
        colors[index] = color
    return colors
