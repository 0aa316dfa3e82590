"""`isthmus report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus import registry
from isthmus.cli import options
from isthmus.cli.denoise import Noise
from isthmus.cli.models import halves, load_model, open_for
from isthmus.remote.paths import as_path

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
    noise: Noise = None,
    reading: options.Reading,
    device: options.Device = "auto",
) -> None:
    """Write report.html: what a model of any kind does to data, beside what it should be compared with.

    Examples:

      isthmus report digits-10 mnist:test --train mnist

      isthmus report tables-8 new.parquet -o new-report/

      isthmus report photos-denoiser photos/ --noise gaussian:0.1 -o denoiser-report/
    """
    folder = output or as_path(model)
    options.check_data(data, train)
    options.check_folder(folder)
    estimator = load_model(model, device)
    kind = registry.estimators.of(estimator)
    if noise is not None and "clean" not in kind.can:
        raise typer.BadParameter(f"--noise is for denoisers, and {model} holds a {kind.name}")
    if train is not None and "decode" not in kind.can:
        raise typer.BadParameter(f"--train is for models with codes, and {model} holds a {kind.name}")
    if "decode" in kind.can:
        source = open_for(estimator, data, reading)
        fitted, judged = halves(source) if train is None else (open_for(estimator, train, reading), source)
        write_report(estimator, folder, data, fitted, judged, saved_as=as_path(model))
        return
    more = {} if noise is None else {"noise": noise}
    what = open_for(estimator, data, reading) if kind.can & {"fill", "detect"} else data
    path = estimator.report(what, folder, title=as_path(model).resolve().name, saved_as=model, **more)
    typer.echo(f"Report      {path}")


def write_report(
    model: Any, folder: Path, data: str, training: Source, testing: Source, *, saved_as: Path
) -> dict[str, Any]:
    """Write the report of a model on data into a folder, and print its main figures, which are returned by name."""
    from isthmus.evaluation.report import measure
    from isthmus.evaluation.report import write_report as write
    from isthmus.evaluation.verdict import verdict

    measured = measure(model, train=training, test=testing, class_names=options.class_names(data))
    path = write(measured, folder, estimator=type(model).__name__, title=saved_as.resolve().name, saved_as=saved_as)
    typer.echo(f"Test error  {measured.written(measured.error)}, {measured.error_in_words}")
    typer.echo(f"PCA         {measured.written(measured.pca_error)}, with the same code size")
    typer.echo(f"Verdict     {verdict(measured)}")
    typer.echo(f"Report      {path}")
    return {
        "samples": len(measured.codes),
        "error": measured.error,
        "pca_error": measured.pca_error,
        "error_is": measured.error_in_words,
        "verdict": verdict(measured),
        "report": str(path),
    }
