"""`isthmus reconstruct`."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.addresses import check_writable
from isthmus.cli.backend import Backend
from isthmus.cli.models import block, write_npy
from isthmus.cli.samples import Samples, Span
from isthmus.remote.paths import as_path
from isthmus.words import count

if TYPE_CHECKING:
    from isthmus.data.sources import Source


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
            "words or holes; else a .npy file. Or a folder for many files, .parquet of a table and else .npy.",
            show_default=False,
        ),
    ],
    reading: options.Reading,
    backend: Backend,
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
    check_writable(output)
    samples = Samples.open(model, data, reading, device, backend, "encode", "decode")
    source, table = samples.source, isinstance(samples.source, TableSource)
    folder = isinstance(source, ImageFiles) or not output.suffix
    options.check_output(output, overwrite, folder=folder, suffixes=tuple(WRITERS) if table else (".npy",))
    if isinstance(source, ImageFiles):
        top = as_path(os.path.commonpath([str(path.parent) for path in source.paths]))
        for _ in samples.blocks(partial(_images, output, top), "reconstructing"):
            pass
    elif folder:
        samples.into_folder(output, ".parquet" if table else ".npy", _part, "reconstructing")
    elif table:
        write_tables(output, samples.blocks(_reconstructed, "reconstructing"))
    else:
        write_npy(output, samples.blocks(_reconstructed, "reconstructing"), len(source))
    typer.echo(f"{count(len(source), 'reconstruction')} in {output}")


def _reconstructed(opened: tuple[Any, Source], span: Span) -> Any:
    """An array, or an Arrow table for a table with columns of any kind."""
    from isthmus.data.table_source import TableSource

    model, source = opened
    if isinstance(source, TableSource):
        source.frame = "arrow"
    return model.reconstruct(block(source, span))


def _part(path: Path, opened: tuple[Any, Source], spans: list[Span]) -> int:
    """One file of a folder."""
    from isthmus.data.table_files import write_tables

    first, last = spans[0][0], spans[-1][1]
    made = (_reconstructed(opened, span) for span in spans)
    write_npy(path, made, last - first) if path.suffix == ".npy" else write_tables(path, made)
    return last - first


def _images(folder: Path, top: Path, opened: tuple[Any, Source], span: Span) -> range:
    """One image for each sample under its own name; formats that lose bits are written at their best quality."""
    from PIL import Image

    from isthmus.files import atomic_path

    model, source = opened
    part = block(source, span)
    assert part.paths is not None
    for path, image in zip(part.paths, model.reconstruct(part), strict=True):
        with atomic_path(folder / path.relative_to(top)) as temporary:
            pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
            Image.fromarray(pixels).save(temporary, quality=95)  # formats without a quality ignore it
    return range(*span)
