"""What stands between the network and the endpoints: who may ask, how much, how long; and one log line a request."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from isthmus.serving.http.access import Access
from isthmus.serving.http.limits import CLIENT_LEFT, Limits, Refusal, busy
from isthmus.serving.http.logs import LOGGER, log_answer
from isthmus.serving.http.metrics import Metrics
from isthmus.serving.http.model_thread import ModelThread
from isthmus.serving.http.pace import Pace

_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_CLOSE = {"Connection": "close"}
_HEALTH = "/v2/health/"
_SMALL = 1 << 16  # bytes of a body that are read to its end, for the connection's next request, after it was refused
_RUN, _NUMBERS = secrets.token_hex(4), itertools.count(1)  # of which the names of requests are made


@dataclass(eq=False, slots=True)
class _Exchange:
    """One request and what becomes of it."""

    scope: Any
    receive: Any
    send: Any
    headers: dict[str, str]
    id: str
    size: int | None = None  # of the body, as the client says
    began: float = field(default_factory=time.monotonic)
    status: int = 0
    admitted: bool = False
    in_hand: bool = False
    read: int = 0


class Guard:
    """ASGI middleware around all of an application.

    app : what answers. access, limits : who may ask, and how much. thread : its queue must have room. metrics : count
    all answers. stopping : whether clients are told to leave; the server sets it.
    """

    def __init__(self, app: Any, access: Access, limits: Limits, thread: ModelThread, metrics: Metrics) -> None:
        self.app, self.access, self.limits, self.thread, self.metrics = app, access, limits, thread, metrics
        self.pace = Pace(limits.wait_seconds, limits.requests)
        self.stopping = False
        self._turned_away = 0  # since the last line of log about that
        self._requests, self._bytes = 0, 0  # that are being answered, or still read; and of their bodies

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "POST":
            try:
                self._check_room()
            except Refusal as refusal:
                await self._turn_away(refusal, scope, send)
                return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        id_ = given if _ID.fullmatch(given) else f"{_RUN}-{next(_NUMBERS):x}"
        length = headers.get("content-length", "")
        size = int(length[:20]) if length.isascii() and length.isdigit() else None
        exchange = _Exchange(scope, receive, send, headers, id_, size)
        try:
            await self._answer(exchange)
        finally:
            self._put_away(exchange)
            if exchange.admitted:
                self._requests -= 1
                self._bytes -= self._reserved(exchange)
            self._tell(exchange)

    async def _answer(self, exchange: _Exchange) -> None:
        receive, send = self._receiver(exchange), self._sender(exchange)
        try:
            self.access.check(exchange.scope["path"], exchange.headers)
            self._admit(exchange)
            async with asyncio.timeout(self.limits.seconds):
                await self.app(exchange.scope, receive, send)
        except Refusal as refusal:
            small = exchange.size is not None and exchange.size <= _SMALL
            await refuse(send, refusal.status, str(refusal), refusal.headers | ({} if small else _CLOSE))
        except TimeoutError:
            if not exchange.status:
                message = f"the request took more than {self.limits.seconds:g} seconds"
                await refuse(send, 504, message, _CLOSE)
        except Exception:  # which has been answered as such
            LOGGER.exception("a bug in isthmus", extra={"request": exchange.id})

    def _admit(self, exchange: _Exchange) -> None:
        """Refuse what is too large before any of its body is read."""
        if exchange.scope["method"] != "POST":
            return
        size = self._reserved(exchange)
        if size > self.limits.body_bytes:
            raise Refusal(413, f"the body has {size:,} bytes; at most {self.limits.body_bytes:,} are read")
        if exchange.headers.get("content-encoding", "identity") != "identity":
            raise Refusal(
                415, f"Content-Encoding {exchange.headers['content-encoding'][:40]!r} is not read; send it plain"
            )
        if self._bytes + size > self.limits.bodies_bytes:
            raise busy("other requests' bodies fill the memory for them; try again a little later")
        exchange.admitted = True
        self._requests += 1
        self._bytes += size

    def _check_room(self) -> None:
        if self._requests >= self.limits.requests or self.pace.in_hand >= self.pace.room:
            raise busy(f"{self._requests:,} requests are being answered already; try again a little later")
        self.thread.check_room()

    async def _turn_away(self, refusal: Refusal, scope: Any, send: Any) -> None:
        """Refuse before anything else is done, as others wait meanwhile; a line a second says how many."""
        if not self._turned_away:
            asyncio.get_running_loop().call_later(1, self._tell_turned_away)
        self._turned_away += 1
        self.metrics.answered("other", refusal.status, 0.0)
        size = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        small = size.isdigit() and int(size[:20]) <= _SMALL and not self.stopping
        await refuse(send, refusal.status, str(refusal), refusal.headers | ({} if small else _CLOSE))

    def _tell_turned_away(self) -> None:
        LOGGER.warning("%d requests were refused, as there was no room", self._turned_away, extra={"status": 503})
        self._turned_away = 0

    def _reserved(self, exchange: _Exchange) -> int:
        """Bytes that are set aside for a body: all that may come, where the client does not say how many."""
        return self.limits.body_bytes if exchange.size is None else exchange.size

    def _receiver(self, exchange: _Exchange) -> Any:
        async def receive() -> Any:
            message = await exchange.receive()
            exchange.read += len(message.get("body", b""))
            if exchange.read > self.limits.body_bytes:
                raise Refusal(413, f"the body has more than the {self.limits.body_bytes:,} bytes that are read")
            whole = message["type"] == "http.request" and not message.get("more_body")
            if whole and exchange.admitted and not exchange.in_hand and not exchange.status:
                exchange.in_hand = True
                self.pace.begin()
            return message

        return receive

    def _sender(self, exchange: _Exchange) -> Any:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                self._put_away(exchange)
                more = [(b"x-request-id", exchange.id.encode()), (b"x-content-type-options", b"nosniff")]
                if self.stopping:
                    more.append((b"connection", b"close"))
                message = {**message, "headers": [*message["headers"], *more]}
            await exchange.send(message)

        return send

    def _put_away(self, exchange: _Exchange) -> None:
        if exchange.in_hand:
            exchange.in_hand = False
            self.pace.end(answered=0 < exchange.status < CLIENT_LEFT)

    def _tell(self, exchange: _Exchange) -> None:
        """Write one line, and count."""
        scope, seconds = exchange.scope, time.monotonic() - exchange.began
        route = getattr(scope.get("route"), "path", None)
        endpoint = f"{scope['method']} {route}" if route else "other"
        self.metrics.answered(endpoint, exchange.status, seconds)
        if route is None or not route.startswith(_HEALTH):
            log_answer(scope["method"], scope["path"][:200], exchange.id, exchange.status, seconds)


async def refuse(send: Any, status: int, message: str, headers: dict[str, str]) -> None:
    """Answer with an error: JSON of one line."""
    body = json.dumps({"error": " ".join(message.split())}).encode()
    given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
