"""A page for a browser on this machine, until Ctrl-C."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

from isthmus.errors import IsthmusError
from isthmus.serving.explorer.prepared import panel

PORT = 5006
_TRIES = 20  # ports after PORT that are tried where none was asked for
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
    """Serve a page until Ctrl-C.

    page : makes the Panel object of one session. host : the address to listen at; whoever can reach it can use the
    page. port : None takes the first free one from 5006 on. on_ready : is told the URL once the server listens.

    Only pages that come from this server may talk to it: the websocket's origin is checked.
    """
    server = listening(page, host, port, title)
    server.start()
    url = f"http://{'localhost' if host in _EVERYWHERE else host}:{server.port}/"
    on_ready(url)
    if browser:
        import webbrowser

        server.io_loop.add_callback(webbrowser.open, url)
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


def listening(page: Callable[[], Any], host: str, port: int | None, title: str) -> Any:
    """A server of that page, on the event loop of this thread; it has yet to be started."""
    for name in ("bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.ERROR)  # a browser that leaves is no news
    for name in ("bokeh.server.views.ws", "tornado.application"):
        logging.getLogger(name).addFilter(_in_a_line)
    from panel.io.server import get_server

    _answer_at_once()
    from isthmus.serving.explorer.cards import DARK_SHEET

    config = panel().config
    config.autoreload = False
    config.raw_css = [
        f"@media (prefers-color-scheme: dark) {{ html {{ color-scheme: dark; background: {DARK_SHEET}; }} "
        "body { background: transparent; } }"
    ]
    ports = range(PORT, PORT + _TRIES) if port is None else [port]
    for candidate in ports:
        try:
            return get_server(
                {"/": page}, candidate, address=host, websocket_origin=origins(host, candidate), title=title
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port is not None:
                raise IsthmusError(f"cannot listen at {host}:{candidate}: {error.strerror or error}") from error
    raise IsthmusError(f"ports {PORT} to {PORT + _TRIES - 1} are all in use; give --port")


def _answer_at_once() -> None:
    """Let the server's messages leave one by one.

    One answer is several small writes, and Nagle's algorithm keeps the second until the browser has acknowledged the
    first, which may take it 40 ms. Panel sets handlers of its own in the same list.
    """
    from bokeh.server import urls
    from bokeh.server.views.ws import WSHandler

    for place, (path, kind, *_) in enumerate(urls.per_app_patterns):
        if issubclass(kind, WSHandler) and not issubclass(kind, _Prompt):
            urls.per_app_patterns[place] = (path, type("PromptWSHandler", (_Prompt, kind), {}))


class _Prompt:
    """What a handler of a websocket is mixed with so that nothing it sends waits."""

    def open(self) -> None:
        self.set_nodelay(True)  # type: ignore[attr-defined]
        super().open()  # type: ignore[misc]


def _in_a_line(record: logging.LogRecord) -> bool:
    """Say who was refused in one line, and nothing of who then does not speak the page's protocol."""
    if "from Origin" in str(record.msg):
        origin = record.args[0] if isinstance(record.args, tuple) and record.args else "elsewhere"
        record.msg, record.args = f"a page of {origin} was refused: open the address that was printed", None
    return "GET /ws" not in record.getMessage()


def origins(host: str, port: int) -> list[str]:
    """The addresses under which a browser may have got the page."""
    names = {host} if host not in _EVERYWHERE else {*_LOCAL, socket.gethostname(), socket.getfqdn()}
    if host in _LOCAL:
        names = set(_LOCAL)
    return sorted(f"{name}:{port}" for name in names)
