"""`isthmus evaluate`: what a code is worth as features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import options
from isthmus.cli.machine import to_text
from isthmus.cli.models import open_for, open_model
from isthmus.cli.progress import stages
from isthmus.remote.paths import as_path

if TYPE_CHECKING:
    from isthmus.evaluation.representation import Representation


@options.grouped
def evaluate(
    model: options.Model,
    data: options.Data,
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the page.", show_default="the model's folder")
    ] = None,
    train: Annotated[
        str | None, typer.Option(help="Data that PCA and probes are fitted on.", show_default="half of DATA")
    ] = None,
    samples: Annotated[int, typer.Option(min=4, help="Largest number of samples to fit on, and to measure.")] = 10_000,
    as_json: options.Json = False,
    seed: options.Seed = 0,
    reading: options.Reading,
    device: options.Device = "auto",
) -> None:
    """Measure what codes are worth as features, beside PCA of the same size and the raw data.

    With labels: a linear probe, nearest neighbours and clusters. With and without labels: the neighbourhoods that are
    kept, the error of reconstruction, and how many numbers of the code are really used. Writes evaluation.html and
    evaluation.json.

    Examples:

      isthmus evaluate digits-10 digits:test --train digits

      isthmus evaluate tables-8 new.csv --labels-column species -o evaluation/
    """
    options.check_data(data, train)
    options.check_folder(output or as_path(model))

    from isthmus.evaluation import evaluate_representation
    from isthmus.evaluation.comparison import write_evaluation

    estimator, source = open_model(model, data, reading, device, "encode", "decode")
    other = None if train is None else open_for(estimator, train, reading)
    with stages() as progress:
        measured = evaluate_representation(
            estimator, source, train=other, most=samples, random_state=seed, progress=progress
        )
    name = as_path(model).resolve().name
    origin = {"model": name, "data": data} | ({} if train is None else {"train": train})
    page = write_evaluation(measured, output or as_path(model), title=name, origin=origin)
    if as_json:
        typer.echo(to_text({**origin, **measured.to_dict()}))
    else:
        _print(measured)
        typer.echo(f"Page  {page}")


def _print(measured: Representation) -> None:
    """The table in the terminal; the best of each row is bold."""
    from rich.console import Console
    from rich.table import Table

    from isthmus.evaluation.comparison import comparison, samples_used
    from isthmus.evaluation.representation import KINDS

    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("")
    for kind in KINDS:
        table.add_column(kind, justify="right")
    for row in comparison(measured):
        table.add_row(
            row.label, *(f"[bold]{text}[/bold]" if i == row.best else text for i, text in enumerate(row.cells))
        )
    console = Console()
    console.print(table)
    console.print(samples_used(measured), highlight=False)
