"""isthmus serve: models behind HTTP."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli import options
from isthmus.errors import IsthmusError, MissingExtraError, warn
from isthmus.remote.paths import as_path

_NEEDED = ("fastapi", "uvicorn", "prometheus_client", "multipart", "fastapi_swagger")
_WHO, _LIMITS = "Who may ask", "Limits"

Stores = Annotated[
    list[str] | None,
    typer.Option(
        help="A store that `isthmus embed` wrote with a model, for its endpoint `similar`; may be repeated.",
        metavar="NAME=STORE",
    ),
]


@dataclass(frozen=True)
class Place:
    """Where the server listens, and to whom."""

    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.", rich_help_panel=_WHO)
    ] = "127.0.0.1"
    port: Annotated[
        int, typer.Option(help="Port to listen at; 0 takes a free one.", min=0, max=65535, rich_help_panel=_WHO)
    ] = 8000
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a token that requests must bring: Authorization: Bearer TOKEN.",
            metavar="FILE",
            rich_help_panel=_WHO,
        ),
    ] = None
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Another name that requests may call the server by; may be repeated.",
            metavar="NAME",
            rich_help_panel=_WHO,
        ),
    ] = None


@dataclass(frozen=True)
class Load:
    """What the server takes on."""

    batch_rows: Annotated[
        int,
        typer.Option(help="Rows of several requests that are computed together.", min=1, rich_help_panel=_LIMITS),
    ] = 256
    batch_milliseconds: Annotated[
        float,
        typer.Option(help="Time that a request waits for others to join it.", min=0, rich_help_panel=_LIMITS),
    ] = 1.0
    timeout: Annotated[
        float, typer.Option(help="Seconds until a request must be answered.", min=0.01, rich_help_panel=_LIMITS)
    ] = 30.0
    max_body_mb: Annotated[
        float, typer.Option(help="Size of the largest request, in MB.", min=0.01, rich_help_panel=_LIMITS)
    ] = 64.0

    def limits(self) -> Any:
        """These as `Limits`."""
        from isthmus.serving.http.limits import MB, Limits

        return Limits(
            body_bytes=int(self.max_body_mb * MB),
            bodies_bytes=int(4 * self.max_body_mb * MB),
            seconds=self.timeout,
            batch_rows=self.batch_rows,
            batch_seconds=self.batch_milliseconds / 1000,
        )


@options.grouped
def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Folders of models, or NAME=FOLDER; a folder of folders called 1, 2, ... holds versions.",
            show_default=False,
        ),
    ],
    *,
    place: Place,
    load: Load,
    store: Stores = None,
    device: options.Device = "auto",
) -> None:
    """Answer requests over HTTP: rows, pictures, sounds, tables and archives, and the Open Inference Protocol V2.

    The protocol is that of KServe, Triton, Seldon and MLServer; /docs lists all endpoints.
    SIGHUP loads the folders again; SIGTERM finishes what was begun and ends.

    Examples:

      isthmus serve digits-10

      isthmus serve digits=models/digits cleaner=models/denoiser --host 0.0.0.0 --token-file token
    """
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise MissingExtraError("isthmus serve", "'isthmus[serve]'")
    folders, stores = named(models), named(store or [])
    from isthmus.serving.hosts import is_open
    from isthmus.serving.http.access import Access, read_token
    from isthmus.serving.http.application import Service
    from isthmus.serving.http.plain.stores import open_stores
    from isthmus.serving.http.repository import Repository
    from isthmus.serving.http.server import json_logs, listening
    from isthmus.serving.http.server import serve as run

    host, limits = place.host, load.limits()
    token = None if place.token_file is None else read_token(place.token_file)
    listener = listening(host, place.port)
    if token is None and is_open(host):
        warn(f"other machines can reach {host} and ask what they like: give --token-file, or leave --host out")
    repository = Repository(folders, device)
    access = Access.at(host, token, place.allow_host or ())
    service = Service(repository, access, limits, open_stores(stores, repository))
    address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    print(f"Serving {', '.join(folders)} at {address} (Ctrl-C ends)", flush=True)
    with json_logs():
        run(service, listener, limits)


def named(models: Sequence[str]) -> dict[str, str]:
    """Folders by the names of their models: NAME=FOLDER, or a folder that is called so.

    >>> named(["models/digits", "cleaner=models/denoiser"])
    {'digits': 'models/digits', 'cleaner': 'models/denoiser'}
    """
    found: dict[str, str] = {}
    for model in models:
        name, given, folder = model.partition("=")
        if not given or "/" in name:
            name, folder = as_path(model).name or as_path(model).resolve().name, model
        if name in found:
            raise IsthmusError(f"two models are called {name!r}: {found[name]} and {folder}; name one NAME=FOLDER")
        found[name] = folder
    return found
