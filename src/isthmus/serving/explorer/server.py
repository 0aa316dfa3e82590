"""A page for a browser on this machine, until Ctrl-C.

The server shares nothing with other servers of the same process: Panel's `get_server` would set signal handlers and
settings of the whole process.
"""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable
from typing import Any

from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from bokeh.server.views.ws import WSHandler
from panel.io.application import build_applications
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import RequestHandler

from isthmus.errors import IsthmusError

PORT = 5006
_TRIES = 20  # ports from PORT on that are tried where none was asked for
_LOCAL = ("127.0.0.1", "localhost")
_EVERYWHERE = ("0.0.0.0", "::", "")


def serve(
    page: Callable[[], Any],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    title: str = "isthmus",
    browser: bool = True,
    on_ready: Callable[[str], None] = print,
) -> None:
    """Serve a page from the main thread until Ctrl-C or SIGTERM.

    page : makes the Panel object of one session. host : the address to listen at; whoever can reach it can use the
    page. port : None takes the first free one from 5006 on. on_ready : is told the URL once the server listens.

    Only pages that come from this server may talk to it: the websocket's origin is checked.
    """
    server = listening(page, host, port, title)
    loop = server.io_loop
    server.start()
    url = f"http://{'localhost' if host in _EVERYWHERE else host}:{server.port}/"

    def end(number: int, frame: Any) -> None:
        loop.asyncio_loop.call_soon_threadsafe(loop.stop)  # type: ignore[attr-defined]

    before = {kind: signal.signal(kind, end) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        on_ready(url)
        if browser:
            import webbrowser

            loop.add_callback(webbrowser.open, url)
        loop.start()
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
        server.stop()


def listening(page: Callable[[], Any], host: str, port: int | None, title: str) -> BaseServer:
    """A server of that page, on the event loop of this thread; it has yet to be started.

    Raises IsthmusError where it cannot listen at that address.
    """
    sockets, port = _bound(host, port)
    apps = build_applications(page, title=title, location=False)
    app = _PromptTornado(apps, extra_websocket_origins=origins(host, port))
    http = HTTPServer(app)
    http.add_sockets(sockets)
    return BaseServer(IOLoop.current(), app, http)


def _bound(host: str, port: int | None) -> tuple[list[socket.socket], int]:
    """Sockets at that port, or at the first free one from `PORT` on; and the port."""
    for candidate in range(PORT, PORT + _TRIES) if port is None else [port]:
        try:
            return bind_sockets(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port is not None:
                raise IsthmusError(f"cannot listen at {host}:{candidate}: {error.strerror or error}") from error
    raise IsthmusError(f"ports {PORT} to {PORT + _TRIES - 1} are all in use; give --port")


class _PromptTornado(BokehTornado):
    """Bokeh's web application, whose websockets send at once.

    One answer is several small writes, and Nagle's algorithm keeps the second until the browser has acknowledged the
    first, which may take it 40 ms.
    """

    def get_handler_delegate(  # type: ignore[override]
        self, request: HTTPServerRequest, target_class: type[RequestHandler], *args: Any, **kwargs: Any
    ) -> HTTPMessageDelegate:
        if issubclass(target_class, WSHandler):
            target_class = type("PromptWSHandler", (_Prompt, target_class), {})
        return super().get_handler_delegate(request, target_class, *args, **kwargs)


class _Prompt:
    """What a handler of a websocket is mixed with so that nothing it sends waits."""

    def open(self) -> None:
        self.set_nodelay(True)  # type: ignore[attr-defined]
        super().open()  # type: ignore[misc]


def origins(host: str, port: int) -> list[str]:
    """The addresses under which a browser may have got the page."""
    names = {host} if host not in _EVERYWHERE else {*_LOCAL, socket.gethostname(), socket.getfqdn()}
    if host in _LOCAL:
        names = set(_LOCAL)
    return sorted(f"{name}:{port}" for name in names)
