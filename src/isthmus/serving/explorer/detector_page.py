"""The page of a detector: samples by how strange they are, a list at any false-discovery rate, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import panel as pn
from bokeh.models import ColumnDataSource, LinearColorMapper
from bokeh.models.annotations.geometry import Span
from bokeh.models.widgets.sliders import Slider
from markupsafe import Markup

from isthmus.anomalies.findings import FDR, UNITS, Findings
from isthmus.data.base import evenly_spread
from isthmus.evaluation.theme import LIGHT, number
from isthmus.serving.explorer.cards import Chooser, Style, as_html, figures, on_event
from isthmus.serving.explorer.live import Newest
from isthmus.serving.explorer.plot import follow_theme, pixels, plot, point_style

_MOST_POINTS = 70_000
_MARGIN = 0.04  # around the points, as a share


class DetectorPage:
    """One session's page.

    findings : those of the samples, in their order. explain, title : functions of a sample's number. tour : the samples
    that are visited from the strangest on; by default all.
    """

    def __init__(
        self,
        model: Any,
        findings: Findings,
        explain: Callable[[int], Markup],
        title: Callable[[int], str],
        tour: np.ndarray | None = None,
    ) -> None:
        self._explain, self._title, self._findings = explain, title, findings
        self._tour, self._next_stop = findings.order if tour is None else tour, 0
        self._unit = UNITS[model.kind_]
        self._style = style = Style()
        self._y = _heights(findings.strangeness)
        self._mapper = LinearColorMapper(palette=[LIGHT.warm, LIGHT.cool])
        self._here = ColumnDataSource({"x": [], "y": []})
        self._figure = self._scatter()
        self._facts, self._message, self._about = style.text(kind="facts"), style.text(), style.text(kind="facts")
        self._why = style.text(kind="blame")
        self._slider = Slider(
            title="false-discovery rate", start=0.01, end=0.5, step=0.01, value=FDR, format="0 %", width=280,
            stylesheets=[style.sheet],
        )  # fmt: skip
        self._rate = Newest(self._flagged, self._show_flagged, self._say, sliders=[self._slider])
        tap = Newest(self._tapped, self._stand_on, self._say)
        tap.listen(self._figure, "tap", "doubletap", "press")
        self._chooser = Chooser(style, findings, self._stand_on, lambda name, array: None, self._say, files=False)
        self._next = style.button("Next strangest")
        self._next.on_click(lambda: self._go_on(self._next_stop))
        self._back = style.button("Strangest")
        self._back.on_click(lambda: self._go_on(0))
        self.layout = self._layout()
        self._show_flagged(self._flagged((FDR,)))
        self._go_on(0)

    # What is computed

    def _flagged(self, values: tuple[float, ...]) -> tuple[int, float]:
        """How many samples are flagged at a rate, and a p between theirs and those of the others."""
        mask = self._findings.flagged(values[0])
        if not mask.any():
            return 0, 0.0
        p = self._findings.p
        rest = p[~mask]
        return int(mask.sum()), float((p[mask].max() + (rest.min() if len(rest) else 2.0)) / 2)

    def _tapped(self, place: tuple[float, ...]) -> int:
        """The sample nearest to a click, in pixels."""
        ranges = self._figure.x_range, self._figure.y_range
        (x0, x1), (y0, y1) = ((one.start, one.end) for one in ranges)
        width, height = pixels(self._figure)
        x, y = place
        if self._logarithmic:
            y, y0, y1 = np.log([max(y, 1e-300), y0, y1]).tolist()
        own = np.log(self._y) if self._logarithmic else self._y
        across = (np.arange(len(own)) - x) * width / (x1 - x0)
        return int((across**2 + ((own - y) * height / (y1 - y0)) ** 2).argmin())

    # What is shown

    def _show_flagged(self, found: tuple[int, float]) -> None:
        flagged, cut = found
        self._mapper.update(low=cut - 1, high=cut + 1)  # p below the cut are in the first of two colours
        rate, n = self._slider.value, len(self._findings)
        facts = [
            (f"flagged, of {n:,}", f"{flagged:,}"),
            ("of these normal, at most", f"{rate * flagged:,.1f}"),
            ("smallest possible p", number(self._findings.smallest_p)),
        ]
        fewest = self._findings.fewest(rate)
        if fewest > 1:
            facts.append(("of that p are needed for a list", f"{fewest:,}"))
        self._facts.text = as_html(figures(facts))

    def _stand_on(self, index: int) -> None:
        place = int(np.flatnonzero(self._findings.order == index)[0])
        self._chooser.set(index)
        self._here.data = {"x": [index], "y": [self._y[index]]}
        self._say(self._title(index))
        self._why.text = as_html(self._explain(index))
        findings = self._findings
        self._about.text = as_html(
            figures(
                [
                    (f"place among {len(findings):,}, the strangest first", f"{place + 1:,}"),
                    ("strangeness", number(findings.strangeness[index])),
                    ("p", number(findings.p[index])),
                ]
            )
        )

    def _go_on(self, stop: int) -> None:
        """To a stop of the tour, whose number may be one too large."""
        self._next_stop = min(stop, len(self._tour) - 1) + 1
        self._stand_on(int(self._tour[self._next_stop - 1]))

    def _say(self, message: str) -> None:
        self._message.text = as_html(message)

    # The page

    @property
    def _logarithmic(self) -> bool:
        return bool(self._y.min() > 0)

    def _scatter(self) -> Any:
        n, y = len(self._findings), self._y
        low, high = float(y.min()), float(y.max())
        if self._logarithmic:
            margin = (high / low) ** _MARGIN * 1.05
            ends = low / margin, high * margin
        else:
            margin = _MARGIN * (high - low) or 0.5
            ends = low - margin, high + margin
        labels = f"{self._unit}, in the order of the data", "strangeness"
        wide = max(1.0, _MARGIN * n)
        figure = plot(
            (-wide, n - 1 + wide), ends, labels, n, self._style.sheet, y_scale="log" if self._logarithmic else "linear"
        )
        order = self._drawn()
        points = ColumnDataSource({"x": order, "y": y[order], "p": self._findings.p[order]})
        color = {"field": "p", "transform": self._mapper}
        figure.scatter("x", "y", source=points, color=color, line_color=None, **point_style(n))
        for width, ink in ((6, LIGHT.paper), (2.5, LIGHT.ink)):
            ring = {"size": 18, "fill_color": None, "line_color": ink, "line_width": width}
            figure.scatter("x", "y", source=self._here, level="overlay", **ring)
        figure.add_layout(
            Span(
                location=self._findings.threshold, dimension="width", line_dash="dashed", line_color=LIGHT.muted,
                line_width=1.5,
            )
        )  # fmt: skip
        follow_theme(figure)
        return figure

    def _drawn(self) -> np.ndarray:
        """The samples that are drawn, the strangest last and so on top; of too many, those and some others."""
        order = self._findings.order
        if len(order) <= _MOST_POINTS:
            return order[::-1]
        strangest, others = order[: _MOST_POINTS // 2], order[_MOST_POINTS // 2 :]
        return np.concatenate([strangest, others[evenly_spread(len(others), _MOST_POINTS // 2)]])[::-1]

    def _layout(self) -> pn.viewable.Viewable:
        style, fit = self._style, self._style.button("All points", width=90)
        on_event(fit, "button_click", "figure.reset.emit()", figure=self._figure)
        said = style.text("The orange ones are flagged; the dashed line is the threshold of predict.")
        left = style.box("map", style.box("bar", fit, said), self._figure, column=True)
        buttons = style.box("beside", self._back, self._next)
        right = style.box(
            "side",
            style.card("What is flagged", self._slider, self._facts),
            style.card("Why", self._chooser.layout, buttons, self._message, self._about, self._why),
            column=True,
        )
        page: pn.viewable.Viewable = style.box("page", left, right)
        return page


def _heights(strangeness: np.ndarray) -> np.ndarray:
    """Where points are drawn: of positive values, those near 0 at a thousandth of the middle."""
    middle = float(np.median(strangeness))
    heights: np.ndarray = np.maximum(strangeness, 1e-3 * middle) if strangeness.min() >= 0 < middle else strangeness
    return heights
