"""What the pages are built of: cards, pictures with a caption, and a place to choose or drop a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any

import numpy as np
import panel as pn
from bokeh.models import ColumnDataSource, CustomJS, InlineStyleSheet
from bokeh.models.widgets.buttons import Button
from bokeh.models.widgets.inputs import NumericInput
from bokeh.models.widgets.markups import Div
from bokeh.models.widgets.sliders import Slider
from markupsafe import Markup, escape

from isthmus.evaluation.theme import DARK, LIGHT, css_variables
from isthmus.serving.explorer.dropped_file import MOST_BYTES, read_dropped
from isthmus.serving.explorer.live import outcome_of, script

_TALL = ("model", "model tabbed", "page", "map")  # boxes around the map, which is as high as the window
LIGHT_SHEET, DARK_SHEET = "#ffffff", "#171d24"  # what cards are drawn on, in both themes


def served() -> bool:
    """Whether this is a page of its own, which follows the browser's theme; a notebook's cells have their own."""
    return pn.state.curdoc is not None and pn.state.curdoc.session_context is not None


def follow_the_browser() -> None:
    """Make this session's page dark where the browser is; no other session's page changes."""
    if served():
        pn.config.raw_css = [
            f"@media (prefers-color-scheme: dark) {{ html {{ color-scheme: dark; background: {DARK_SHEET}; }} "
            "body { background: transparent; } }"
        ]


class Style:
    """The page's style, for everything that lives in a shadow DOM of its own."""

    def __init__(self) -> None:
        css = f":host {{ {css_variables(LIGHT)} --sheet: {LIGHT_SHEET}; }}\n{script('explorer.css')}"
        if served():
            css += f"@media (prefers-color-scheme: dark) {{ :host {{ {css_variables(DARK)} --sheet: {DARK_SHEET}; }} }}"
        self.sheet = InlineStyleSheet(css=css)

    def text(self, content: str | Markup = "", kind: str = "note") -> Div:
        """A piece of text, or of HTML. kind : "title", "note", "picture", "strip", "busy" or "head"."""
        return Div(text=as_html(content), css_classes=kind.split(), stylesheets=[self.sheet])

    def button(self, label: str, **options: Any) -> Button:
        return Button(label=label, stylesheets=[self.sheet], css_classes=["plain"], **options)

    def slider(self, title: str, start: float, end: float, value: float, *, step: float = 1, **options: Any) -> Slider:
        """A slider that takes its share of the width."""
        look = {"sizing_mode": "stretch_width", "stylesheets": [self.sheet], **options}
        return Slider(title=title, start=start, end=end, value=value, step=step, **look)

    def card(self, title: str, *content: Any, beside: Any = None) -> pn.Column:
        """A box with a title, and what belongs beside that."""
        extra = [] if beside is None else beside if isinstance(beside, list) else [beside]
        head = self.box("head-row", self.text(title, "title"), pn.Spacer(sizing_mode="stretch_width"), *extra)
        card: pn.Column = self.box("card", head, *content, column=True)
        return card

    def box(self, kind: str, *content: Any, column: bool = False) -> Any:
        """A row or a column; `kind` are its classes in the style sheet."""
        layout = pn.Column if column else pn.Row
        sizing = "stretch_both" if kind in _TALL else "stretch_width"
        return layout(*content, css_classes=kind.split(), stylesheets=[self.sheet.css], sizing_mode=sizing, margin=0)


class Picture:
    """A sample with a caption above and a note below it.

    size, height : in pixels. wide : whether it takes all the width that there is, instead of its size.
    """

    def __init__(self, style: Style, size: int, height: int | None = None, *, wide: bool = False) -> None:
        self._caption, self._note = style.text(kind="caption"), style.text(kind="note")
        self.div = style.text(kind="picture")
        self.div.styles = {"--size": "100%" if wide else f"{size}px", "--height": f"{0 if wide else height or size}px"}
        self._content = ColumnDataSource({"html": ["", "", ""]})
        divs = self._divs = [self.div, self._caption, self._note]
        arguments = {"content": self._content, "divs": divs}
        painter = CustomJS(args=arguments, code=script("paint.js"))
        self._content.js_on_change("data", painter)
        self.div.js_on_change("visible", painter)  # without this tie the source would be no part of the page
        lying: dict[str, Any] = {"sizing_mode": "stretch_width"} if wide else {"width": size + 2}
        self.layout = pn.Column(self._caption, self.div, self._note, margin=0, **lying)

    def show(self, content: Markup | str, caption: str, note: str = "") -> None:
        """Show another sample; empty content shows none."""
        shown = [as_html(part) for part in (content, caption, note)]
        if self.div.document is None:  # the page is not open yet
            for div, text in zip(self._divs, shown, strict=True):
                div.text = text
        self._content.data = {"html": shown}


class Dropper(pn.widgets.FileDropper):
    """A place to drop files: each is handed on once it is whole, and none is kept.

    Panel's own keeps all files that were ever dropped, by name, and takes a second file of a name for the first.
    on_file : called with the name and the content. on_error : called with a message about a file that is too large.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self.on_file: Callable[[str, bytes], None] = lambda name, content: None
        self.on_error: Callable[[str], None] = lambda message: None
        self._parts: dict[str, bytearray] = {}

    def _process_event(self, event: Any) -> None:
        if event.event_name != "upload_event":
            return
        name, number, count, part = (event.data[key] for key in ("name", "chunk", "total_chunks", "data"))
        whole = self._parts.setdefault(name, bytearray())
        if number == 1:
            whole.clear()
        whole += part
        if len(whole) > MOST_BYTES:
            del self._parts[name]
            self.on_error(f"{name} is larger than {MOST_BYTES >> 20} MB; drop a smaller file")
        elif number == count:
            self.on_file(name, bytes(self._parts.pop(name)))


class Chooser:
    """A sample by its number, one at random, or a file of the user's own.

    on_sample : called with the number. on_file : called with the name and the array of a dropped file. columns : what a
    dropped table's columns are called. files : whether files can be dropped.
    """

    def __init__(
        self,
        style: Style,
        samples: Sized,
        on_sample: Callable[[int], None],
        on_file: Callable[[str, np.ndarray], None],
        on_error: Callable[[str], None],
        columns: Sequence[str] | None = None,
        files: bool = True,
    ) -> None:
        self._columns, self.takes_files = columns, files
        self._samples, self._on_sample, self._on_file, self._on_error = samples, on_sample, on_file, on_error
        self._random = np.random.default_rng()
        self._current: int | None = None
        most = max(len(samples) - 1, 0)
        self.number = NumericInput(
            value=None, low=0, high=most, title=f"Sample, 0 to {most:,}", width=130, stylesheets=[style.sheet]
        )
        self.number.on_change("value", lambda attribute, old, new: self._chosen(new))
        self.dice = style.button("Another", width=90)
        self.dice.on_click(self._another)
        self.drop = Dropper(
            layout="compact", max_file_size=f"{MOST_BYTES >> 20}MB", previews=[], height=46, margin=0,
            sizing_mode="stretch_width", stylesheets=[style.sheet.css], css_classes=["drop"],
        )  # fmt: skip
        self.drop.on_file, self.drop.on_error = self._dropped, on_error
        parts = [self.number, self.dice] if len(samples) else []
        self.layout = style.box("beside chooser", *parts, *([self.drop] if files else []))

    def set(self, index: int) -> None:
        """Show the number of a sample that was chosen elsewhere."""
        self._current = index
        self.number.value = index

    def _another(self) -> None:
        self.number.value = int(self._random.integers(len(self._samples)))

    def _chosen(self, index: int | None) -> None:
        if index is not None and index != self._current and 0 <= index < len(self._samples):
            self._current = index
            self._guarded(lambda: self._on_sample(index))

    def _dropped(self, name: str, content: bytes) -> None:
        self._guarded(lambda: self._on_file(name, read_dropped(name, content, self._columns)))

    def _guarded(self, work: Callable[[], None]) -> None:
        """Whatever goes wrong is told on the page."""
        outcome_of(work, lambda done: done, self._on_error)()


def as_html(content: str | Markup) -> str:
    """What a Div shows: text is escaped, HTML is what has the type Markup."""
    return str(escape(content))


def figures(pairs: list[tuple[str, str]]) -> Markup:
    """Names and figures side by side."""
    cells = (Markup("<span><b>{}</b>{}</span>").format(value, name) for name, value in pairs)
    return Markup('<div class="figures">{}</div>').format(Markup("").join(cells))


def on_event(model: Any, event: str, code: str, **arguments: Any) -> None:
    """Run a line of JavaScript in the browser at an event."""
    model.js_on_event(event, CustomJS(args=arguments, code=code))
