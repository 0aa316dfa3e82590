"""One request to a plain endpoint: its files, and the model that is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from fastapi import Request

from isthmus.serving.http.answering import Answering
from isthmus.serving.http.limits import Limits, busy
from isthmus.serving.http.plain.reading import Rows, read_rows
from isthmus.serving.http.plain.uploads import Scratch, Upload
from isthmus.serving.http.rows import size_of
from isthmus.serving.http.served import INPUT, Served

T = TypeVar("T")
_DONE = "done"
_VALUES_A_ROW = 1024  # of files, when their work is counted in rows


class Memory:
    """The values of all requests that are being answered, which may be far more than the bytes that they came in.

    most : how many there may be at the same time; a request that is alone always has room.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0

    @contextmanager
    def holding(self, values: int) -> Iterator[None]:
        """Hold so many values inside the block. Raises a `Refusal` where there is no room."""
        if self._held and self._held + values > self._most:
            raise busy("other requests' files fill the memory for them; try again a little later")
        self._held += values
        try:
            yield
        finally:
            self._held -= values


@dataclass(frozen=True)
class Call:
    """A request, while it is answered.

    uploads : its files, in the folder of `scratch`. accept : its Accept header. notes : what was left out.
    """

    request: Request
    served: Served
    answering: Answering
    memory: Memory
    scratch: Scratch
    uploads: list[Upload]
    notes: list[str] = field(default_factory=list)

    @property
    def accept(self) -> str:
        return self.request.headers.get("accept", "")

    @property
    def limits(self) -> Limits:
        return self.answering.limits

    @property
    def model(self) -> Any:
        return self.served.model

    async def rows(self, given: str = INPUT) -> Rows:
        """The samples that it brings. given : the input of the model that they are."""
        rows = await self.scratch.aside(lambda: read_rows(self.uploads, self.served, given, self.limits))
        self.notes.extend(rows.notes)
        return rows

    async def outputs(self, rows: Any, wanted: list[str], given: str = INPUT) -> dict[str, Any]:
        """Outputs of samples, by the names that `Served` has for them."""
        with self.memory.holding(size_of(rows)):
            return await self.answering.outputs(self.request.receive, self.served, given, rows, wanted)

    async def alone(self, work: Callable[[], T], values: int) -> T:
        """Other work of the model, done on its thread. values : how many are worked on."""
        task: Any = _Alone(self.served, lambda: self.scratch.run(work))
        count = np.zeros(1 + values // _VALUES_A_ROW, np.bool_)
        with self.memory.holding(values):
            found = await self.answering.outputs(self.request.receive, task, INPUT, count, [_DONE])
        done: T = found[_DONE]
        return done


class _Alone:
    """What the model thread takes for a model: one piece of work, which is never merged with others."""

    batches = False
    drift = None  # no monitor sees it

    def __init__(self, served: Served, work: Callable[[], Any]) -> None:
        self.name, self.version = served.name, served.version
        self._work = work

    def compute(self, given: str, rows: Any, wanted: Any) -> dict[str, Any]:
        return {_DONE: self._work()}
