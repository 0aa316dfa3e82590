"""The server of `isthmus serve`: it listens, heeds signals, and ends without losing what it has taken on."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from isthmus.errors import IsthmusError
from isthmus.serving.http.application import Service
from isthmus.serving.http.guard import LOGGER
from isthmus.serving.http.limits import Limits

_BACKLOG = 2048
_LOGGED = ("request", "status", "milliseconds")
_IDLE_SECONDS = 75  # that a connection is kept open without a request: longer than most proxies keep theirs


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there, whose clients are not refused while the server is busy.

    Raises IsthmusError where it cannot.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise IsthmusError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error


def serve(service: Service, listener: socket.socket, limits: Limits) -> int:
    """Answer until SIGINT or SIGTERM; returns the signal's number. SIGHUP loads the models' folders again.

    A signal makes the server not ready and tells clients to leave; some time later it takes no new connections,
    finishes what it has begun, and ends. A second signal ends it at once.
    """
    config = uvicorn.Config(
        service.app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=int(limits.stop_seconds),
    )
    server = _Server(config, service, limits)
    try:
        server.run(sockets=[listener])
    finally:
        service.close()
    return server.signal


class _Server(uvicorn.Server):
    """Uvicorn's server, which ends in two steps: clients learn of it before connections are closed."""

    def __init__(self, config: uvicorn.Config, service: Service, limits: Limits) -> None:
        super().__init__(config)
        self._service, self._limits, self.signal = service, limits, 0
        self._tasks: set[asyncio.Task[None]] = set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def hear(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._hear, number)

        numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {number: signal.signal(number, hear) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

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


class JsonLines(logging.Formatter):
    """A log record as one line of JSON: time, level, message, and what is known of the request."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname, "message": record.getMessage()}
        line |= {key: getattr(record, key) for key in _LOGGED if hasattr(record, key)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


@contextmanager
def json_logs() -> Iterator[None]:
    """Write what the service and its server log to stderr, as lines of JSON, and nowhere else."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    loggers = [LOGGER, logging.getLogger("uvicorn.error")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger, level in zip(loggers, (logging.INFO, logging.WARNING), strict=True):
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
