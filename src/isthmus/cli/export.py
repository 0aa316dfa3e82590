"""`isthmus export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import options
from isthmus.cli.models import load_model


def export(
    model: options.Model,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the files.", show_default="the model's folder")
    ] = None,
) -> None:
    """Write encoder.onnx and decoder.onnx, checked against onnxruntime.

    Example:

      isthmus export digits-10 -o onnx/
    """
    options.check_folder(output or Path(model))

    from isthmus.estimators.export import export_onnx

    for path in export_onnx(load_model(model, "cpu", "encode", "decode"), output or Path(model)):
        typer.echo(str(path))
