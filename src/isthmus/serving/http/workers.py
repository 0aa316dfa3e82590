"""Several processes that share a port, and the one that looks after them.

isthmus serve --workers 2 ── starts ──▶ worker, worker     servers of all models at one address (SO_REUSEPORT)
  SIGTERM, SIGINT, SIGHUP ────────────▶ each of them
  one is asked to load a model again ─▶ all do, then it answers
  one dies ──────────────────────────▶ another takes its place
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from prometheus_client import multiprocess

from isthmus.errors import IsthmusError
from isthmus.serving.http.access import Access
from isthmus.serving.http.limits import Limits
from isthmus.serving.http.logs import LOGGER
from isthmus.serving.http.metrics import METRICS_FOLDER

if TYPE_CHECKING:  # what looks after workers loads no models
    from isthmus.serving.http.answering import Reload
    from isthmus.serving.http.application import Service

_WORKER = "isthmus.serving.http.worker"


@dataclass(frozen=True)
class Plan:
    """What each worker serves, and where. folders : of models, by name. stores : of codes, by names of models."""

    folders: Mapping[str, str]
    device: str
    host: str
    port: int
    access: Access
    limits: Limits
    stores: Mapping[str, str] = field(default_factory=dict)

    def service(self, reload: Reload | None = None) -> Service:
        """What serves it here, with all models loaded. reload : see `Service`."""
        from isthmus.serving.http.application import Service
        from isthmus.serving.http.plain.stores import open_stores
        from isthmus.serving.http.repository import Repository

        repository = Repository(self.folders, self.device)
        stores = open_stores(self.stores, repository)
        return Service(repository, self.access, self.limits, stores, reload=reload)

    def to_json(self) -> str:
        """A line, from which `from_json` makes the same plan."""
        names = None if self.access.names is None else sorted(self.access.names)
        return json.dumps(asdict(self) | {"access": [self.access.token, names]}, default=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The plan of a line that `to_json` made."""
        told = json.loads(text)
        token, names = told.pop("access")
        access = Access(token, None if names is None else frozenset(names))
        return cls(**told | {"access": access, "limits": Limits(**told["limits"])})


@dataclass(eq=False)
class _Worker:
    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ready: bool = False
    failed: str | None = None  # why it could not begin
    loaded: asyncio.Future[str | None] | None = None  # the error of a model that it loads again, or None

    def tell(self, **message: Any) -> None:
        self.writer.write(json.dumps(message).encode() + b"\n")


class Workers:
    """Processes that serve one plan.

    plan : what each serves. count : how many there are. on_ready : called once when all of them answer.
    """

    def __init__(self, plan: Plan, count: int, on_ready: Callable[[], None]) -> None:
        self.plan, self.count = plan, count
        self._on_ready: Callable[[], None] | None = on_ready
        self._workers: list[_Worker] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._signal = 0  # that ends all of them
        self._error: str | None = None  # that does
        self._metrics = ""  # folder of what they count

    async def run(self) -> int:
        """Serve until SIGINT or SIGTERM; returns the signal's number once all workers have ended.

        Raises IsthmusError where one could not begin: the others are ended, too.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._hear, number)
        with tempfile.TemporaryDirectory(prefix="isthmus-metrics-") as self._metrics:
            for _ in range(self.count):
                self._begin(self._look_after())
            while self._tasks:
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # a bug here ends the workers, which lose whom they talk to
        if self._error is not None:
            raise IsthmusError(self._error)
        return self._signal

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_after(self) -> None:
        """One worker after another, until the end."""
        while not self._is_ending:
            worker = await self._started()
            self._workers.append(worker)
            if self._is_ending:
                _send(worker, signal.SIGTERM)
            with suppress(ConnectionError):  # one that is killed leaves what it was told unread
                async for line in worker.reader:
                    self._heard(worker, json.loads(line))
            status = await worker.process.wait()
            self._workers.remove(worker)
            worker.writer.close()
            if worker.loaded is not None and not worker.loaded.done():
                worker.loaded.set_result(None)
            if self._is_ending:
                return
            if not worker.ready:
                self._error = worker.failed or f"a worker ended with status {status} before it could answer"
                return self._tell_all(signal.SIGTERM)
            LOGGER.error("a worker ended with status %d; another takes its place", status)
            self._forget(worker.process.pid)

    async def _started(self) -> _Worker:
        here, there = socket.socketpair()
        with there:
            fd = there.fileno()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", _WORKER, str(fd)),
                pass_fds=[fd],
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process, which hands it on
                env={**os.environ, **self._threads(), METRICS_FOLDER: self._metrics},
            )
        reader, writer = await asyncio.open_connection(sock=here)
        writer.write(self.plan.to_json().encode() + b"\n")
        return _Worker(process, reader, writer)

    def _threads(self) -> dict[str, str]:
        """The processors, shared among the workers, unless somebody has decided otherwise."""
        each = max(1, (os.cpu_count() or 1) // self.count)
        return {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(each)}

    def _heard(self, worker: _Worker, message: Mapping[str, Any]) -> None:
        match message:
            case {"ready": _}:
                worker.ready = True
                if self._on_ready is not None and sum(one.ready for one in self._workers) == self.count:
                    self._on_ready()
                    self._on_ready = None
            case {"failed": str(reason)}:
                worker.failed = reason
            case {"reload": str(name)}:
                self._begin(self._reload(worker, name))
            case {"loaded": error} if worker.loaded is not None:
                worker.loaded.set_result(error)

    async def _reload(self, asking: _Worker, name: str) -> None:
        """Have all workers load a model's folder again; the error of one is told to the one that was asked."""
        async with self._reloading:
            loading = [worker for worker in self._workers if worker.ready]
            for worker in loading:
                worker.loaded = asyncio.get_running_loop().create_future()
                worker.tell(load=name)
            errors = [await worker.loaded for worker in loading if worker.loaded is not None]
            asking.tell(reloaded=next(filter(None, errors), None))

    def _hear(self, number: int) -> None:
        if number != signal.SIGHUP:
            self._signal = number
        self._tell_all(number)

    def _tell_all(self, number: int) -> None:
        for worker in self._workers:
            if number != signal.SIGHUP or worker.ready:  # one that begins reads the folders as they are
                _send(worker, number)

    @property
    def _is_ending(self) -> bool:
        return bool(self._signal) or self._error is not None

    def _forget(self, pid: int) -> None:
        """What a dead worker counted stays; what it measured of itself does not."""
        multiprocess.mark_process_dead(pid, self._metrics)  # type: ignore[no-untyped-call]


def _send(worker: _Worker, number: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        worker.process.send_signal(number)
