"""The service: models behind HTTP. `isthmus serve` is this and a server."""

from typing import TYPE_CHECKING, Any

from isthmus.serving.http.limits import Limits as Limits

if TYPE_CHECKING:
    from isthmus.serving.http.application import app as app


def __getattr__(name: str) -> Any:
    if name == "app":  # which needs FastAPI, as `Limits`, whose defaults the command line shows, does not
        from isthmus.serving.http.application import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
