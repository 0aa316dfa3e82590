"""isthmus explore: a page in the browser on which models can be looked at and tried."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.models import load_model, open_for
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG, read_config
from isthmus.registry import estimators
from isthmus.remote.paths import as_path

if TYPE_CHECKING:
    from isthmus.serving.explorer.prepared import Prepared


@options.grouped
def explore(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... [DATA]",
            help="Folders of models; then a file, a folder of images, or the name of a data set.",
            show_default=False,
        ),
    ],
    *,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen at.", min=1, max=65535, show_default="the first free one from 5006 on"),
    ] = None,
    projection: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Projection of codes of more than two numbers: pca, or neighbours (a ManifoldMap, fitted first).",
        ),
    ] = "pca",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    reading: options.Reading,
    device: options.Device = "auto",
) -> None:
    """Open a page with the map of the codes and what the model makes of any place, live.

    Examples:

      isthmus explore digits-2 mnist:test

      isthmus explore digits-2 digits-10 mnist:test

      isthmus explore digits-10 mnist:test --projection neighbours
    """
    models, data = _models_and_data(inputs)
    for folder in models:
        read_config(as_path(folder))
    from isthmus.serving.explorer.prepared import assembled, need_panel

    need_panel()  # what is missing is said before models are loaded
    _quiet_logs()
    names = _names(models)
    pages: dict[str, Prepared] = {}
    try:
        for name, model in zip(names, models, strict=True):
            pages[name] = _prepared(model, data, reading, device, projection)
        from isthmus.serving.explorer.server import serve  # Panel is imported while samples are being encoded

        ended = serve(
            lambda: assembled(pages),
            host=host,
            port=port,
            title=f"{', '.join(names)} · isthmus",
            browser=browser,
            on_ready=lambda url: print(f"Exploring {', '.join(names)} at {url} (Ctrl-C ends)", flush=True),
        )
    finally:
        for page in pages.values():
            page.stop()
    if ended != signal.SIGINT:  # Ctrl-C is how one ends it
        raise typer.Exit(128 + ended)


def _quiet_logs() -> None:
    """Keep to ourselves what Bokeh, Panel and Tornado log of each browser that comes and leaves."""
    for name in ("bokeh", "panel", "tornado"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("bokeh.server.views.ws", "tornado.application", "asyncio"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Say nothing of who does not speak the page's protocol, or has left meanwhile."""
    from tornado.websocket import WebSocketClosedError

    left = record.exc_info is not None and isinstance(record.exc_info[1], WebSocketClosedError)
    return not left and "/ws (" not in record.getMessage()


def _models_and_data(inputs: list[str]) -> tuple[list[str], str | None]:
    """The last argument is data where it is not the folder of a model."""
    if len(inputs) == 1 or (as_path(inputs[-1]) / CONFIG).is_file():
        return inputs, None
    return inputs[:-1], inputs[-1]


def _prepared(folder: str, data: str | None, reading: options.Reading, device: str, projection: Any) -> Prepared:
    from isthmus.data.sources import open_source
    from isthmus.serving.explorer.prepared import prepared

    model = load_model(folder, device)
    if data is None:
        return prepared(model, None, projection=projection)
    try:
        can = estimators.of(model).can
        opens = can & {"decode", "detect"}
        source: Any = open_for(model, data, reading) if opens else open_source(data, on_mixed_sizes="keep")
    except IsthmusError as error:
        raise IsthmusError(f"{data} is no folder of a model, and as data: {error}") from error
    return prepared(model, source, class_names=options.class_names(data), projection=projection)


def _names(folders: list[str]) -> list[str]:
    """Short names of models: of their folders, or whole paths where two are called alike."""
    short = [as_path(folder).resolve().name for folder in folders]
    names = short if len(set(short)) == len(short) else folders
    if len(set(names)) < len(names):
        raise IsthmusError(f"{', '.join(folders)} names a model twice")
    return list(names)
