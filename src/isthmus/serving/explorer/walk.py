"""A walk over the map: drawn by hand, decoded on the way, played in the browser."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, CustomJS
from bokeh.models.widgets.groups import RadioButtonGroup
from bokeh.models.widgets.sliders import Slider
from markupsafe import Markup

from isthmus.latent.space import LatentSpace
from isthmus.serving.explorer.atlas import Atlas
from isthmus.serving.explorer.cards import Style, as_html
from isthmus.serving.explorer.code_scatter import CodeScatter
from isthmus.serving.explorer.live import beside, outcome_of, script
from isthmus.serving.explorer.table_rows import TableViewer
from isthmus.serving.explorer.views import Viewer

_FRAMES = 48  # of a whole walk
_STRIP = 20  # of them in the film strip
_SIZE, _SMALL = 112, 40
_REACH = 8  # pixels within which a click takes a point
_MOST_LEGS = 6  # of a drawn line that is walked along geodesics
_HINT = "Choose “Draw a walk” above the map, then click from place to place or drag a line."
_EVENTS = ("tap", "doubletap", "press", "pressup", "mousemove", "panstart", "pan", "panend")
_PATHS = {"Straight": "straight", "Geodesic": "geodesic"}


@dataclass(frozen=True)
class Drawn:
    """Where a walk goes through: codes, and whether it was drawn as a line."""

    codes: np.ndarray
    dragged: bool


class Walk:
    """The card of the walk."""

    def __init__(
        self, atlas: Atlas, viewer: Viewer, scatter: CodeScatter, style: Style, on_error: Callable[[str], None]
    ) -> None:
        self._atlas, self._viewer, self._map, self._on_error = atlas, viewer, scatter, on_error
        self._drawn: Drawn | None = None
        self._number = 0
        self._busy = style.text("finding the way", "busy")
        self._busy.visible = False
        self._places = ColumnDataSource({"x": [], "y": [], "dragged": []})
        self._places.on_change("data", lambda attribute, old, new: self._draw(new))
        self._frames = ColumnDataSource({"html": [], "x": [], "y": []})
        self._picture, self._strip = style.text(kind="picture"), style.text(kind="strip small")
        self._hint(_HINT)
        self._picture.styles = {"--size": f"{_SIZE}px", "--height": f"{_SIZE}px"}
        self._kind = RadioButtonGroup(labels=list(_PATHS), active=0, stylesheets=[style.sheet])
        self._kind.on_change("active", lambda attribute, old, new: self._walk())
        self._kind.visible = isinstance(atlas.model, LatentSpace)  # it knows other ways than straight ones
        clear, play = style.button("Clear", width=70), style.button("▶ Play", width=90, disabled=True)
        position = Slider(
            start=0, end=1, value=0, step=1, show_value=False, width=150, disabled=True, stylesheets=[style.sheet]
        )
        player = CustomJS(
            args={
                "button": play,
                "position": position,
                "frames": self._frames,
                "picture": self._picture,
                "spot": scatter.spot,
            },
            code=script("play.js"),
        )
        play.js_on_event("button_click", player)
        position.js_on_change("value", player)
        self._frames.js_on_change("data", player)
        self._listen(clear)
        strip = style.box("film", style.box("bar", play, position, clear), self._strip, column=True)
        self.card = style.card("Walk", style.box("beside", self._picture, strip), beside=[self._busy, self._kind])

    def _listen(self, clear: Any) -> None:
        pen = CustomJS(
            args={
                "mode": self._map.mode,
                "pan": self._map.pan,
                "path": self._map.path,
                "drawn": self._places,
            },
            code=script("walk.js"),
        )
        self._map.mode.js_on_change("active", pen)
        clear.js_on_event("button_click", pen)
        for event in _EVENTS:
            self._map.figure.js_on_event(event, pen)

    def _draw(self, places: dict[str, Any]) -> None:
        """A walk was drawn: find its codes."""
        points = np.column_stack([places["x"], places["y"]]).astype(np.float32).reshape(-1, 2)
        if not len(points):
            self._drawn = None
        elif places["dragged"][0]:
            self._drawn = Drawn(self._atlas.plane.codes(points), True)
            self._map.path.data = {"x": [], "y": []}  # the walk itself is drawn in its place
        else:
            self._drawn = Drawn(np.stack([self._code_at(x, y) for x, y in points.tolist()]), False)
        self._walk()

    def _code_at(self, x: float, y: float) -> np.ndarray:
        """The code of the sample that was clicked at, or of the bare place."""
        nearest = self._atlas.nearest_on_map(x, y, self._map.units_per_pixel())
        if nearest and nearest[1] <= _REACH:
            code: np.ndarray = self._atlas.codes[nearest[0]]
        else:
            code = self._atlas.plane.codes(np.array([[x, y]]))[0]
        return code

    def _walk(self) -> None:
        """Decode the walk and play it."""
        self._number += 1
        drawn, number, path = self._drawn, self._number, list(_PATHS.values())[self._kind.active or 0]
        if drawn is None or len(drawn.codes) < 2:
            self._map.route.data = {"x": [], "y": []}
            self._frames.data = {"html": [], "x": [], "y": []}
            self._hint(_HINT if drawn is None else "Now click where it leads.")
            return

        def compute() -> Callable[[], None]:
            if number != self._number:  # another walk was drawn meanwhile
                return lambda: None
            return outcome_of(lambda: self._on_the_way(drawn, path), self._show, self._on_error)

        def show(outcome: Callable[[], None]) -> None:
            if number == self._number:
                self._busy.visible = False
                outcome()

        self._busy.visible = path == "geodesic"
        beside(self._places, compute, show)

    def _hint(self, text: str) -> None:
        self._strip.text = as_html(Markup("<p>{}</p>").format(text))

    def _on_the_way(self, drawn: Drawn, path: str) -> tuple[np.ndarray, np.ndarray]:
        """Codes along the walk, and the samples that they decode to."""
        if path == "straight":
            codes = evenly(drawn.codes, _FRAMES)
            return codes, self._atlas.decode(codes)
        stops = evenly(drawn.codes, _MOST_LEGS + 1) if drawn.dragged else drawn.codes
        steps, shape = max(4, _FRAMES // (len(stops) - 1)), self._atlas.model.code_shape_
        legs = [
            self._atlas.model.interpolate(a.reshape(shape), b.reshape(shape), steps=steps, path=path)
            for a, b in itertools.pairwise(stops)
        ]
        codes = np.concatenate([leg.codes.reshape(len(leg.codes), -1) for leg in legs])
        if isinstance(self._viewer, TableViewer):  # samples are data frames
            return codes, self._atlas.decode(codes)
        return codes, np.concatenate([leg.samples for leg in legs])

    def _show(self, way: tuple[np.ndarray, np.ndarray]) -> None:
        codes, samples = way
        x, y = (column.tolist() for column in self._atlas.plane.points(codes).T)
        self._map.route.data = {"x": x, "y": y}
        shown = np.linspace(0, len(codes) - 1, _STRIP).round().astype(int)
        small = [Markup("<figure>{}</figure>").format(self._viewer.thumbnail(samples[i], _SMALL)) for i in shown]
        self._strip.text = as_html(Markup("").join(small))
        self._frames.data = {"html": [str(self._viewer.thumbnail(s, _SIZE)) for s in samples], "x": x, "y": y}


def evenly(corners: np.ndarray, count: int) -> np.ndarray:
    """`count` places at equal steps along a broken line through its corners, array of shape (n, d)."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    wanted = np.linspace(0, lengths[-1], count)
    return np.column_stack([np.interp(wanted, lengths, column) for column in corners.T]).astype(np.float32)
