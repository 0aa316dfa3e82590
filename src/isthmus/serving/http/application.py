"""The application: models behind endpoints, for a server of one's own or for another application to mount."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from isthmus import __version__
from isthmus.errors import IsthmusError
from isthmus.serving.http.access import Access
from isthmus.serving.http.answering import CLIENT_LEFT, Answering
from isthmus.serving.http.guard import Guard
from isthmus.serving.http.limits import Limits, Refusal
from isthmus.serving.http.metrics import CONTENT_TYPE, Metrics
from isthmus.serving.http.model_thread import ModelThread
from isthmus.serving.http.plain.documentation import documentation
from isthmus.serving.http.plain.endpoints import plain
from isthmus.serving.http.plain.openapi import ERRORS
from isthmus.serving.http.protocol import protocol
from isthmus.serving.http.repository import Repository


class Service:
    """Models behind endpoints.

    stores : `isthmus.Store`s of codes, by names of models. app : the ASGI application. repository : its models.
    thread : what computes, which `close` ends.
    """

    def __init__(
        self, repository: Repository, access: Access, limits: Limits, stores: Mapping[str, Any] | None = None
    ) -> None:
        metrics = Metrics()
        self.repository = repository
        self.thread = ModelThread(limits, metrics.computed)
        metrics.watch(self.thread)
        inner = FastAPI(title="isthmus", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
        answering = Answering(repository, self.thread, limits)
        inner.include_router(plain(answering, stores or {}))
        inner.include_router(protocol(answering, self._is_ready), responses=ERRORS)
        inner.include_router(documentation("/openapi.json"))
        _add_errors(inner)

        @inner.get("/metrics", summary="Figures for Prometheus", tags=["Operations"], response_class=PlainTextResponse)
        async def figures() -> Response:
            return Response(metrics.text(), media_type=CONTENT_TYPE)

        self.app = Guard(inner, access, limits, self.thread, metrics)

    def stop(self) -> None:
        """Tell clients to leave; what they still ask is answered."""
        self.app.stopping = True

    def close(self) -> None:
        """Compute what waits, and end the thread."""
        self.thread.close()

    def _is_ready(self) -> bool:
        return not self.app.stopping


def app(
    models: Mapping[str, Any],
    *,
    token: str | None = None,
    limits: Limits | None = None,
    device: str = "auto",
    stores: Mapping[str, Any] | None = None,
) -> Guard:
    """An ASGI application that answers for models; `isthmus serve` is this and a server.

    models : by the names that requests call them: fitted models, or folders of such. token : that requests must bring.
    limits : of what is taken on. device : that models of folders compute on. stores : `isthmus.Store`s of codes, by
    names of models, in which `similar` looks. Requests may call the server anything: who mounts the application knows
    its name.

    Examples
    --------
    >>> import numpy as np
    >>> from fastapi.testclient import TestClient
    >>> from isthmus import AutoEncoder
    >>> from isthmus.serving.http import app
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> client = TestClient(app({"rows": AutoEncoder(2, epochs=1, random_state=0).fit(X)}))
    >>> tensor = {"name": "input", "datatype": "FP64", "shape": [1, 4], "data": X[0].tolist()}
    >>> body = {"inputs": [tensor], "outputs": [{"name": "code"}]}
    >>> client.post("/v2/models/rows/infer", json=body).json()["outputs"][0]["shape"]
    [1, 2]
    """
    return Service(Repository(models, device), Access(token), limits or Limits(), stores).app


def _add_errors(inner: FastAPI) -> None:
    """Every error as JSON of one line, with the status that says whose fault it is."""

    def told(status: int, message: object, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": " ".join(str(message).split())}, status, dict(headers or {}))

    @inner.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        return told(error.status, error, error.headers)

    @inner.exception_handler(IsthmusError)
    async def wrong(request: Request, error: IsthmusError) -> Response:
        return told(400, error)

    @inner.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return told(422, f"{where}: {first['msg']}")

    @inner.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        message = f"there is no {request.url.path[:100]}" if error.status_code == 404 else error.detail
        return told(error.status_code, message, error.headers)

    @inner.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> Response:
        return told(CLIENT_LEFT, "the client left before its body was complete")

    @inner.exception_handler(MemoryError)
    async def full(request: Request, error: MemoryError) -> Response:
        return told(413, "the request takes more memory than there is; send fewer rows")

    @inner.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        return told(500, "a bug in isthmus; the server's log has it under the X-Request-ID of this answer")
