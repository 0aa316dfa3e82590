"""What is written in a round of the event loop leaves at one go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.serving.http.loops import in_a_loop

pytest.importorskip("fastapi", reason="needs the extra serve: pip install 'isthmus[serve]'")

from isthmus.serving.http.wire import _Joined


class Wire:
    """A transport that notes what it gets, and refuses all once it is closed, as real ones do."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.closed = False

    def write(self, part: bytes) -> None:
        assert not self.closed
        self.got.append(part)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@in_a_loop
async def test_head_and_body_leave_together_and_nothing_is_kept() -> None:
    wire = Wire()
    joined: Any = _Joined(wire)  # type: ignore[arg-type]
    joined.write(b"head ")
    joined.write(b"body")
    assert not wire.got
    await asyncio.sleep(0)
    assert wire.got == [b"head body"]
    joined.write(bytes(100_000))  # what is large waits for nothing
    assert len(wire.got) == 2
    joined.write(b"last")
    joined.close()
    assert wire.got[2:] == [b"last"] and joined.is_closing()
    await asyncio.sleep(0)


@in_a_loop
async def test_a_client_that_leaves_meanwhile_is_no_error() -> None:
    wire, errors = Wire(), list[Any]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
    _Joined(wire).write(b"answer")  # type: ignore[arg-type]
    wire.closed = True
    await asyncio.sleep(0)
    assert not errors and not wire.got
