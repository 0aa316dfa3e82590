"""What one server takes on, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.errors import IsthmusError

MB = 1 << 20
CLIENT_LEFT = 499  # as nginx notes it: nobody reads this status


class Refusal(IsthmusError):
    """A request that is not answered: one line, and the HTTP status that says whose fault it is.

    headers : further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


def busy(message: str) -> Refusal:
    """The refusal of a request that could be answered a little later."""
    return Refusal(503, message, {"Retry-After": "1"})


@dataclass(frozen=True)
class Limits:
    """What a server takes on. The defaults suit one machine with a few GB of memory.

    body_bytes : largest body of one request. json_bytes : largest JSON, which takes up to forty times its size in
    memory. requests, bodies_bytes : most requests that are answered at the same time, and bytes of their bodies; more
    are refused at once. rows, values : most in one request. pixels : most in its image files, each channel counted.
    unpacked_bytes : most that its packed files may unpack to. seconds : time in which a request must be answered.
    wait_seconds : how long a request may have to wait for others, by the pace of the latest answers; those that would
    wait longer are refused at once. queue_rows : most rows that wait for the model, however fast it is. batch_rows :
    most rows that are computed together. batch_seconds : how long a batch that is smaller than the one before waits for
    one more request. drain_seconds : how long new requests are still answered after SIGTERM, and then again how long
    until connections are closed. stop_seconds : how long after that unanswered requests are given up.
    """

    body_bytes: int = 64 * MB
    json_bytes: int = 8 * MB
    requests: int = 256
    bodies_bytes: int = 256 * MB
    rows: int = 65_536
    values: int = 32 * MB
    pixels: int = 16 * MB
    unpacked_bytes: int = 128 * MB
    seconds: float = 30.0
    wait_seconds: float = 0.4
    queue_rows: int = 16_384
    batch_rows: int = 256
    batch_seconds: float = 0.002
    drain_seconds: float = 0.3
    stop_seconds: float = 30.0
