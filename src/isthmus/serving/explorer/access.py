"""Who may use a server of pages: whoever knows its token and calls it by its own name.

The token is the first part of every path, as in ``http://127.0.0.1:5006/TOKEN/``: pages, scripts and web sockets lie
below it, a frame in another site's page (a notebook's) needs no cookie, and no server at another port of this machine
learns it. The name is checked because a site elsewhere can have its own name lead to 127.0.0.1 ("DNS rebinding"), and
its pages would then count as ours.
"""

from __future__ import annotations

import hmac
import secrets
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from isthmus.serving.hosts import EVERYWHERE, LOCAL, is_number, is_open


@dataclass(frozen=True)
class Access:
    """The addresses of one server.

    host, port : where it listens. token : what every request must bring; new for each server.

    >>> access = Access("127.0.0.1", 5006, token="secret")
    >>> access.url
    'http://127.0.0.1:5006/secret/'
    >>> access.refusal("/secret/", "127.0.0.1:5006"), access.refusal("/secret/", "evil.example:5006")
    (None, 'this server is not called evil.example:5006: open the address that was printed')
    """

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)

    @property
    def url(self) -> str:
        """The address of the page on this machine."""
        return self._address("localhost" if self.host in EVERYWHERE else self.host)

    @property
    def elsewhere(self) -> str | None:
        """The address of the page on other machines; None where none can reach it."""
        if self.host in EVERYWHERE:
            return self._address(socket.gethostname())
        return self.url if is_open(self.host) else None

    def refusal(self, path: str, host: str) -> str | None:
        """Why a request is not answered, in one line; None where it is.

        path : the one that is asked for. host : the name and port by which the client calls this server.
        """
        if not self.is_own(host):
            return f"this server is not called {host}: open the address that was printed"
        given = path.removeprefix("/").partition("/")[0]
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return "open the address that was printed: it ends in a token, which is missing here"
        return None

    def is_own(self, host: str) -> bool:
        """Whether this server is called so, as in "127.0.0.1:5006"; any IP address will do if it listens everywhere."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        return port == self.port and (name in self._names or (self.host in EVERYWHERE and is_number(name)))

    @property
    def _names(self) -> set[str]:
        if self.host in EVERYWHERE:
            return {*LOCAL, socket.gethostname().lower(), socket.getfqdn().lower()}
        return {self.host.lower(), *(LOCAL if self.elsewhere is None else ())}

    def _address(self, name: str) -> str:
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.port}/{self.token}/"
