"""Who may use a service: whoever has its token and calls it by its own name, but no other site's page."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from isthmus.errors import IsthmusError
from isthmus.serving.hosts import EVERYWHERE, LOCAL, is_number
from isthmus.serving.http.limits import Refusal

_LEAST_TOKEN = 16  # letters
_OPEN = ("/v2/health/live", "/v2/health/ready")  # which probes ask, that know no token


@dataclass(frozen=True)
class Access:
    """Which requests are answered.

    token : every request must bring it, except those for health; None where none is needed. names : what the server may
    be called in a request; None for anything. A site elsewhere can make its own name lead to this machine ("DNS
    rebinding"), and its pages could then ask for anything; a request with the token does not come from such a page.

    >>> access = Access(names=frozenset({"localhost"}))
    >>> access.check("/v2", {"host": "localhost:8000"})
    >>> access.check("/v2", {"host": "evil.example"})
    Traceback (most recent call last):
    isthmus.serving.http.limits.Refusal: this server is not called 'evil.example'; start it with --allow-host for that
    """

    token: str | None = None
    names: frozenset[str] | None = None

    @classmethod
    def at(cls, host: str, token: str | None, allowed: Iterable[str] = ()) -> Access:
        """Access to a server that listens at a host."""
        if token is not None:
            return cls(token)
        own = {host, socket.gethostname(), socket.getfqdn()} if host in EVERYWHERE else {host}
        return cls(None, frozenset(name.lower() for name in (*LOCAL, *own, *allowed)))

    def check(self, path: str, headers: Mapping[str, str]) -> None:
        """Raise `Refusal` for a request that may not be answered. headers : its headers, by names in lower case."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.names is not None and not _is_own(host, self.names):
            raise Refusal(403, f"this server is not called {host[:60]!r}; start it with --allow-host for that")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            raise Refusal(403, f"pages of {origin[:60]!r} may not ask this server")
        if self.token is not None and path not in _OPEN:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
                raise Refusal(401, "send the token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})


@lru_cache(maxsize=64)
def _is_own(host: str, names: frozenset[str]) -> bool:
    """Whether a header Host is one of the names, or any number where a server listens everywhere."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name in names or (is_number(name) and bool(names & set(EVERYWHERE)))


def read_token(path: Path) -> str:
    """The token in a file, whose spaces at both ends do not count; IsthmusError where it is too short to be one."""
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise IsthmusError(
            f"{path} holds no token: it must be at least {_LEAST_TOKEN} letters and numbers without spaces, as "
            "openssl rand -hex 32 prints them"
        )
    return token
