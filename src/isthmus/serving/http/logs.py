"""The log of the service: lines of JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache

LOGGER = logging.getLogger("isthmus.serving")
_LOGGED = ("request", "status", "milliseconds")


def log_answer(method: str, path: str, request: str, status: int, seconds: float) -> None:
    """A line for each request. request : its id, which needs no escapes in JSON."""
    if not LOGGER.isEnabledFor(logging.INFO):
        return
    milliseconds = round(1000 * seconds, 2)
    match LOGGER.handlers:
        case [LinesTogether() as lines]:  # without a record, which takes five times as long as the line
            head = f'{{"time": "{_moment(time.time())}", "level": "INFO", "message": {json.dumps(f"{method} {path}")}'
            lines.add(f'{head}, "request": "{request}", "status": {status}, "milliseconds": {milliseconds}}}')
        case _:
            extra = {"request": request, "status": status, "milliseconds": milliseconds}
            LOGGER.info("%s %s", method, path, extra=extra)


def _moment(seconds: float) -> str:
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class JsonLines(logging.Formatter):
    """A log record as one line of JSON: time, level, message, and what is known of the request."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _moment(record.created), "level": record.levelname, "message": record.getMessage()}
        line |= {key: getattr(record, key) for key in _LOGGED if hasattr(record, key)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class LinesTogether(logging.Handler):
    """Writes all that the event loop logs in one round to stderr with one call.

    A thread that writes hands the interpreter to another one, and must wait to get it back. Done for each request, that
    would take longer than everything else.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.add(self.format(record))

    def add(self, line: str) -> None:
        """Write a line when the round of the loop is over; at once where no loop runs in this thread."""
        self._lines.append(line + "\n")
        if len(self._lines) > 1:
            return
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self.lock or nullcontext():
            lines, self._lines = self._lines, []
        sys.stderr.write("".join(lines))
        sys.stderr.flush()


@contextmanager
def json_logs() -> Iterator[None]:
    """Write what the service and its server log to stderr, as lines of JSON, and nowhere else."""
    handler = LinesTogether()
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
        handler.flush()
