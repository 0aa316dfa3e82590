"""The Open Inference Protocol V2, which clients of KServe, Seldon, Triton and MLServer speak.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from isthmus import __version__
from isthmus.errors import unknown_name
from isthmus.serving.http.answering import Answering, Receive
from isthmus.serving.http.columns import as_arrow, as_tensors
from isthmus.serving.http.limits import Refusal
from isthmus.serving.http.served import INPUT, Served, TensorSpec
from isthmus.serving.http.tensors import Answer, Asked, read_json, read_request, write_response

EXTENSIONS = ["binary_tensor_data", "model_repository"]
# of a request with this body and this header Inference-Header-Content-Length, for a model of this name and version
Infer = Callable[[Receive, bytes, str | None, str, str | None], Awaitable[Answer]]
_LARGE = 1 << 16  # bytes of a body that are read beside the event loop


def protocol(answering: Answering, is_ready: Callable[[], bool]) -> APIRouter:
    """The protocol's endpoints. is_ready : tells whether new requests are accepted."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol V2"])
    _add_health(router, is_ready)
    _add_models(router, answering, is_ready)
    _add_repository(router, answering)
    return router


def inference(answering: Answering) -> Infer:
    """What answers requests for inference."""

    async def infer(receive: Receive, body: bytes, length: str | None, name: str, version: str | None) -> Answer:
        return await _infer(answering, receive, body, length, answering.repository.find(name, version))

    return infer


def _add_health(router: APIRouter, is_ready: Callable[[], bool]) -> None:
    @router.get("/health/live", summary="Whether the server runs")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/health/ready", summary="Whether requests are welcome", responses={503: {"description": "Not now"}})
    async def ready() -> Response:
        return _readiness(is_ready(), {"ready": is_ready()})

    @router.get("", summary="The server")
    async def server() -> dict[str, Any]:
        return {"name": "isthmus", "version": __version__, "extensions": EXTENSIONS}


def _add_models(router: APIRouter, answering: Answering, is_ready: Callable[[], bool]) -> None:
    repository = answering.repository

    async def metadata(name: str, version: str | None = None) -> dict[str, Any]:
        return _metadata(repository.find(name, version), repository.versions(name))

    async def ready(name: str, version: str | None = None) -> Response:
        repository.find(name, version)
        return _readiness(is_ready(), {"name": name, "ready": is_ready()})

    async def infer(name: str, version: str | None = None) -> None:
        raise AssertionError("requests for inference take the shortcut; this is here for the OpenAPI")

    for path in ("/models/{name}", "/models/{name}/versions/{version}"):
        router.get(path, summary="A model: its inputs and outputs")(metadata)
        router.get(f"{path}/ready", summary="Whether a model can be asked")(ready)
        router.post(f"{path}/infer", summary="Outputs for tensors", openapi_extra=_INFER)(infer)


def _add_repository(router: APIRouter, answering: Answering) -> None:
    repository = answering.repository

    @router.post("/repository/index", summary="All models and versions")
    async def index() -> list[dict[str, str]]:
        return [{"name": one.name, "version": one.version, "state": "READY", "reason": ""} for one in repository]

    @router.post("/repository/models/{name}/load", summary="Load a model's folder again")
    async def load(request: Request, name: str) -> dict[str, Any]:
        body = await request.body()
        if body and read_json(body) != {}:
            raise Refusal(400, "a model is loaded from the folder that the server was started with; send no parameters")
        repository.find(name)
        await answering.reload(name)
        return {"name": name, "versions": repository.versions(name)}


def _readiness(ready: bool, content: Mapping[str, Any]) -> Response:
    return JSONResponse(content, 200 if ready else 503)


def _metadata(served: Served, versions: list[str]) -> dict[str, Any]:
    inputs, outputs = served.inputs, served.outputs[INPUT]
    return {
        "name": served.name,
        "versions": versions,
        "platform": f"isthmus_{served.kind}",
        "inputs": [_spec(spec) for spec in inputs[INPUT]],
        "outputs": [_spec(spec) for spec in outputs],
    }


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


async def _infer(answering: Answering, receive: Receive, body: bytes, length: str | None, served: Served) -> Answer:
    if len(body) > _LARGE:
        asked = await asyncio.to_thread(read_request, body, length, answering.limits)
    else:
        asked = read_request(body, length, answering.limits)
    given, rows = _rows(served, asked)
    wanted = served.wanted(given, asked.outputs)
    found = await answering.outputs(receive, served, given, rows, wanted, asked.seconds)
    tensors: dict[str, np.ndarray] = {}
    for name, names in wanted.items():
        value = found[name]
        columns = {name: value} if isinstance(value, np.ndarray) else as_tensors(name, value)
        tensors |= {one: columns[one] for one in names if one in columns}
    binary = {one: asked.outputs.get(one, asked.outputs.get(one.partition(".")[0], asked.binary)) for one in tensors}
    head = {"model_name": served.name, "model_version": served.version} | ({"id": asked.id} if asked.id else {})
    if sum(array.nbytes for array in tensors.values()) > _LARGE:
        return await asyncio.to_thread(write_response, head, tensors, binary)
    return write_response(head, tensors, binary)


def _rows(served: Served, asked: Asked) -> tuple[str, Any]:
    """Which input the tensors of a request are, and its rows."""
    inputs = served.inputs
    for given, specs in inputs.items():
        names = {spec.name for spec in specs}
        if asked.tensors.keys() <= names:
            if given == INPUT and served.schema is not None:
                return given, as_arrow(asked.tensors, served.schema)
            (name, array), *_ = asked.tensors.items()
            if array.dtype == object:  # texts, which estimators may take for names of files
                raise Refusal(400, f"input {name!r} takes {specs[0].datatype}, not texts")
            return given, array
    known = [spec.name for specs in inputs.values() for spec in specs]
    unknown = next((name for name in asked.tensors if name not in known), None)
    if unknown is None:
        raise Refusal(400, f"give either {' or '.join(map(repr, inputs))}, not both")
    raise unknown_name(f"input of {served.name!r}", unknown[:60], known)


_TENSOR = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string", "examples": ["UINT8", "FP32"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "data": {"type": "array", "items": {}},
        "parameters": {"type": "object"},
    },
}
_BODY = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "minItems": 1, "items": _TENSOR},
        "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    },
}
_EXAMPLE = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 3], "data": [0.5, 1.5, -2.0]}]}
_INFER = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY, "example": _EXAMPLE}}},
}
