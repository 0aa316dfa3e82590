"""The server of `isthmus serve`: it listens, obeys signals, and ends without losing requests that it has taken on."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from isthmus.errors import IsthmusError
from isthmus.serving.http.application import Service
from isthmus.serving.http.limits import Limits
from isthmus.serving.http.logs import LOGGER
from isthmus.serving.http.wire import Protocol
from isthmus.training.stopping import SIGNALS, handled

_BACKLOG = 2048
_IDLE_SECONDS = 75  # that a connection is kept open without a request: longer than most proxies keep theirs


def listening(host: str, port: int, shared: bool = False) -> socket.socket:
    """A socket that listens there, whose clients are not refused while the server is busy.

    shared : whether other processes listen there, too; the system deals connections out among them.

    Raises IsthmusError where it cannot.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=shared)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it; asyncio forgets to
        return listener
    except OSError as error:
        raise IsthmusError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error


def reserved(host: str, port: int) -> socket.socket:
    """A socket that keeps a port for processes that will share it, and takes no connections itself.

    Raises IsthmusError where somebody listens there, or the system cannot share ports.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise IsthmusError("processes cannot share a port on this system; leave --workers out")
    with listening(host, port) as alone:  # for two services not to mix by mistake
        address, family = alone.getsockname(), alone.family
    kept = socket.socket(family)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept.bind(address)
    return kept


def serve(
    service: Service,
    listener: socket.socket,
    limits: Limits,
    on_ready: Callable[[], None],
) -> int:
    """Answer until SIGINT or SIGTERM; returns the signal's number. SIGHUP loads the models' folders again.

    on_ready : called once requests are answered and signals obeyed.

    A signal makes the server not ready and tells clients to leave; some time later it takes no new connections,
    finishes what it has begun, and ends. A second signal ends it at once.
    """
    config = uvicorn.Config(
        service.app,
        http=Protocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=int(limits.stop_seconds),
    )
    server = _Server(config, service, limits, on_ready)
    gc.collect()
    gc.freeze()  # models stay: to look through them for garbage, again and again, holds up requests
    try:
        server.run(sockets=[listener])
    finally:
        gc.unfreeze()
        service.close()
    return server.signal


class _Server(uvicorn.Server):
    """Uvicorn's server, which ends in two steps: clients learn of it before connections are closed."""

    def __init__(self, config: uvicorn.Config, service: Service, limits: Limits, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._limits, self._on_ready, self.signal = service, limits, on_ready, 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def hear(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._hear, number)

        with handled(hear, SIGNALS):
            yield

    def _hear(self, number: int) -> None:
        if number == getattr(signal, "SIGHUP", None):
            task = asyncio.ensure_future(self._reload())
            self._tasks.add(task)  # which the loop itself holds weakly
            task.add_done_callback(self._tasks.discard)
        elif self.signal:
            self.should_exit = self.force_exit = True
        else:
            self.signal = number
            self._service.stop()
            asyncio.get_running_loop().call_later(self._limits.drain_seconds, self._close)

    def _close(self) -> None:
        """Take no new connections; those that were just made still get their answer before all are closed."""
        for server in self.servers:
            server.close()
        asyncio.get_running_loop().call_later(self._limits.drain_seconds, self._end)

    def _end(self) -> None:
        self.should_exit = True

    async def _reload(self) -> None:
        for name in self._service.repository.names():
            try:
                await asyncio.to_thread(self._service.repository.reload, name)
                LOGGER.info("model %s was loaded again", name)
            except (IsthmusError, OSError) as error:
                LOGGER.error("model %s stays as it was: %s", name, error)
