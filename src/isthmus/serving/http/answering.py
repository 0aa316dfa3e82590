"""From a request's rows to its answer: the model thread asked, the deadline kept, a client that leaves noticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastapi import Request

from isthmus.serving.http.limits import CLIENT_LEFT, Limits, Refusal
from isthmus.serving.http.model_thread import ModelThread
from isthmus.serving.http.repository import Repository
from isthmus.serving.http.served import Served

Reload = Callable[[str], Awaitable[None]]


class Answering:
    """What endpoints ask for everything they need.

    repository : the models. thread : what computes. limits : of requests. reload : loads the folder of a model again.
    """

    def __init__(
        self, repository: Repository, thread: ModelThread, limits: Limits, reload: Reload | None = None
    ) -> None:
        self.repository, self.thread, self.limits = repository, thread, limits
        self.reload: Reload = reload or self._load_again

    async def outputs(
        self,
        request: Request,
        served: Served,
        given: str,
        rows: Any,
        wanted: Iterable[str],
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """Outputs of rows by name, arrays or Arrow tables.

        seconds : that the client waits, if these are fewer than the limits allow.

        Raises `Refusal` where there is no room, or no time left.
        """
        if len(rows) == 0:
            raise Refusal(400, "there are 0 rows; at least 1 is needed")
        left = min(self.limits.seconds, seconds or self.limits.seconds)
        future = self.thread.submit(served, given, rows, list(wanted), time.monotonic() + left)
        answer = asyncio.wrap_future(future)  # whose end drops what nobody waits for, if it has not begun
        gone = asyncio.ensure_future(_gone(request))
        gone.add_done_callback(lambda _: answer.cancel())
        try:
            async with asyncio.timeout(left):
                return await answer
        except TimeoutError as error:
            raise Refusal(504, f"there was no answer within {left:g} seconds") from error
        except asyncio.CancelledError:
            if gone.done():
                raise Refusal(CLIENT_LEFT, "the client has left") from None
            raise
        finally:
            gone.cancel()

    async def _load_again(self, name: str) -> None:
        await asyncio.to_thread(self.repository.reload, name)


async def _gone(request: Request) -> None:
    """Return when the client has left; the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
