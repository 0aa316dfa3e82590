"""The log of the service: lines of JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from isthmus.serving.http.guard import LOGGER

_LOGGED = ("request", "status", "milliseconds")


class JsonLines(logging.Formatter):
    """A log record as one line of JSON: time, level, message, and what is known of the request."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname, "message": record.getMessage()}
        line |= {key: getattr(record, key) for key in _LOGGED if hasattr(record, key)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class LinesTogether(logging.Handler):
    """Writes what the event loop logs in one of its rounds at one go, to stderr.

    A thread that writes lets another one have the interpreter, and waits for it: for each request, that takes longer
    than all else that is done for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record) + "\n")
        if len(self._lines) > 1:
            return
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:  # no loop runs in this thread
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
