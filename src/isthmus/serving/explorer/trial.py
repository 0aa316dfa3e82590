"""What pages without a map share: a sample, a slider, and what the model makes of the sample, as pictures in a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.models import CustomJS
from markupsafe import Markup

from isthmus.data.channels_last import grey_if_equal
from isthmus.evaluation.metrics import decibels
from isthmus.evaluation.theme import number
from isthmus.serving.explorer.cards import Chooser, Picture, Style, as_html, figures
from isthmus.serving.explorer.labelled_data import LabelledData
from isthmus.serving.explorer.live import Newest, script

PICTURE = 640  # pixels of a picture, at most: it takes its share of the page's width, and is zoomed
_MOST_ZOOM = 12


@dataclass(frozen=True)
class Trial:
    """What came out. pictures : caption, drawing and note of each. figures : names and values."""

    pictures: list[tuple[str, Markup, str]]
    figures: list[tuple[str, str]]


class TrialPage(ABC):
    """One session's page: choose or drop a sample, move the slider, see what comes out.

    count : of the pictures. before : what the slider of the wipe brings back. below : what lies below the pictures.
    """

    count: int
    title: str
    before: str
    below: tuple[Any, ...] = ()

    def __init__(self, samples: LabelledData, sliders: list[Any], style: Style, *controls: Any) -> None:
        self.samples, self.style = samples, style
        signals = len(samples) > 0 and samples[0].ndim == 1
        height = PICTURE * 5 // 8 if signals else PICTURE
        self._pictures = [Picture(style, PICTURE, height, wide=True) for _ in range(self.count)]
        looks = self._looks(style)
        self._figures, self._message = style.text(kind="facts"), style.text(kind="note")
        self._busy = style.text("working", "busy")
        self._busy.visible = False
        self._sample: np.ndarray | None = None
        self.name = ""
        self._asked = Newest(self._compute, self._show, self._say, slow=True, sliders=sliders, busy=self._busy)
        self._chooser = Chooser(style, samples, self._choose, self._drop, self._say)
        row = style.box("shots lines" if signals else "shots", *(picture.layout for picture in self._pictures))
        self.layout = style.box(
            "trial",
            style.card("Sample", self._chooser.layout, self._message),
            style.card(
                self.title,
                style.box("controls", *sliders, *controls, *looks),
                row,
                self._figures,
                *self.below,
                beside=self._busy,
            ),
            column=True,
        )
        if len(samples):
            self._choose(0)
            self._chooser.set(0)
        else:
            self._say("Drop a file to begin.")

    def _looks(self, style: Style) -> list[Any]:
        """Sliders that change how pictures are looked at: the browser alone hears of them."""
        zoom = style.slider("zoom, at the pointer", 1, _MOST_ZOOM, 1)
        wipe = style.slider(f"wipe to: {self.before}, %", 0, 100, 0)
        divs = [picture.div for picture in self._pictures]
        for div in divs:
            div.css_classes = [*div.css_classes, "shot"]
        looks = CustomJS(args={"divs": divs, "zoom": zoom, "wipe": wipe}, code=script("shots.js"))
        for slider in (zoom, wipe):
            slider.js_on_change("value", looks)
        return [zoom, wipe]

    @abstractmethod
    def work(self, sample: np.ndarray, values: tuple[float, ...]) -> Trial:
        """What the model makes of a sample, at these values of the sliders; may run in a thread."""

    def again(self) -> None:
        """Try the same sample again, after something other than a slider was changed."""
        self._asked.ask()

    def _choose(self, index: int) -> None:
        self.name = self.samples.title(index)
        self._take(self.samples[index], self.name)

    def _drop(self, name: str, array: np.ndarray) -> None:
        plain = grey_if_equal(array)
        array = plain[..., 0] if plain.ndim == 3 and plain.shape[-1] == 1 else array
        self.name = name
        self._take(array, f"{name}: {' × '.join(map(str, array.shape))}, {array.dtype}")

    def _take(self, sample: np.ndarray, words: str) -> None:
        self._sample = sample
        self._say(words)
        self._asked.ask()

    def _compute(self, values: tuple[float, ...]) -> Trial | None:
        return None if self._sample is None else self.work(self._sample, values)

    def _show(self, trial: Trial | None) -> None:
        if trial is None:
            return
        for picture, (caption, content, note) in zip(self._pictures, trial.pictures, strict=True):
            picture.show(content, caption, note)
        self._figures.text = as_html(figures(trial.figures))

    def _say(self, message: str) -> None:
        self._message.text = as_html(message)


def wiped(after: Markup, before: Markup) -> Markup:
    """Two pictures of one size on top of each other; a slider wipes the second over the first."""
    return Markup('<div class="wipe">{}{}</div>').format(after, before)


def quality(error: float) -> str:
    """A mean squared error of values between 0 and 1 in words, with the PSNR."""
    return f"error {number(error)} · {decibels(error):.1f} dB" if error > 0 else "no error"
