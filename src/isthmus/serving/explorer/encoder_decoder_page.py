"""The page of a model with a code: the map, what is decoded at a place, neighbours, walks and samples of one's own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import panel as pn
from bokeh.models.widgets.sliders import Slider
from markupsafe import Markup

from isthmus.data.units import check_dropped
from isthmus.evaluation.theme import number
from isthmus.serving.explorer.atlas import Atlas
from isthmus.serving.explorer.cards import Chooser, Picture, Style, as_html, on_event
from isthmus.serving.explorer.code_scatter import CodeScatter
from isthmus.serving.explorer.dropped_file import fitted
from isthmus.serving.explorer.labelled_data import as_source
from isthmus.serving.explorer.live import Newest
from isthmus.serving.explorer.table_rows import TableViewer, table_of_rows
from isthmus.serving.explorer.views import TALLEST, Viewer
from isthmus.serving.explorer.walk import Walk

_LARGE, _MEDIUM, _SMALL = 208, 176, 52  # pixels of a picture, with many sliders beside it, and of a neighbour
_FEW = 5  # sliders that leave room for large pictures
_NEIGHBOURS = 10
_REACH = 8  # pixels within which a click takes a point
_LINE = 19  # pixels of a column in a row of a table
_NEGATIVE = 0.5  # share of an image's error below which its negative is taken for what was meant
_POLL = 200  # milliseconds between looks at what has been encoded
_MOST_CODE = 6  # numbers of a code that are written out


@dataclass(frozen=True)
class Stand:
    """What was chosen: a code, its place on the map, and the sample that it is the code of, if there is one."""

    code: np.ndarray
    place: tuple[float, float]
    sample: np.ndarray | None = None
    title: str = ""
    index: int | None = None


class EncoderDecoderPage:
    """One session's page of an estimator with `transform` and `inverse_transform`."""

    def __init__(self, atlas: Atlas, viewer: Viewer) -> None:
        self._atlas, self._viewer = atlas, viewer
        self._style = style = Style()
        self._map = CodeScatter(atlas, style.sheet)
        size = self._size = _LARGE if len(atlas.directions.names) <= _FEW else _MEDIUM
        self._decoded, self._real = (Picture(style, size, viewer.height(size)) for _ in range(2))
        self._pictures = [self._decoded.layout, self._real.layout]
        if isinstance(viewer, TableViewer):  # both in one
            self._decoded = Picture(style, 2 * size, min(TALLEST, _LINE * (len(viewer.names) + 1)))
            self._pictures = [self._decoded.layout]
        self._neighbours, self._message = style.text(kind="strip"), style.text(kind="note")
        self._progress, self._sliders = style.text(kind="busy"), self._make_sliders()
        self._walk = Walk(atlas, viewer, self._map, style, self._say)
        columns, files = getattr(atlas.model, "feature_names_in_", None), not isinstance(viewer, TableViewer)
        self._chooser = Chooser(style, atlas.samples, self._choose, self._drop, self._say, columns, files)
        hover = Newest(self._look, self._show, self._say)
        hover.listen(self._map.figure, "mousemove", "mouseleave")
        tap = Newest(self._tapped, self._stand_on, self._say, mode=self._map.mode)
        tap.listen(self._map.figure, "tap", "doubletap", "press")  # quick and slow clicks too
        self._turned = Newest(self._turn, self._moved, self._say, sliders=self._sliders)
        self._inverted: tuple[str, np.ndarray] | None = None  # of the dropped image, where that may be what was meant
        self._invert = style.button("Invert it", width=90)
        self._invert.on_click(self._turn_round)
        self._reset = style.button("Reset", width=70)
        self._reset.on_click(lambda: self._stand_on(self._origin))
        self.layout = self._layout()
        self._origin: Stand = self._first()
        self._stand = self._origin
        self._stand_on(self._origin)
        self._follow()

    # What is computed

    def _first(self) -> Stand:
        """Where the page opens: at a sample, or at the middle of nothing."""
        middle = self._atlas.plane.center
        return self._at(0) if self._atlas.ready else Stand(middle, self._atlas.on_map(middle))

    def _at(self, place: int) -> Stand:
        """Standing on a point of the map."""
        index, (x, y) = int(self._atlas.order[place]), self._atlas.points[place]
        samples = self._atlas.samples
        return Stand(self._atlas.codes[place], (float(x), float(y)), samples[index], samples.title(index), index)

    def _look(self, place: tuple[float, ...]) -> tuple[Stand, bool]:
        """What is at the pointer, and beside it the nearest real sample; where one stands if it has left the map."""
        if not place:
            return self._stand, False
        x, y = place
        nearest = self._atlas.nearest_on_map(x, y, self._map.units_per_pixel())
        code = self._atlas.plane.codes(np.array([[x, y]]))[0]
        if nearest is None:
            return Stand(code, (x, y)), True
        real = self._at(nearest[0])
        return Stand(code, (x, y), real.sample, real.title), True

    def _tapped(self, place: tuple[float, ...]) -> Stand:
        """The sample that was clicked at, or the bare place where there is none."""
        x, y = place
        nearest = self._atlas.nearest_on_map(x, y, self._map.units_per_pixel())
        if nearest and nearest[1] <= _REACH:
            return self._at(nearest[0])
        return Stand(self._atlas.plane.codes(np.array([[x, y]]))[0], (x, y))

    def _turn(self, values: tuple[float, ...]) -> Stand:
        code = self._atlas.directions.moved(self._stand.code, np.array(values))
        return Stand(code, self._atlas.on_map(code), self._stand.sample, self._stand.title)

    def _choose(self, index: int) -> None:
        sample = self._atlas.samples[index]
        self._stand_on(replace(self._encoded(sample, self._atlas.samples.title(index)), index=index))

    def _drop(self, name: str, array: np.ndarray) -> None:
        scaler, viewer = self._atlas.model.scaler_, self._viewer
        check_dropped(scaler, array, name)
        dropped = fitted(array, scaler.sample_shape, scaler.dtype, viewer.axis, (viewer.low, viewer.high))
        stand = self._encoded(dropped.sample, name)
        inverted = self._better_inverted(dropped.sample, stand)
        self._stand_on(stand)
        self._inverted, self._invert.visible = (name, inverted) if inverted is not None else None, inverted is not None
        hint = "" if inverted is None else "; it looks like a negative: the model rebuilds it far better when inverted"
        self._say(f"{name}: " + (dropped.done or "used as it is") + hint)

    def _better_inverted(self, sample: np.ndarray, stand: Stand) -> np.ndarray | None:
        """An image with black and white exchanged, where the model rebuilds that with a fraction of the error."""
        if self._viewer.kind != "images":
            return None
        low, high = self._viewer.low, self._viewer.high
        inverted: np.ndarray = (low + high - sample.astype(np.float64)).clip(low, high).astype(sample.dtype)
        errors = [
            self._error(one, self._atlas.decode(code[None])[0])
            for one, code in ((sample, stand.code), (inverted, self._encoded(inverted, "").code))
        ]
        return inverted if errors[1] < _NEGATIVE * errors[0] else None

    def _turn_round(self) -> None:
        if self._inverted is not None:
            name, inverted = self._inverted
            self._stand_on(self._encoded(inverted, f"{name}, inverted"))
            self._say(f"{name}: inverted")

    def _encoded(self, sample: np.ndarray, title: str) -> Stand:
        names = getattr(self._atlas.model, "feature_names_in_", None)
        model = self._atlas.model
        table = isinstance(self._viewer, TableViewer)
        source = table_of_rows(model.scaler_, sample[None]) if table else as_source(sample, names)
        code = model.transform(source).reshape(-1)
        return Stand(code, self._atlas.on_map(code), sample, title)

    def _error(self, sample: np.ndarray, rebuilt: np.ndarray) -> float:
        """The mean squared error in scaled units."""
        model, names = self._atlas.model, getattr(self._atlas.model, "feature_names_in_", None)
        a, b = (model.scale(as_source(x, names)) for x in (sample, rebuilt))
        return float(((a - b) ** 2).mean())

    # What is shown

    def _stand_on(self, stand: Stand) -> None:
        """Choose a place: pictures, sliders, the mark on the map and the neighbours follow."""
        self._origin, self._inverted, self._invert.visible = stand, None, False
        self._turned.move_sliders(self._atlas.directions.points(stand.code[None])[0])
        if stand.index is not None:
            self._chooser.set(stand.index)
        self._say("")
        self._moved(stand)

    def _moved(self, stand: Stand) -> None:
        self._stand = stand
        self._map.stand(stand.place)
        self._show((stand, False))
        self._neighbours.text = as_html(self._near(stand.code))

    def _show(self, seen: tuple[Stand, bool]) -> None:
        stand, passing = seen
        rebuilt = self._atlas.decode(stand.code[None])[0]
        where = "Decoded at the pointer" if passing else "Decoded"
        if isinstance(self._viewer, TableViewer):
            beside = "nothing" if stand.sample is None else "the nearest row on the map" if passing else stand.title
            pair = self._viewer.pair(stand.sample, rebuilt, 2 * self._size)
            self._decoded.show(pair, f"{where}, beside {beside}", _written(stand.code))
            return
        self._decoded.show(self._viewer.picture(rebuilt, self._size), where, _written(stand.code))
        if stand.sample is None:
            self._real.show("", "No sample here", "")
            return
        note = stand.title if passing else f"{stand.title} · error {number(self._error(stand.sample, rebuilt))}"
        caption = "Nearest sample on the map" if passing else "Original"
        self._real.show(self._viewer.picture(stand.sample, self._size), caption, note)

    def _near(self, code: np.ndarray) -> Markup:
        """The samples with the nearest codes, as a strip."""
        samples, cells = self._atlas.samples, []
        for place, distance in zip(*self._atlas.nearest(code, _NEIGHBOURS), strict=True):
            index = int(self._atlas.order[place])
            picture = self._viewer.thumbnail(samples[index], _SMALL)
            label = samples.label(index) or f"{index:,}"
            cell = Markup('<figure title="{}">{}<figcaption><b>{}</b> {:.3g}</figcaption></figure>')
            cells.append(cell.format(samples.title(index), picture, label, distance))
        nothing = Markup("<p>No data were given; with some, the nearest samples are here.</p>")
        return Markup("").join(cells) if cells else nothing

    def _say(self, message: str) -> None:
        self._message.text = as_html(message)

    def _follow(self) -> None:
        """Show points as their codes become ready."""
        if self._update() or pn.state.curdoc is None:
            return

        def look() -> None:
            if self._update():
                poll.stop()

        poll = pn.state.add_periodic_callback(look, period=_POLL)

    def _update(self) -> bool:
        done, atlas = self._map.update(), self._atlas
        self._progress.visible = not done
        self._progress.text = f"Encoding: {atlas.ready:,} of {len(atlas):,}"
        if atlas.failure is not None:
            self._say(f"{atlas.ready:,} of {len(atlas):,} samples are shown: {atlas.failure}")
        if done:
            self._neighbours.text = as_html(self._near(self._stand.code))
        return done

    def _make_sliders(self) -> list[Slider]:
        directions = self._atlas.directions
        sliders = []
        for name, low, high in zip(directions.names, directions.low.tolist(), directions.high.tolist(), strict=True):
            sliders.append(
                Slider(
                    title=name, start=low, end=high, value=(low + high) / 2, step=(high - low) / 200, format="0.00",
                    sizing_mode="stretch_width", margin=(0, 7, 4, 7), stylesheets=[self._style.sheet],
                )
            )  # fmt: skip
        return sliders

    def _layout(self) -> pn.viewable.Viewable:
        style, fit = self._style, self._style.button("Whole map", width=90)
        on_event(fit, "button_click", "figure.reset.emit()", figure=self._map.figure)
        bar = style.box(
            "bar", self._map.mode, fit, *self._map.choosers, pn.Spacer(sizing_mode="stretch_width"), self._progress
        )
        left = style.box("map", bar, self._map.figure, column=True)
        sliders = style.box("sliders few" if len(self._sliders) <= _FEW else "sliders", *self._sliders)
        said = self._message, self._invert
        right = style.box(
            "side",
            style.card("Here", style.box("beside here", *self._pictures, sliders), beside=self._reset),
            style.card("Nearest samples", self._neighbours),
            self._walk.card,
            style.card("Your own" if self._chooser.takes_files else "A row", self._chooser.layout, *said),
            column=True,
        )
        page: pn.viewable.Viewable = style.box("page", left, right)
        return page


def _written(code: np.ndarray) -> str:
    """A code in words."""
    numbers = ", ".join(number(float(value)) for value in code[:_MOST_CODE])
    return f"code {numbers}" + (f", … ({len(code)} numbers)" if len(code) > _MOST_CODE else "")
