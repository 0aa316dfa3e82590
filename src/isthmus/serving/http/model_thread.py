"""One thread that computes for all requests: what waits at the same time is computed together, in rows.

request ──submit──▶ queue ──requests alike, up to a number of rows──▶ one call of the model ──parts──▶ answers
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from isthmus.anomalies.drift import Drift
from isthmus.serving.http.limits import Limits, Refusal, busy
from isthmus.serving.http.pace import Pace
from isthmus.serving.http.rows import joined, kind_of, part_of
from isthmus.serving.http.served import Served

_MEMORY = 0.95  # of earlier batches' rows and seconds, when those of the next one are known


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
    future: Future[dict[str, Any]] = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.count = len(self.rows)
        self.kind = (id(self.served), self.given, kind_of(self.rows))


class ModelThread:
    """Computes the outputs of models, one batch at a time.

    limits : see `Limits`. on_batch : is told of each batch, from the thread. pace : of the requests that jobs are of,
    kept by whoever takes them on; one that is alone in hand waits for no others.

    A request that is cancelled before its batch begins is not computed, and neither is one whose deadline has passed. A
    batch that fails is computed again in halves, so that the error is that of the request alone that caused it.
    """

    def __init__(self, limits: Limits, on_batch: Callable[[Batch], None] = lambda batch: None) -> None:
        self._limits, self._on_batch = limits, on_batch
        self.pace = Pace(limits.wait_seconds, limits.requests)
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._waiting_rows, self._closed = 0, False
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

    def submit(
        self, served: Served, given: str, rows: Any, wanted: Sequence[str], deadline: float
    ) -> Future[dict[str, Any]]:
        """Have outputs computed; a future that may be cancelled.

        given : the input that the rows are. wanted : names of outputs. deadline : in seconds of `time.monotonic`.
        Raises `Refusal` where there is no room.
        """
        job = _Job(served, given, rows, tuple(wanted), deadline)
        with self._changed:
            if self._closed:
                raise busy("the server is stopping")
            self.check_room()
            self._jobs.append(job)
            self._waiting_rows += job.count
            if len(self._jobs) == 1 or self._waiting_rows >= self._limits.batch_rows:
                self._changed.notify()  # what comes between waits with the first
        return job.future

    def close(self) -> None:
        """Compute what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            now, live = time.monotonic(), []
            for job in batch:
                if job.future.set_running_or_notify_cancel():
                    live.append(job)
            late = [job for job in live if job.deadline <= now]
            for job in late:
                job.future.set_exception(Refusal(504, "the model was busy until the request's time was over"))
            self._answer([job for job in live if job.deadline > now])

    def _next(self) -> list[_Job]:
        """The jobs of the next batch; none once there will be no more."""
        with self._changed:
            while not self._jobs:
                if self._closed:
                    return []
                self._changed.wait()
            first = self._jobs[0]
            until = min(first.arrived + self._limits.batch_seconds, first.deadline)
            while (left := until - time.monotonic()) > 0 and not self._closed:
                is_full = self._waiting_rows >= self._limits.batch_rows
                if not first.served.batches or is_full or self.pace.in_hand == 1:
                    break
                self._changed.wait(left)
            return self._taken(first)

    def _taken(self, first: _Job) -> list[_Job]:
        """The first job and those like it, as many as one batch holds; the others stay in their order."""
        taken: list[_Job] = []
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

    def _answer(self, jobs: Sequence[_Job]) -> None:
        if not jobs:
            return
        served, given = jobs[0].served, jobs[0].given
        wanted = tuple(dict.fromkeys(name for job in jobs for name in job.wanted))
        began = time.monotonic()
        try:
            found = served.compute(given, joined([job.rows for job in jobs]), wanted)
        except BaseException as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
            else:
                self._answer(jobs[: len(jobs) // 2])
                self._answer(jobs[len(jobs) // 2 :])
            return
        rows, seconds = sum(job.count for job in jobs), time.monotonic() - began
        self._done_rows = _MEMORY * self._done_rows + rows
        self._done_seconds = _MEMORY * self._done_seconds + seconds
        self._on_batch(Batch(served.name, len(jobs), rows, seconds, self._waiting_rows, served.drift))
        start = 0
        for job in jobs:
            whole = len(jobs) == 1
            outputs = {name: found[name] if whole else part_of(found[name], start, job.count) for name in job.wanted}
            job.future.set_result(outputs)
            start += job.count
