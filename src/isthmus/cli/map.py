"""`isthmus map`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.machine import output_of, run_figures
from isthmus.cli.models import open_model, training_and_test
from isthmus.cli.run import Run
from isthmus.errors import IsthmusError
from isthmus.remote.paths import as_path

if TYPE_CHECKING:
    from isthmus.data.sources import Source

_LEAST_SCORED = 3  # samples: fewer have no neighbourhoods


@options.grouped
def map_data(
    data: options.Data,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for the model and its map.", show_default="DATA-map, or that of --model"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Model on whose map DATA are placed; nothing is trained.", metavar="FOLDER"),
    ] = None,
    n_neighbors: Annotated[
        int | None,
        typer.Option(
            "--n-neighbors",
            help="Neighbours of a sample that the map keeps near: few show detail, many show the whole.",
            min=2,
            show_default="15",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    reading: options.Reading,
    run: Run,
    as_json: options.Json = False,
) -> None:
    """Draw a map of data on which neighbours are alike; writes the model, map.png and map.html.

    map.html is a single file to explore in a browser, without a network. Labels only colour the map.

    Examples:

      isthmus map mnist --minutes 3 -o digits-map

      isthmus map mnist:test --model digits-map -o digits-map-test

      isthmus map table.csv --labels-column species

      isthmus map mnist --minutes 3 -o digits-map --resume
    """
    if model is not None:
        if run.epochs is not None or run.minutes is not None or run.resume or n_neighbors is not None:
            raise typer.BadParameter(
                "--n-neighbors, --epochs, --minutes and --resume are for training, without --model"
            )
        _place(model, data, output or as_path(model), reading, run.device, as_json=as_json)
        return
    folder = run.into(output or Path(f"{as_path(data).stem}-map"))

    options.check_data(data)
    training, testing = training_and_test(data, None, reading, run.seed)

    from isthmus import ManifoldMap

    asked: dict[str, Any] = {} if n_neighbors is None else {"n_neighbors": n_neighbors}
    manifold = ManifoldMap(**asked, **run.settings)
    with output_of(as_json) as show:
        manifold.fit(run.data(training, partial(_training_data, data, reading, run.seed)), **folder.fit_options())
        folder.save(manifold)
        drawn = _draw(manifold, data, reading.open(data), testing, folder.path)
        typer.echo(f"Model       {folder.path}")
        show(_result(str(folder.path), data, manifold, drawn))


def _place(model: str, data: str, folder: Path, reading: options.Reading, device: str, *, as_json: bool) -> None:
    """Draw data on the map of a trained model."""
    options.check_data(data)
    options.check_folder(folder)
    placed, source = open_model(model, data, reading, device, "encode", "decode")
    if placed.code_shape_ != (2,):
        raise IsthmusError(f"a map needs codes of 2 numbers; those of {model} have shape {placed.code_shape_}")
    with output_of(as_json) as show:
        show(_result(model, data, placed, _draw(placed, data, source, source, folder)))


def _result(model: str, data: str, fitted: Any, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What a program reads; of a model that was there before, the figures are those of its training."""
    return {"model": model, "data": data, **run_figures(fitted.seed_, fitted.seconds_, fitted.history_), **drawn}


def _training_data(data: str, reading: options.Reading, seed: int) -> Source:
    """What a worker of a cluster trains on."""
    return training_and_test(data, None, reading, seed)[0]


def _draw(model: Any, data: str, source: Source, judged: Source, folder: Path) -> dict[str, Any]:
    """Write the map of a source as pictures and as a page, with the scores of what it is judged on; what came of it."""
    from isthmus.estimators.encoder_decoder import MOST_SCORED
    from isthmus.manifold.drawn_map import draw_map
    from isthmus.manifold.page import write_map_page
    from isthmus.manifold.picture import write_map_pictures

    scores = model.neighbourhood_scores(judged) if len(judged) >= _LEAST_SCORED else None
    found: dict[str, Any] | None = None
    if scores is not None:
        found = {
            "samples": min(len(judged), MOST_SCORED),
            "neighbours": scores.k,
            "trustworthiness": scores.trustworthiness,
            "continuity": scores.continuity,
        }
        typer.echo(
            f"Trustworthiness  {scores.trustworthiness:.4f}, continuity {scores.continuity:.4f}, of "
            f"{found['samples']:,} samples and their {scores.k} neighbours"
        )
    drawn = draw_map(model, source, class_names=options.class_names(data), scores=scores)
    title = folder.resolve().name
    pictures = [str(path) for path in write_map_pictures(drawn, folder, title)]
    typer.echo(f"Pictures    {', '.join(pictures)}")
    page = str(write_map_page(drawn, folder / "map.html", title))
    typer.echo(f"Page        {page}")
    return {"pictures": pictures, "page": page, "scores": found}
