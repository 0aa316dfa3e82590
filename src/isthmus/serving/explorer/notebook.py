"""The explorer in a notebook: served by the notebook's own process, and shown in a frame."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

from isthmus.serving.explorer.prepared import Prepared, assembled

_HEIGHT = 880  # pixels of the frame


class Served:
    """The same app that `isthmus explore` serves, from a thread of this process.

    url : its address; asking for it, or showing the object, starts the server.
    """

    def __init__(self, pages: Mapping[str, Prepared]) -> None:
        self._pages = pages
        self._server: Any = None
        self._url = ""

    @property
    def url(self) -> str:
        """The address of the page, http://127.0.0.1:PORT/TOKEN/, where the token is new for each server."""
        if self._server is None:
            found: list[Any] = []
            ready = threading.Event()
            threading.Thread(target=self._serve, args=(found, ready), name="isthmus-explore", daemon=True).start()
            ready.wait()
            if isinstance(found[0], Exception):
                raise found[0]
            self._server, self._url = found[0]
        return self._url

    def stop(self) -> None:
        """End the server; the page answers no more."""
        server, self._server = self._server, None
        if server is not None:
            server.io_loop.add_callback(server.io_loop.stop)
        for page in self._pages.values():
            page.stop()

    def _serve(self, found: list[Any], ready: threading.Event) -> None:
        from isthmus.serving.explorer.server import listening

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            server, access = listening(lambda: assembled(self._pages), "127.0.0.1", None, "isthmus")
            server.start()
        except Exception as error:  # raised where the page was asked for
            found.append(error)
            ready.set()
            return
        found.append((server, access.url))
        ready.set()
        server.io_loop.start()
        server.stop()

    def _repr_html_(self) -> str:
        return f'<iframe src="{self.url}" title="isthmus" width="100%" height="{_HEIGHT}" style="border: 0"></iframe>'
