"""`isthmus report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.models import halves, open_for, open_model

if TYPE_CHECKING:
    from isthmus.data.sources import Source


@options.grouped
def report(
    model: options.Model,
    data: options.Data,
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the report.", show_default="the model's folder")
    ] = None,
    train: Annotated[
        str | None, typer.Option(help="Data that PCA is fitted on for comparison.", show_default="half of DATA")
    ] = None,
    reading: options.Reading,
    device: options.Device = "auto",
) -> None:
    """Write report.html: what the model does to data, beside what everybody should compare it with.

    Examples:

      isthmus report digits-10 mnist:test --train mnist

      isthmus report tables-8 new.parquet -o new-report/
    """
    estimator, source = open_model(model, data, reading, device, "encode", "decode")
    fitted, judged = halves(source) if train is None else (open_for(estimator, train, reading), source)
    write_report(estimator, output or Path(model), data, fitted, judged, saved_as=Path(model))


def write_report(model: Any, folder: Path, data: str, training: Source, testing: Source, *, saved_as: Path) -> None:
    """Write the report of a model on data into a folder, and print its main figures."""
    from isthmus.evaluation.report import write_study
    from isthmus.evaluation.study import study

    measured = study(model, train=training, test=testing, class_names=options.class_names(data))
    path = write_study(
        measured, folder, estimator=type(model).__name__, title=saved_as.resolve().name, saved_as=saved_as
    )
    ours, pca = measured.metrics.mse, measured.pca_metrics.mse
    typer.echo(f"Test error  {ours:.5g}, the mean squared error of {len(measured.codes):,} samples in scaled units")
    typer.echo(f"PCA         {pca:.5g}, with the same code size")
    typer.echo(f"Report      {path}")
