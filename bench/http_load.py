"""Clients of a server on this machine, many in one process, which cost it as little as Python allows.

In a closed loop each client asks as soon as it is answered; in an open one requests come at a rate, whatever becomes of
earlier ones, and are timed from when they were due.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

_FIRST_CONNECTIONS, _MOST_CONNECTIONS = 256, 1024  # of an open loop


def infer(image: np.ndarray, model: str = "digits") -> bytes:
    """An inference request for the code of one image of 28 x 28, as bytes."""
    tensor = {"name": "input", "datatype": "UINT8", "shape": [1, 28, 28], "parameters": {"binary_data_size": 784}}
    wanted = [{"name": "code", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
    extra = f"Inference-Header-Content-Length: {len(head)}\r\n"
    return post(f"/v2/models/{model}/infer", head + image.tobytes(), extra)


def infer_json(image: np.ndarray, model: str = "digits") -> bytes:
    """The same as JSON, and its answer, too."""
    tensor = {"name": "input", "datatype": "UINT8", "shape": [1, 28, 28], "data": image.ravel().tolist()}
    body = json.dumps({"inputs": [tensor], "outputs": [{"name": "code"}]}).encode()
    return post(f"/v2/models/{model}/infer", body, "Content-Type: application/json\r\n")


def post(path: str, body: bytes, extra: str = "") -> bytes:
    """A request, as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass
class Load:
    """What clients saw. times : of answers with status 200, in seconds; refusals : of those with 503. statuses : of
    all. wrong : answers that differ from what is right. unsent : requests that
    found no connection, as too many waited for an answer. lost : those whose connection closed without one.
    """

    times: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    unsent: int = 0
    lost: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers with status 200 a second."""
        return len(self.times) / self.seconds

    def __str__(self) -> str:
        said = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        text = (
            f"{self.rate:,.0f} answers/s, {_spread(self.times)}; statuses {said}; wrong {self.wrong}, lost {self.lost}"
        )
        text = f"{text}, unsent {self.unsent}" if self.unsent else text
        return f"{text}; 503 after {_spread(self.refusals)}" if self.refusals else text


def _spread(times: Sequence[float]) -> str:
    if not times:
        return "none"
    low, high = 1000 * np.quantile(times, [0.5, 0.99])
    return f"median {low:.2f} ms, p99 {high:.1f} ms"


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    number: int  # of the request that is asked
    due: float = 0.0
    got: bytes = b""
    length: int = 0  # of the answer, once its head is there
    asked: bool = False


class Clients:
    """Ask a server on this machine.

    requests : as they go over the wire, asked one after another. right : the code (10,) of each; may be empty.
    """

    def __init__(self, port: int, requests: Sequence[bytes], right: np.ndarray) -> None:
        self._port, self._requests, self._right = port, requests, right
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._free: deque[_Connection] = deque()
        self._load, self._number, self._return = Load(), 0, True
        self._codes: list[
            tuple[int, bytes]
        ] = []  # that were answered to which request, held against the right ones later

    def closed_loop(
        self, clients: int, seconds: float, until: Callable[[], bool] = lambda: False, back: bool = True
    ) -> Load:
        """So many clients, each with one request at a time. until : ends it earlier. back : whether clients come back
        when the server has told them to leave.
        """
        self._return = back
        began = time.monotonic()
        for _ in range(clients):
            self._ask(self._connected(), time.monotonic())
        while (now := time.monotonic()) < began + seconds and self._open and not until():
            for connection in self._answered(min(0.1, began + seconds - now)):
                self._ask(connection, time.monotonic())  # at once, while others' answers are still unread
        return self._ended(began)

    def open_loop(self, rate: float, seconds: float) -> Load:
        """Requests that come at even distances, so many a second."""
        self._free.extend(self._connected() for _ in range(_FIRST_CONNECTIONS))
        began, asked = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            while asked < rate * (now - began):
                if self._free or len(self._open) < _MOST_CONNECTIONS:
                    self._ask(self._free.popleft() if self._free else self._connected(), began + asked / rate)
                else:
                    self._load.unsent += 1
                asked += 1
            self._free.extend(self._answered(0.001))
        end = time.monotonic() + 30
        while len(self._free) < len(self._open) and time.monotonic() < end:
            self._free.extend(self._answered(0.1))
        self._load.lost += len(self._open) - len(self._free)
        return self._ended(began, seconds)

    def _connected(self) -> _Connection:
        made = _Connection(socket.create_connection(("127.0.0.1", self._port)), 0)
        made.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(made.socket, select.EPOLLIN)
        self._open[made.socket.fileno()] = made
        return made

    def _ask(self, connection: _Connection, due: float) -> None:
        connection.number, self._number = self._number % len(self._requests), self._number + 1
        connection.due, connection.got, connection.length, connection.asked = due, b"", 0, True
        try:
            connection.socket.sendall(self._requests[connection.number])
        except OSError:
            self._left(connection)

    def _left(self, connection: _Connection) -> None:
        self._load.lost += connection.asked
        self._closed(connection)

    def _closed(self, connection: _Connection) -> None:
        self._open.pop(connection.socket.fileno(), None)
        self._poll.unregister(connection.socket)
        connection.socket.close()
        if connection in self._free:
            self._free.remove(connection)

    def _answered(self, patience: float) -> Iterator[_Connection]:
        """Connections whose request has been answered, and that may be asked again."""
        for number, _ in self._poll.poll(max(patience, 0)):
            connection = self._open[number]
            try:
                some = connection.socket.recv(1 << 16)
            except ConnectionError:
                some = b""
            if not some:
                self._left(connection)
            elif self._is_whole(connection, some):
                connection.asked = False
                if b"onnection: close" in connection.got[: connection.got.find(b"\r\n\r\n")]:
                    self._closed(connection)
                    if self._return:
                        yield self._connected()
                else:
                    yield connection

    def _is_whole(self, connection: _Connection, some: bytes) -> bool:
        connection.got += some
        if not connection.length:
            end = connection.got.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = connection.got[:end].lower() + b"\r"
            place = head.index(b"content-length: ") + 16
            connection.length = end + 4 + int(head[place : head.index(b"\r", place)])
        if len(connection.got) < connection.length:
            return False
        load, status = self._load, int(connection.got[9:12])
        load.statuses[status] += 1
        if status == 200:
            load.times.append(time.monotonic() - connection.due)
            if len(self._right):
                self._codes.append((connection.number, connection.got[-40:]))
        elif status == 503:
            load.refusals.append(time.monotonic() - connection.due)
        return True

    def _ended(self, began: float, seconds: float | None = None) -> Load:
        self._load.seconds = seconds or time.monotonic() - began
        if self._codes:
            codes = np.frombuffer(b"".join(code for _, code in self._codes), np.float32).reshape(-1, 10)
            right = self._right[[number for number, _ in self._codes]]
            self._load.wrong = int((~np.isclose(codes, right, rtol=1e-3, atol=1e-4)).any(1).sum())
        for connection in list(self._open.values()):
            connection.socket.close()
        self._poll.close()
        return self._load
