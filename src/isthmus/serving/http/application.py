"""The application: models behind endpoints, for a server of one's own or for another application to mount."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse

from isthmus import __version__
from isthmus.serving.http.access import Access
from isthmus.serving.http.answering import Answering, Reload
from isthmus.serving.http.errors import add_errors
from isthmus.serving.http.guard import Guard
from isthmus.serving.http.limits import Limits
from isthmus.serving.http.metrics import CONTENT_TYPE, Metrics
from isthmus.serving.http.model_thread import ModelThread
from isthmus.serving.http.plain.documentation import documentation
from isthmus.serving.http.plain.endpoints import plain
from isthmus.serving.http.plain.openapi import ERRORS
from isthmus.serving.http.protocol import inference, protocol
from isthmus.serving.http.repository import Repository
from isthmus.serving.http.shortcut import Shortcut


class Service:
    """Models behind endpoints.

    stores : `isthmus.Store`s of codes, by names of models. reload : loads a model's folder again, where that takes more
    than the repository. app : the ASGI application. repository : its models. thread : what computes, which `close`
    ends.
    """

    def __init__(
        self,
        repository: Repository,
        access: Access,
        limits: Limits,
        stores: Mapping[str, Any] | None = None,
        *,
        reload: Reload | None = None,
    ) -> None:
        metrics = Metrics()
        self.repository = repository
        self.thread = ModelThread(limits, metrics.computed)
        inner = FastAPI(title="isthmus", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
        answering = Answering(repository, self.thread, limits, reload)
        inner.include_router(plain(answering, stores or {}))
        inner.include_router(protocol(answering, self._is_ready), responses=ERRORS)
        inner.include_router(documentation("/openapi.json"))
        add_errors(inner)

        @inner.get("/metrics", summary="Figures for Prometheus", tags=["Operations"], response_class=PlainTextResponse)
        async def figures() -> Response:
            return Response(metrics.text(self.thread.waiting_rows), media_type=CONTENT_TYPE)

        self.app = Guard(Shortcut(inner, inference(answering)), access, limits, self.thread, metrics)

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

    models : fitted models, or their folders, by the names that requests call them. token : what requests must bring.
    limits : how much is taken on. device : where models of folders compute. stores : `isthmus.Store`s of codes, by
    names of models, in which `similar` looks. Requests may call the server by any name: whoever mounts the application
    knows which are right.

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
