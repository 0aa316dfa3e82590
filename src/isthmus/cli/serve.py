"""isthmus serve: models behind HTTP."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import options
from isthmus.cli.backend import PANEL, Backend
from isthmus.errors import IsthmusError, MissingExtraError, warn
from isthmus.remote.paths import as_path
from isthmus.serving.http.limits import MB, Limits

if TYPE_CHECKING:
    from isthmus.serving.http.workers import Plan

_NEEDED = ("fastapi", "uvicorn", "prometheus_client", "multipart", "fastapi_swagger")
_WHO, _LIMITS = "Who may ask", "Limits"
_DEFAULT = Limits()

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
            help="Another host name that requests may use for the server; may be repeated.",
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
    ] = _DEFAULT.batch_rows
    batch_milliseconds: Annotated[
        float,
        typer.Option(
            help="Time that a batch smaller than the last one waits for one more request.",
            min=0,
            rich_help_panel=_LIMITS,
        ),
    ] = 1000 * _DEFAULT.batch_seconds
    timeout: Annotated[
        float, typer.Option(help="Seconds until a request must be answered.", min=0.01, rich_help_panel=_LIMITS)
    ] = _DEFAULT.seconds
    max_body_mb: Annotated[
        float, typer.Option(help="Size of the largest request, in MB.", min=0.01, rich_help_panel=_LIMITS)
    ] = _DEFAULT.body_bytes / MB

    def limits(self) -> Limits:
        """These as `Limits`."""
        return Limits(
            body_bytes=int(self.max_body_mb * MB),
            bodies_bytes=int(4 * self.max_body_mb * MB),
            seconds=self.timeout,
            batch_rows=self.batch_rows,
            batch_seconds=self.batch_milliseconds / 1000,
        )


@dataclass(frozen=True)
class Processes(Backend):
    """What answers: one process or several that share the port, or replicas on a cluster."""

    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            help="Processes that share the port, each with the models; on a cluster the most replicas, a CPU each.",
            min=1,
            show_default="1; on a cluster all of its CPUs",
            rich_help_panel=PANEL,
        ),
    ] = None

    def _check_local(self) -> None:
        if self.ray_address is not None:
            raise typer.BadParameter("--ray-address is for --backend ray")


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
    processes: Processes,
    store: Stores = None,
    device: options.Device = "auto",
) -> None:
    """Answer requests over HTTP: rows, pictures, sounds, tables and archives, and the Open Inference Protocol V2.

    The protocol is that of KServe, Triton, Seldon and MLServer; /docs lists all endpoints.
    SIGHUP loads the folders again; SIGTERM finishes what was begun and ends.

    Examples:

      isthmus serve digits-10

      isthmus serve digits=models/digits cleaner=models/denoiser --host 0.0.0.0 --token-file token

      isthmus serve digits-10 --workers 4
    """
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise MissingExtraError("isthmus serve", "serve")
    folders, stores = named(models), named(store or [])
    from isthmus.serving.hosts import is_open
    from isthmus.serving.http.access import Access, read_token
    from isthmus.serving.http.logs import json_logs
    from isthmus.serving.http.server import listening, reserved
    from isthmus.serving.http.workers import Plan

    host, single = place.host, processes.is_local and processes.workers in (None, 1)
    token = None if place.token_file is None else read_token(place.token_file)
    listener = (listening if single else reserved)(host, place.port)
    port = listener.getsockname()[1]
    if token is None and is_open(host):
        warn(f"other machines can reach {host} and ask what they like: give --token-file, or leave --host out")
    access = Access.at(host, token, place.allow_host or ())
    plan = Plan(folders, device, host, port, access, load.limits(), stores)
    with json_logs():
        if single:
            _here(plan, listener)
        elif processes.is_local:
            _by_workers(plan, processes.workers or 1)
        else:
            listener.close()
            _on_ray(plan, processes)


def _here(plan: Plan, listener: socket.socket) -> None:
    from isthmus.serving.http.server import serve

    serve(plan.service(), listener, plan.limits, partial(_say, plan))


def _by_workers(plan: Plan, count: int) -> None:
    import asyncio

    from isthmus.serving.http.workers import Workers

    asyncio.run(Workers(plan, count, partial(_say, plan)).run())


def _on_ray(plan: Plan, processes: Processes) -> None:
    from isthmus.cluster.connection import Cluster
    from isthmus.serving.http.on_ray import serve

    serve(plan, Cluster(processes.workers, processes.ray_address), partial(_say, plan))


def _say(plan: Plan) -> None:
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    print(f"Serving {', '.join(plan.folders)} at http://{host}:{plan.port} (Ctrl-C ends)", flush=True)


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
