"""The way of most requests: to `infer` past FastAPI, whose routing takes several times as long as all that follows."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from fastapi import Request, Response

from isthmus.serving.http.errors import error_answer

_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
_ROUTES = [  # as metrics and logs call them
    SimpleNamespace(path=f"/v2/models/{{name}}{version}/infer") for version in ("", "/versions/{version}")
]


class Shortcut:
    """An ASGI application that answers requests for inference, and hands on all others.

    app : what answers the others. infer : of a request, the name of a model and a version or None.
    """

    def __init__(self, app: Any, infer: Callable[[Request, str, str | None], Awaitable[Response]]) -> None:
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
            response = await self._infer(Request(scope, receive), name, version)
        except Exception as error:
            response = error_answer(error, path)
            await response(scope, receive, send)
            if response.status_code == 500:
                raise
        else:
            await response(scope, receive, send)
