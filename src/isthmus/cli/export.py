"""`isthmus export`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import options
from isthmus.cli.models import load_model
from isthmus.errors import IsthmusError
from isthmus.registry import estimators
from isthmus.remote.paths import as_path


def export(
    model: options.Model,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the files.", show_default="the model's folder")
    ] = None,
) -> None:
    """Write encoder.onnx and decoder.onnx, or of a detector detector.onnx, checked against onnxruntime.

    Examples:

      isthmus export digits-10 -o onnx/

      isthmus export detector -o onnx/
    """
    options.check_folder(output or as_path(model))
    estimator = load_model(model, "cpu")
    can = estimators.of(estimator).can
    files: Iterable[Path]
    if "detect" in can:
        from isthmus.anomalies.export import export_onnx as export_detector

        files = export_detector(estimator, output or as_path(model))
    elif can.issuperset({"encode", "decode"}):
        from isthmus.estimators.export import export_onnx

        files = export_onnx(estimator, output or as_path(model))
    else:
        able = ", ".join((*estimators.that("encode", "decode"), *estimators.that("detect")))
        raise IsthmusError(f"{model} holds a {type(estimator).__name__}, which has no ONNX files; these have: {able}")
    for path in files:
        typer.echo(str(path))
