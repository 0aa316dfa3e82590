"""Commands that use a trained model: reconstruct, info, report, export."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import compression as codec
from isthmus.cli import options
from isthmus.cli.models import blocks, halves, open_for, open_model
from isthmus.cli.output import write_npy

if TYPE_CHECKING:
    from isthmus.data.sources import Source
    from isthmus.estimators.encoder_decoder import EncoderDecoder


def reconstruct(
    model: options.Model,
    data: options.Data,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder for a folder of images, else a .npy file.", show_default=False),
    ],
    mixed_sizes: options.MixedSizes = "refuse",
    labels_column: options.LabelsColumn = None,
    drop_column: options.DropColumn = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Encode and decode data; images keep their file names and formats.

    Examples:

      isthmus reconstruct digits-10 photos/ -o rebuilt/

      isthmus reconstruct digits-10 mnist:test -o rebuilt.npy
    """
    coder, source = open_model(model, data, options.Reading(mixed_sizes, labels_column, drop_column), device)
    paths = getattr(source, "paths", None)
    options.check_output(output, overwrite, folder=paths is not None)
    if paths is None:
        write_npy(output, (coder.reconstruct(block) for block in blocks(source)), len(source))
    else:
        _write_images(coder, source, output)
    typer.echo(f"{len(source):,} reconstructions in {output}")


def info(
    model: Annotated[str, typer.Argument(help="Folder of a trained model, or an archive.", show_default=False)],
) -> None:
    """Show what a model is and how it was trained, or what an archive holds.

    Examples:

      isthmus info digits-10

      isthmus info photos.isth
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for key, value in _describe(Path(model)).items():
        table.add_row(f"[bold]{key}[/bold]", value)
    Console().print(table)


def _describe(path: Path) -> dict[str, str]:
    if path.is_file():
        return codec.describe_archive(path)
    from isthmus import load

    return load(path, device="cpu").describe()


def report(
    model: options.Model,
    data: options.Data,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the report.", show_default="the model's folder")
    ] = None,
    train: Annotated[
        str | None, typer.Option(help="Data that PCA is fitted on for comparison.", show_default="half of DATA")
    ] = None,
    mixed_sizes: options.MixedSizes = "refuse",
    labels_column: options.LabelsColumn = None,
    drop_column: options.DropColumn = None,
    device: options.Device = "auto",
) -> None:
    """Write report.html: what the model does to data, beside PCA.

    Examples:

      isthmus report digits-10 mnist:test --train mnist

      isthmus report tables-8 new.parquet -o new-report/
    """
    reading = options.Reading(mixed_sizes, labels_column, drop_column)
    coder, source = open_model(model, data, reading, device)
    fitted, judged = halves(source) if train is None else (open_for(coder, train, reading), source)
    options.report(coder, output or Path(model), data, fitted, judged, Path(model))


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
    from isthmus import AutoEncoder
    from isthmus.estimators.export import export_onnx

    for path in export_onnx(AutoEncoder.load(model, device="cpu"), output or Path(model)):
        typer.echo(str(path))


def _write_images(coder: EncoderDecoder, source: Source, folder: Path) -> None:
    """One image for each sample under its own name; formats that lose bits are written at their best quality."""
    from PIL import Image

    from isthmus.data.folders import ImageFiles
    from isthmus.files import atomic_path

    assert isinstance(source, ImageFiles)
    top = Path(os.path.commonpath([path.parent for path in source.paths]))
    start = 0
    for block in blocks(source):
        for image in coder.reconstruct(block):
            path = source.paths[start]
            with atomic_path(folder / path.relative_to(top)) as temporary:
                pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
                Image.fromarray(pixels).save(temporary, quality=95)  # formats without a quality ignore it
            start += 1
