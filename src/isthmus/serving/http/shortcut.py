"""Most requests go past FastAPI to `infer`: its routing takes several times as long as all that follows."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from starlette.requests import ClientDisconnect

from isthmus.serving.http.errors import error_answer
from isthmus.serving.http.protocol import Infer

_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
_ROUTES = [  # as metrics and logs call them
    SimpleNamespace(path=f"/v2/models/{{name}}{version}/infer") for version in ("", "/versions/{version}")
]


class Shortcut:
    """An ASGI application that answers requests for inference, and hands on all others.

    app : what answers the others. infer : what answers those.
    """

    def __init__(self, app: Any, infer: Infer) -> None:
        self._app, self._infer = app, infer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))  # which is where another application mounts it
        found = _PATH.fullmatch(path)
        if found is None:
            await self._app(scope, receive, send)
            return
        name, version = found.groups()
        scope["route"] = _ROUTES[version is not None]
        try:
            body, length = await _body(receive), _header(scope, b"inference-header-content-length")
            answer = await self._infer(receive, body, length, name, version)
        except Exception as error:
            response = error_answer(error, path)
            await response(scope, receive, send)
            if response.status_code == 500:
                raise
        else:
            headers = [(key.lower().encode(), value.encode()) for key, value in answer.headers.items()]
            headers.append((b"content-length", b"%d" % len(answer.body)))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})


async def _body(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _header(scope: Any, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)
