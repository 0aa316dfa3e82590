"""Every error as JSON of one line, with the status that says whose fault it is."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from isthmus.errors import IsthmusError
from isthmus.serving.http.limits import CLIENT_LEFT, Refusal


def error_answer(error: Exception, path: str) -> JSONResponse:
    """The answer to a request that raised an error. path : the one that was asked for.

    >>> error_answer(Refusal(404, "there is no model 'x'"), "/v2/models/x").body
    b'{"error":"there is no model \\'x\\'"}'
    """
    status, message, headers = _told(error, path)
    return JSONResponse({"error": " ".join(str(message).split())}, status, headers)


def add_errors(app: FastAPI) -> None:
    """Make an application answer errors this way."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        return error_answer(error, request.url.path)

    for kind in (IsthmusError, RequestValidationError, HTTPException, ClientDisconnect, MemoryError, Exception):
        app.add_exception_handler(kind, answer)


def _told(error: Exception, path: str) -> tuple[int, object, dict[str, str]]:
    match error:
        case Refusal():
            return error.status, error, error.headers
        case IsthmusError():
            return 400, error, {}
        case RequestValidationError():
            first: Any = error.errors()[0]
            return 422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}", {}
        case HTTPException():
            message = f"there is no {path[:100]}" if error.status_code == 404 else error.detail
            return error.status_code, message, dict(error.headers or {})
        case ClientDisconnect():
            return CLIENT_LEFT, "the client left before its body was complete", {}
        case MemoryError():
            return 413, "the request takes more memory than there is; send fewer rows", {}
    return 500, "a bug in isthmus; the server's log has it under the X-Request-ID of this answer", {}
