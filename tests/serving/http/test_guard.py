"""Before the endpoints: what is refused at once, and what is written of requests."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any

import pytest
from tests.serving.http.loops import apart

pytest.importorskip("fastapi", reason="needs the extra serve: pip install 'isthmus[serve]'")

from isthmus.serving.http.access import Access
from isthmus.serving.http.guard import Guard
from isthmus.serving.http.limits import Limits
from isthmus.serving.http.logs import LOGGER, json_logs
from isthmus.serving.http.metrics import Metrics
from isthmus.serving.http.model_thread import ModelThread
from isthmus.serving.http.pace import Pace


class Held:
    """An ASGI application that answers when it may."""

    def __init__(self) -> None:
        self.may_go, self.began = asyncio.Event(), 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self.began += 1
        await self.may_go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def asked(guard: Guard, length: int = 2) -> tuple[int, dict[bytes, bytes]]:
    """A request's status and headers."""
    sent: list[Any] = []
    headers = [(b"host", b"localhost"), (b"content-length", b"%d" % length)]
    scope = {"type": "http", "method": "POST", "path": "/v2/models/m/infer", "headers": headers}

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await guard(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


def test_what_there_is_no_room_for_is_refused_before_it_waits(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        limits = Limits(requests=2)
        thread, held = ModelThread(limits), Held()
        guard = Guard(held, Access(), limits, thread, Metrics())
        begun = [asyncio.ensure_future(asked(guard)) for _ in range(2)]
        while held.began < 2:
            await asyncio.sleep(0)
        status, headers = await asked(guard)
        assert status == 503 and headers[b"retry-after"] == b"1"
        assert b"connection" not in headers  # which stays open for the next request, as little is left to read
        assert (await asked(guard, 1 << 20))[1][b"connection"] == b"close"
        held.may_go.set()
        assert [status for status, _ in await asyncio.gather(*begun)] == [200, 200]
        assert (await asked(guard))[0] == 200
        thread.close()
        while "2 requests were refused" not in caplog.text:
            await asyncio.sleep(0.1)

    apart(main)


def test_a_server_that_is_slow_takes_on_less_but_never_nothing() -> None:
    def room(seconds: float) -> float:
        pace = Pace(wait_seconds=0.5, most=100)
        for i in range(20):
            pace.begin(now=i)  # between two requests there is nothing to do, which says nothing
            pace.end(now=i + seconds)
        return round(pace.room)

    assert room(0.00625) == 80
    assert (room(0.001), room(0.9)) == (100, 64)


def test_lines_of_one_round_of_the_loop_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class Stream:
        write, flush = written.append, staticmethod(lambda: None)

    async def main() -> None:
        LOGGER.info("one", extra={"status": 200})
        LOGGER.info("two")
        assert not written
        await asyncio.sleep(0)
        assert len(written) == 1

    monkeypatch.setattr("sys.stderr", Stream)
    with json_logs():
        apart(main)
        threading.Thread(target=LOGGER.warning, args=("three",)).start()  # no loop runs there: at once
        assert len(written) == 2
    lines = [json.loads(line) for line in "".join(written).splitlines()]
    assert [line["message"] for line in lines] == ["one", "two", "three"] and lines[0]["status"] == 200
    assert not LOGGER.handlers and LOGGER.level == logging.NOTSET
