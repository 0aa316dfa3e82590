"""What one server takes on, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.errors import IsthmusError

MB = 1 << 20
CLIENT_LEFT = 499  # as nginx notes it: nobody reads this status


class Refusal(IsthmusError):
    """A request that is not answered: one line, and the HTTP status that says whose fault it is.

    headers : of the answer, beside its own.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


def busy(message: str) -> Refusal:
    """The refusal of what could be answered a little later."""
    return Refusal(503, message, {"Retry-After": "1"})


@dataclass(frozen=True)
class Limits:
    """What a server takes on. The defaults suit one machine with a few GB of memory.

    body_bytes : of one request. json_bytes : of its JSON, which takes up to forty times its size in memory. requests,
    bodies_bytes : of all that are answered at the same time; more are refused at once. rows, values : of one request.
    pixels : of its image files, each channel counted. unpacked_bytes : that its packed files may unpack to. seconds :
    until a request must be answered. wait_seconds : that requests may have to wait for others, by the pace of the
    latest answers; more are refused at once. queue_rows : that wait for the model, however fast it is. batch_rows : of
    what is computed together. batch_seconds : that a batch which is smaller than the one before waits for one more
    request. drain_seconds : after SIGTERM, while new requests are still answered, and as long again until connections
    are closed. stop_seconds : after that, until requests that are not answered are given up.
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
