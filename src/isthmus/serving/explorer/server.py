"""A page for a browser on this machine, until Ctrl-C.

The server shares nothing with other servers of the same process: Panel's `get_server` would set signal handlers and
settings of the whole process.
"""

from __future__ import annotations

import errno
import gc
import logging
import socket
import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import panel.models.file_dropper  # noqa: F401  (Bokeh knows its scripts from then on)
from bokeh.application.handlers.lifecycle import LifecycleHandler
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from bokeh.server.views.ico_handler import IcoHandler
from bokeh.server.views.ws import WSHandler
from bokeh.util.warnings import BokehUserWarning
from panel.io.application import build_applications
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import RequestHandler

from isthmus.errors import IsthmusError, warn
from isthmus.serving.explorer.access import Access
from isthmus.training.stopping import SIGNALS, handled

PORT = 5006
_TRIES = 20  # ports from PORT on that are tried where none was asked for


def serve(
    page: Callable[[], Any],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    title: str = "isthmus",
    browser: bool = True,
    on_ready: Callable[[str], None] = print,
) -> int:
    """Serve a page from the main thread until a signal; returns its number (2 for Ctrl-C, 15 for SIGTERM, ...).

    page : makes the Panel object of one session. host : the address to listen at. port : None takes the first free one
    from 5006 on. on_ready : called with the URL once the server listens.

    Nothing is answered without the token in that URL, or under a name that is not this server's; see `Access`. Where
    other machines can reach it, a warning says so.
    """
    server, access = listening(page, host, port, title)
    loop, ended = server.io_loop, [0]
    server.start()

    def end(number: int, frame: Any) -> None:
        ended[0] = number
        loop.asyncio_loop.call_soon_threadsafe(loop.stop)  # type: ignore[attr-defined]

    # What came to a page later, as a tab's content, is sent back once, whole; Bokeh keeps what it has, and warns.
    warnings.filterwarnings("ignore", "reference already known", BokehUserWarning)
    try:
        with handled(end, SIGNALS):
            if access.elsewhere is not None:
                warn(
                    f"other machines can reach this page, at {access.elsewhere}: whoever has that address can use it, "
                    "and the connection is not encrypted"
                )
            on_ready(access.url)
            if browser:
                import webbrowser

                loop.add_callback(webbrowser.open, access.url)
            loop.start()
    finally:
        server.stop()
    return ended[0]


def listening(page: Callable[[], Any], host: str, port: int | None, title: str) -> tuple[BaseServer, Access]:
    """A server of that page, on the event loop of this thread, which has yet to be started; and its addresses.

    Raises IsthmusError where it cannot listen at that address.
    """
    sockets, port = _bound(host, port)
    access = Access(host, port)
    apps = build_applications(page, title=title, location=False)
    for one in apps.values():
        one.add(_Tidy())
    app = _GuardedTornado(access, apps)
    http = HTTPServer(app)
    http.add_sockets(sockets)
    return BaseServer(IOLoop.current(), app, http), access


def _bound(host: str, port: int | None) -> tuple[list[socket.socket], int]:
    """Sockets at that port, or at the first free one from `PORT` on; and the port."""
    for candidate in range(PORT, PORT + _TRIES) if port is None else [port]:
        try:
            return bind_sockets(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port is not None:
                raise IsthmusError(f"cannot listen at {host}:{candidate}: {error.strerror or error}") from error
    raise IsthmusError(f"ports {PORT} to {PORT + _TRIES - 1} are all in use; give --port")


class _Tidy(LifecycleHandler):
    """Gives back the memory of pages that were left.

    Each is a knot of some ten thousand objects that hold one another, which Python unties by itself only when there are
    a quarter as many as all that torch and Panel have.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_due = False

    async def on_session_destroyed(self, session_context: Any) -> None:
        if not self._is_due:  # of pages that are left together, once
            self._is_due = True
            IOLoop.current().call_later(1, self._tidy)

    def _tidy(self) -> None:
        self._is_due = False
        gc.collect()


class _GuardedTornado(BokehTornado):
    """Bokeh's web application, which answers who may ask, and whose websockets send at once.

    One answer is several small writes, and Nagle's algorithm keeps the second until the browser has acknowledged the
    first, which may take it 40 ms.
    """

    def __init__(self, access: Access, apps: Any) -> None:
        self.access = access
        icon = ("/favicon.ico", IcoHandler, {"app": self})  # which Bokeh alone has at the root, where nothing is
        super().__init__(apps, prefix=access.token, extra_patterns=[icon])

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """What answers a request, of whatever kind: there is no way past this."""
        refusal = self.access.refusal(request.path, request.host)
        if refusal is not None:
            return self.get_handler_delegate(request, _Refused, {"reason": refusal})
        return super().find_handler(request, **options)

    def get_handler_delegate(  # type: ignore[override]
        self, request: HTTPServerRequest, target_class: type[RequestHandler], *args: Any, **kwargs: Any
    ) -> HTTPMessageDelegate:
        if issubclass(target_class, WSHandler):
            target_class = type("OwnWSHandler", (_Own, target_class), {})
        return super().get_handler_delegate(request, target_class, *args, **kwargs)


class _Refused(RequestHandler):
    """Says in one line why nothing is answered."""

    def initialize(self, reason: str) -> None:
        self._refusal = reason

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"isthmus: {self._refusal}\n")


class _Own:
    """What a handler of a websocket is mixed with: it talks to this server's own pages, and nothing it sends waits."""

    def check_origin(self, origin: str) -> bool:
        own: bool = self.application.access.is_own(urlsplit(origin).netloc)  # type: ignore[attr-defined]
        if not own:
            logging.getLogger(__name__).error("a page of %s was refused: open the address that was printed", origin)
        return own

    def open(self) -> None:
        self.set_nodelay(True)  # type: ignore[attr-defined]
        super().open()  # type: ignore[misc]
