"""`isthmus reconstruct`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.models import blocks, open_model, write_npy

if TYPE_CHECKING:
    from isthmus.data.folders import ImageFiles


@options.grouped
def reconstruct(
    model: options.Model,
    data: options.Data,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Folder for a folder of images; a .csv, .parquet, .feather, .arrow or .jsonl file for a table with "
            "words or holes; else a .npy file.",
            show_default=False,
        ),
    ],
    reading: options.Reading,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Encode and decode data; images keep their file names and formats.

    Examples:

      isthmus reconstruct digits-10 photos/ -o rebuilt/

      isthmus reconstruct digits-10 mnist:test -o rebuilt.npy

      isthmus reconstruct customers-8 customers.csv -o rebuilt.csv
    """
    from isthmus.data.folders import ImageFiles
    from isthmus.data.table_files import WRITERS, write_tables
    from isthmus.data.table_source import TableSource

    options.check_data(data)
    options.check_not_input(output, data, model)
    options.check_writable(output)
    estimator, source = open_model(model, data, reading, device, "encode", "decode")
    suffixes = tuple(WRITERS) if isinstance(source, TableSource) else (".npy",)
    options.check_output(output, overwrite, folder=isinstance(source, ImageFiles), suffixes=suffixes)
    if isinstance(source, TableSource):
        source.frame = "arrow"
        write_tables(output, (estimator.reconstruct(block) for block in blocks(source, "reconstructing")))
    elif isinstance(source, ImageFiles):
        _write_images(estimator, source, output)
    else:
        write_npy(output, (estimator.reconstruct(block) for block in blocks(source, "reconstructing")), len(source))
    typer.echo(f"{len(source):,} reconstructions in {output}")


def _write_images(model: Any, source: ImageFiles, folder: Path) -> None:
    """One image for each sample under its own name; formats that lose bits are written at their best quality."""
    from PIL import Image

    from isthmus.files import atomic_path

    top = Path(os.path.commonpath([path.parent for path in source.paths]))
    images = (image for block in blocks(source, "reconstructing") for image in model.reconstruct(block))
    for path, image in zip(source.paths, images, strict=True):
        with atomic_path(folder / path.relative_to(top)) as temporary:
            pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
            Image.fromarray(pixels).save(temporary, quality=95)  # formats without a quality ignore it
