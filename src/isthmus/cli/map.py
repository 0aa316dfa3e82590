"""`isthmus map`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import options
from isthmus.cli.models import open_model
from isthmus.cli.train import check_model_folder, run_listeners, training_and_test

if TYPE_CHECKING:
    from isthmus.data.sources import Source
    from isthmus.estimators.encoder_decoder import EncoderDecoder

_LEAST_SCORED = 3  # samples: fewer have no neighbourhoods


def map_data(
    data: options.Data,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for the model and its map.", show_default="DATA-map, or that of --model"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Place DATA on the map of this model; nothing is trained.", metavar="FOLDER"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Time to train, in place of epochs.")] = None,
    mixed_sizes: options.MixedSizes = "refuse",
    labels_column: options.LabelsColumn = None,
    drop_column: options.DropColumn = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Draw a map of data, on which neighbours are alike; writes the model, map.png and map.html.

    map.html is one file to zoom and to walk through in a browser, without a network. Labels only colour the map.

    Examples:

      isthmus map mnist --minutes 3 -o digits-map

      isthmus map mnist:test --model digits-map -o digits-map-test

      isthmus map table.csv --labels-column species
    """
    if epochs is not None and minutes is not None:
        raise typer.BadParameter(f"give --epochs (={epochs}) or --minutes (={minutes:g}), not both")
    reading = options.Reading(mixed_sizes, labels_column, drop_column)
    if model is not None:
        if epochs is not None or minutes is not None:
            raise typer.BadParameter("--epochs and --minutes are for training, without --model")
        coder, source = open_model(model, data, reading, device)
        _draw(coder, data, source, source, output or Path(model))
        return
    folder = output or Path(f"{Path(data).stem}-map")
    check_model_folder(folder, False, overwrite)

    from isthmus import ManifoldMap

    training, testing = training_and_test(data, None, reading, seed)
    manifold = ManifoldMap(epochs=epochs, minutes=minutes, device=device, random_state=seed)
    manifold.fit(training, listeners=run_listeners(folder, quiet))
    manifold.save(folder)
    if manifold.interrupted_:
        typer.echo("Stopped early: this is the map so far.", err=True)
    _draw(manifold, data, reading.open(data), testing, folder)
    typer.echo(f"Model       {folder}")


def _draw(model: EncoderDecoder, data: str, source: Source, judged: Source, folder: Path) -> None:
    """Write the map of a source as pictures and as a page, with the scores of what it is judged on."""
    from isthmus.estimators.encoder_decoder import MOST_SCORED
    from isthmus.manifold.drawn_map import draw_map
    from isthmus.manifold.page import write_map_page
    from isthmus.manifold.picture import write_map_pictures

    scores = model.neighbourhood_scores(judged) if len(judged) >= _LEAST_SCORED else None
    if scores is not None:
        typer.echo(
            f"Trustworthiness  {scores.trustworthiness:.4f}, continuity {scores.continuity:.4f}, of "
            f"{min(len(judged), MOST_SCORED):,} samples and their {scores.k} neighbours"
        )
    drawn = draw_map(model, source, class_names=options.class_names(data), scores=scores)
    title = folder.resolve().name
    pictures = write_map_pictures(drawn, folder, title)
    typer.echo(f"Pictures    {', '.join(map(str, pictures))}")
    typer.echo(f"Page        {write_map_page(drawn, folder / 'map.html', title)}")
