"""Questions from the browser that are answered at once: one at a time, and always the newest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from bokeh.models import ColumnDataSource, CustomJS, Model
from panel.io import hold

from isthmus.errors import IsthmusError

T = TypeVar("T")
_SLOW = ThreadPoolExecutor(1, "isthmus-explorer")  # answers that take long must not keep the page from the quick ones


def script(name: str) -> str:
    """The text of a file beside this one."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


class Newest:
    """A channel from the browser: events of a plot or the values of sliders in, whatever `show` changes out.

        browser ──question [number, ...]──▶ compute ──▶ show ──answer──▶ browser

    The browser asks again only when it has the answer, and then about the newest event; older ones are dropped.

    compute : from the numbers of a question to a result; it changes nothing on the page.
    show : puts the result on the page. on_error : called with the one line of an IsthmusError.
    slow : whether `compute` runs beside the page, in a thread.
    sliders : whose values are the question; without them it is the place (x, y) of an event, () when the pointer left.
    mode : buttons of which the first must be chosen. busy : what is made visible while an answer takes its time.
    """

    def __init__(
        self,
        compute: Callable[[tuple[float, ...]], T],
        show: Callable[[T], None],
        on_error: Callable[[str], None],
        *,
        slow: bool = False,
        sliders: Sequence[Any] = (),
        mode: Model | None = None,
        busy: Model | None = None,
    ) -> None:
        self._compute, self._show, self._on_error, self._slow = compute, show, on_error, slow
        self._sliders = sliders
        self._question = ColumnDataSource({"numbers": [0.0]})
        self._answer = ColumnDataSource({"numbers": [0.0]})
        self._values = ColumnDataSource({"values": [slider.value for slider in sliders]})
        arguments = {
            "question": self._question,
            "answer": self._answer,
            "values": self._values,
            "sliders": list(sliders),
            "mode": mode,
            "busy": busy,
        }
        self._script = CustomJS(args=arguments, code=script("newest.js"))
        self._question.on_change("data", self._asked)
        for model, attribute in ((self._answer, "data"), (self._values, "data"), *((s, "value") for s in sliders)):
            model.js_on_change(attribute, self._script)

    def listen(self, model: Any, *events: str) -> None:
        """Ask about these events of a plot."""
        for event in events:
            model.js_on_event(event, self._script)

    def move_sliders(self, values: Sequence[float]) -> None:
        """Put the sliders where they belong, without asking anything."""
        if self._values.document is None:  # the page is not open yet
            for slider, value in zip(self._sliders, values, strict=True):
                slider.value = float(value)
        self._values.data = {"values": [float(value) for value in values]}

    def ask(self) -> None:
        """Ask from here, at the sliders' values: something else has changed."""
        self._answered(0.0, tuple(slider.value for slider in self._sliders))

    def _asked(self, attribute: str, old: Any, new: Any) -> None:
        number, *numbers = (float(value) for value in new["numbers"])
        self._answered(number, tuple(numbers))

    def _answered(self, number: float, numbers: tuple[float, ...]) -> None:
        def show(outcome: Callable[[], None]) -> None:
            with in_one_message(self._question):
                try:
                    outcome()
                finally:
                    self._answer.data = {"numbers": [number]}

        def compute() -> Callable[[], None]:
            return outcome_of(lambda: self._compute(numbers), self._show, self._on_error)

        if self._slow:
            beside(self._question, compute, show)
        else:
            show(compute())


def in_one_message(model: Model) -> AbstractContextManager[None]:
    """Changes made inside reach the browser together: it lays the page out once, and waits once."""
    document = model.document
    return nullcontext() if document is None or document.session_context is None else hold(document)


def outcome_of(
    compute: Callable[[], T], show: Callable[[T], None], on_error: Callable[[str], None]
) -> Callable[[], None]:
    """What is to be done with the page: errors too must be shown there, and never leave the browser waiting."""
    try:
        result = compute()
    except IsthmusError as error:
        message = str(error)
        return lambda: on_error(message)
    except Exception as error:
        logging.getLogger(__name__).exception("a question of the explorer failed")
        message = f"{type(error).__name__}: {error}"
        return lambda: on_error(message)
    return lambda: show(result)


def beside(model: Model, compute: Callable[[], T], show: Callable[[T], None]) -> None:
    """Compute in a thread, then show on the page of `model`; in a notebook and before the page is open, at once."""
    document = model.document
    if document is None or document.session_context is None:
        show(compute())
        return

    def done(job: Future[T]) -> None:
        document.add_next_tick_callback(lambda: show(job.result()))

    _SLOW.submit(compute).add_done_callback(done)
