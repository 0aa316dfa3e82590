"""How answers go over the wire: head and body of a small one in one write.

Uvicorn writes them one after the other: two system calls and two packets, which wake the client twice. For an answer of
some bytes they take a quarter of the event loop's time.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LARGE = 1 << 16  # bytes that wait for no others


class Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, which writes once in a round of the event loop."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joined(transport))  # type: ignore[arg-type]


class _Joined:
    """A transport that gathers what is written in a round of the loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._parts, self._size = transport, list[bytes](), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, part: bytes) -> None:
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(part)
        self._size += len(part)
        if self._size > _LARGE:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            if not self._transport.is_closing():  # the client may have left in the same round
                self._transport.write(b"".join(parts))
