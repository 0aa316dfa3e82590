"""Sends requests to a server as they are, and says which answers should not be."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.hostile.http_requests import Request

PATIENCE, _PAUSE = 60, 1  # seconds
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass
class Seen:
    """What became of requests.

    statuses : of answers; 0 where the server hung up, which is right where a body ends before its length or another
    request follows. wrong : answers that should not be. slowest : seconds and the request.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")


def ask(port: int, content: bytes, *, whole: bool = True) -> tuple[int, bytes]:
    """The status and the body of the answer to what is sent; 0 where there is none.

    whole : whether the request is one, by its own account; else its end comes after a while.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE if whole else _PAUSE) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has answered before it has read all
            connection.sendall(content)
        received = b""
        try:
            received = _until_closed(connection)
        except TimeoutError:
            if whole:
                raise
            connection.settimeout(PATIENCE)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                received = _until_closed(connection)
    head, _, body = received.removeprefix(_CONTINUE).partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.1 (\d{3})", head)
    return int(found[1]) if found else 0, body


def _until_closed(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            received += piece
    return received


def attack(port: int, cases: Iterable[Request]) -> Seen:
    """Send requests one after the other, each on a connection of its own."""
    seen = Seen()
    for name, content in cases:
        began = time.monotonic()
        status, body = ask(port, content, whole=not name.startswith("length"))
        while status == 503:  # as any client does
            seen.statuses[503] += 1
            time.sleep(_PAUSE)
            status, body = ask(port, content)
        seen.slowest = max(seen.slowest, (time.monotonic() - began, name))
        seen.statuses[status] += 1
        if status >= 500 or (status == 0 and not name.startswith("length")):
            seen.wrong[f"{name}: {status} {body[:200]!r}"] += 1
        elif status >= 400 and not is_line(body):
            seen.wrong[f"{name}: {status} is told by {body[:100]!r}"] += 1
    return seen


def is_line(body: bytes) -> bool:
    """Whether an error is JSON of one line; what is no HTTP at all is told by the server's own text."""
    if body == b"Invalid HTTP request received.":
        return True
    try:
        return "\n" not in json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return False
