"""One thread that computes for all requests: what waits at the same time is computed together, in rows.

request ──submit──▶ queue ──requests alike, up to a number of rows──▶ one call of the model ──parts──▶ answers

The event loop says when a batch begins: once a round of it has brought no further request, since whoever has sent one
by then is in the batch. It then steps aside while a short batch is computed. Otherwise the two threads would hand the
interpreter to each other at every step of the model, which takes three times as long as the model alone.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from isthmus.anomalies.drift import Drift
from isthmus.serving.http.limits import Limits, Refusal, busy
from isthmus.serving.http.rows import joined, kind_of, part_of
from isthmus.serving.http.served import Served

_MEMORY = 0.95  # of earlier batches' rows and seconds, when those of the next one are known
_PAUSE = 0.0002  # seconds between two looks for more requests
_ASIDE = 0.01  # seconds: the longest batch for which the event loop waits
Pending = asyncio.Future[dict[str, Any]]


@dataclass(frozen=True)
class Batch:
    """What was computed together. model : its name. requests, rows : how many. seconds : that it took. waiting : rows
    that waited when it was done. drift : what the model's monitor has found.
    """

    model: str
    requests: int
    rows: int
    seconds: float
    waiting: int = 0
    drift: Drift | None = None


@dataclass(eq=False)
class _Job:
    served: Served
    given: str
    rows: Any
    wanted: tuple[str, ...]
    deadline: float
    future: Pending
    arrived: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.count = len(self.rows)
        self.kind = (id(self.served), self.given, kind_of(self.rows))


_Answered = tuple[_Job, dict[str, Any] | BaseException]


class ModelThread:
    """Computes the outputs of models, one batch at a time, for requests of one event loop.

    limits : see `Limits`. on_batch : called with each batch, in the thread.

    A request that is cancelled before its batch begins is not computed, and neither is one whose deadline has passed. A
    batch that fails is computed again in halves, so that the error is that of the request alone that caused it. All but
    `close` is called from the loop, which alone knows what waits.
    """

    def __init__(self, limits: Limits, on_batch: Callable[[Batch], None] = lambda batch: None) -> None:
        self._limits, self._on_batch = limits, on_batch
        self._jobs: deque[_Job] = deque()
        self._batches: SimpleQueue[list[_Job]] = SimpleQueue()  # for the thread; an empty one ends it
        self._waiting_rows, self._closed = 0, False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._computes, self._done = False, threading.Event()
        self._gathered: int | None = None  # jobs at the loop's latest round, while a batch is put together
        self._paused, self._usual = 0.0, 0  # seconds, for this batch; requests that waited for the last one
        self._done_rows, self._done_seconds = 0.0, 0.0  # of the latest batches
        self._thread = threading.Thread(target=self._run, name="isthmus-model", daemon=True)
        self._thread.start()

    @property
    def waiting_rows(self) -> int:
        """How many rows wait to be computed."""
        return self._waiting_rows

    @property
    def waiting_seconds(self) -> float:
        """How long it will take to compute what waits, by the pace of the latest batches."""
        return self._waiting_rows * self._done_seconds / max(self._done_rows, 1)

    def check_room(self) -> None:
        """Raise a `Refusal` where so much waits that another request would wait too long."""
        if self._waiting_rows >= self._limits.queue_rows or self.waiting_seconds > self._limits.wait_seconds:
            raise busy(f"{self._waiting_rows:,} rows wait for the model already; try again a little later")

    def submit(self, served: Served, given: str, rows: Any, wanted: Sequence[str], deadline: float) -> Pending:
        """Queue rows to be computed; returns a future that may be cancelled.

        given : the name of the input that the rows are. wanted : names of outputs. deadline : in seconds of
        `time.monotonic`. Raises `Refusal` where there is no room.
        """
        if self._closed:
            raise busy("the server is stopping")
        self.check_room()
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # nobody waits for what an earlier one has left behind
            self._jobs.clear()
            self._loop, self._waiting_rows, self._gathered = loop, 0, None
        job = _Job(served, given, rows, tuple(wanted), deadline, loop.create_future())
        self._jobs.append(job)
        self._waiting_rows += job.count
        self._look()
        return job.future

    def close(self) -> None:
        """Compute what waits, and end the thread."""
        self._closed = True
        while self._jobs:
            self._batches.put(self._taken())
        self._batches.put([])
        self._thread.join()

    def _look(self) -> None:
        """See to it that a batch is put together, unless one is computed, whose end will do so."""
        if self._gathered is None and not self._computes:
            self._gathered = 0
            asyncio.get_running_loop().call_soon(self._gather)

    def _gather(self) -> None:
        """At the end of a round of the loop: let a batch begin, or wait for more requests."""
        loop, count = asyncio.get_running_loop(), len(self._jobs)
        if not count:
            self._gathered = None
        elif self._is_full():
            self._begin()
        elif count != self._gathered:  # this round has brought some, and the next may, too
            self._gathered = count
            loop.call_soon(self._gather)
        elif count < self._usual and self._paused < self._limits.batch_seconds:  # whose clients may be about to ask
            self._paused += _PAUSE
            loop.call_later(_PAUSE, self._gather)
        else:
            self._begin()

    def _is_full(self) -> bool:
        first = self._jobs[0]
        full = not first.served.batches or self._waiting_rows >= self._limits.batch_rows
        return full or first.deadline < time.monotonic()

    def _begin(self) -> None:
        self._gathered, self._paused, self._usual = None, 0.0, len(self._jobs)
        steps_aside = 0 < self.waiting_seconds < _ASIDE
        self._computes = True
        self._done.clear()
        self._batches.put(self._taken())
        if steps_aside:
            self._done.wait(_ASIDE)

    def _taken(self) -> list[_Job]:
        """The first job and those like it, as many as one batch holds; the others stay in their order."""
        first, taken = self._jobs[0], list[_Job]()
        rest, rows = deque[_Job](), 0
        for job in self._jobs:
            fits = not taken or (first.served.batches and rows + job.count <= self._limits.batch_rows)
            if job.kind == first.kind and fits:
                taken.append(job)
                rows += job.count
            else:
                rest.append(job)
        self._jobs = rest
        self._waiting_rows -= rows
        return taken

    def _end(self, found: Sequence[_Answered]) -> None:
        for job, value in found:
            if job.future.done() or job.future.get_loop() is not self._loop:  # nobody waits
                continue
            if isinstance(value, StopIteration):  # which no future takes
                job.future.set_exception(RuntimeError(repr(value)))
            elif isinstance(value, BaseException):
                job.future.set_exception(value)
            else:
                job.future.set_result(value)
        self._computes = False
        self._look()

    def _run(self) -> None:
        while batch := self._batches.get():
            now, live = time.monotonic(), [job for job in batch if not job.future.done()]
            late = Refusal(504, "the model was busy until the request's time was over")
            found: list[_Answered] = [(job, late) for job in live if job.deadline <= now]
            found += self._answers([job for job in live if job.deadline > now])
            self._done.set()
            try:
                assert self._loop is not None  # jobs come from one
                self._loop.call_soon_threadsafe(self._end, found)
            except RuntimeError:  # it is closed: nobody waits any more
                self._computes = False

    def _answers(self, jobs: Sequence[_Job]) -> list[_Answered]:
        """Answers or errors."""
        if not jobs:
            return []
        served, given = jobs[0].served, jobs[0].given
        wanted = tuple(dict.fromkeys(name for job in jobs for name in job.wanted))
        began = time.monotonic()
        try:
            found = served.compute(given, joined([job.rows for job in jobs]), wanted)
        except BaseException as error:
            if len(jobs) == 1:
                return [(jobs[0], error)]
            return self._answers(jobs[: len(jobs) // 2]) + self._answers(jobs[len(jobs) // 2 :])
        rows, seconds = sum(job.count for job in jobs), time.monotonic() - began
        self._done_rows = _MEMORY * self._done_rows + rows
        self._done_seconds = _MEMORY * self._done_seconds + seconds
        self._on_batch(Batch(served.name, len(jobs), rows, seconds, self._waiting_rows, served.drift))
        answers, start = list[_Answered](), 0
        for job in jobs:
            whole = len(jobs) == 1
            part = {name: found[name] if whole else part_of(found[name], start, job.count) for name in job.wanted}
            answers.append((job, part))
            start += job.count
        return answers
