"""From a request's rows to its answer: the model thread asked, the deadline kept, a client that leaves noticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from typing import Any

from isthmus.serving.http.limits import CLIENT_LEFT, Limits, Refusal
from isthmus.serving.http.model_thread import ModelThread, Pending
from isthmus.serving.http.repository import Repository
from isthmus.serving.http.served import Served

Receive = Callable[[], Awaitable[Any]]
Reload = Callable[[str], Awaitable[None]]
_UNWATCHED = 0.05  # seconds: most requests are answered by then, and nobody asks whether their client is still there


class Answering:
    """Computes the answers for all endpoints.

    repository : the models. thread : where they compute. limits : those of requests. reload : a function that loads a
    model's folder again.
    """

    def __init__(
        self, repository: Repository, thread: ModelThread, limits: Limits, reload: Reload | None = None
    ) -> None:
        self.repository, self.thread, self.limits = repository, thread, limits
        self.reload: Reload = reload or self._load_again

    async def outputs(
        self,
        receive: Receive,
        served: Served,
        given: str,
        rows: Any,
        wanted: Iterable[str],
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """Outputs of rows by name, arrays or Arrow tables.

        receive : ASGI's `receive` of the request, whose body has been read. seconds : how long the client waits, if
        that is less than the limits allow.

        Raises `Refusal` where there is no room, or no time left.
        """
        if len(rows) == 0:
            raise Refusal(400, "there are 0 rows; at least 1 is needed")
        left = min(self.limits.seconds, seconds or self.limits.seconds)
        answer = self.thread.submit(served, given, rows, list(wanted), time.monotonic() + left)
        watch = asyncio.get_running_loop().call_later(_UNWATCHED, _watch, receive, answer)
        try:
            async with asyncio.timeout(left) if seconds else nullcontext():  # the limits' time is kept by the guard
                return await answer
        except TimeoutError as error:
            raise Refusal(504, f"there was no answer within {left:g} seconds") from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():  # it is the answer that was cancelled
                raise Refusal(CLIENT_LEFT, "the client has left") from None
            raise
        finally:
            watch.cancel()

    async def _load_again(self, name: str) -> None:
        await asyncio.to_thread(self.repository.reload, name)


def _watch(receive: Receive, answer: Pending) -> None:
    """Drop what nobody waits for, if it has not begun."""
    if not answer.done():
        gone = asyncio.ensure_future(_gone(receive))
        gone.add_done_callback(lambda _: answer.cancel())
        answer.add_done_callback(lambda _: gone.cancel())


async def _gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
