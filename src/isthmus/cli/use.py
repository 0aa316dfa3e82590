"""Commands that use a trained model: reconstruct, embed, info, report, export."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import codec, denoise, options
from isthmus.cli.output import write_npy
from isthmus.store import best_validation, read_config

if TYPE_CHECKING:
    import numpy as np

    from isthmus import AutoEncoder
    from isthmus.data.sources import Source

_BLOCK = 1024  # samples that are read, encoded and written at a time


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
    autoencoder, source = _load(model, data, options.Reading(mixed_sizes, labels_column, drop_column), device)
    paths = getattr(source, "paths", None)
    options.check_output(output, overwrite, folder=paths is not None)
    if paths is None:
        blocks = (autoencoder.reconstruct(block) for block in _blocks(source))
        write_npy(output, blocks, len(source))
    else:
        _write_images(autoencoder, source, output)
    typer.echo(f"{len(source):,} reconstructions in {output}")


def embed(
    model: options.Model,
    data: options.Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .parquet or .npy file.", show_default=False)],
    mixed_sizes: options.MixedSizes = "refuse",
    labels_column: options.LabelsColumn = None,
    drop_column: options.DropColumn = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Encode data: one row of features for each sample.

    Examples:

      isthmus embed digits-10 photos/ -o features.parquet

      isthmus embed digits-10 mnist:test -o codes.npy
    """
    if output.suffix not in (".parquet", ".npy"):
        raise typer.BadParameter(f"--output {str(output)!r} must end in .parquet or .npy")
    options.check_output(output, overwrite, folder=False)
    autoencoder, source = _load(model, data, options.Reading(mixed_sizes, labels_column, drop_column), device)
    blocks = (autoencoder.encode(block) for block in _blocks(source))
    if output.suffix == ".npy":
        write_npy(output, blocks, len(source))
    else:
        _write_parquet(output, blocks, source)
    typer.echo(f"{len(source):,} codes of {autoencoder._n_features_out} numbers in {output}")


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
    from isthmus import AutoEncoder, Codec, Denoiser

    estimator = read_config(path)["estimator"]
    if estimator == "Codec":
        return codec.describe_codec(Codec.load(path, device="cpu"))
    if estimator == "Denoiser":
        return denoise.describe_denoiser(Denoiser.load(path, device="cpu"))

    autoencoder = AutoEncoder.load(path, device="cpu")
    rows = autoencoder.describe()
    best = best_validation(autoencoder.history_)
    return rows if best is None else rows | {"best validation": f"{best:.6g}"}


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
    import numpy as np

    from isthmus.data.sources import subset

    reading = options.Reading(mixed_sizes, labels_column, drop_column)
    autoencoder, source = _load(model, data, reading, device)
    if train is not None:
        fitted, judged = reading.open(train, _image_mode(autoencoder, train)), source
    elif len(source) < 4:
        fitted = judged = source
    else:
        order = np.random.default_rng(0).permutation(len(source))
        halves = np.sort(order[: len(source) // 2]), np.sort(order[len(source) // 2 :])
        fitted, judged = subset(source, halves[0]), subset(source, halves[1])
    options.report(autoencoder, output or Path(model), data, fitted, judged, Path(model))


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


def _load(model: str, data: str, reading: options.Reading, device: str) -> tuple[AutoEncoder, Source]:
    from isthmus import AutoEncoder

    autoencoder = AutoEncoder.load(model, device=device)
    return autoencoder, reading.open(data, _image_mode(autoencoder, data))


def _image_mode(autoencoder: AutoEncoder, data: str) -> str | None:
    """The mode that image files must be read in for this model; None for other data."""
    scaler = autoencoder.scaler_
    if not Path(data).is_dir() or scaler.dtype != "uint8" or len(scaler.sample_shape) not in (2, 3):
        return None
    return {2: "grey", 3: {3: "rgb", 4: "rgba"}.get(scaler.sample_shape[-1])}[len(scaler.sample_shape)]


def _blocks(source: Source) -> Iterator[Source]:
    import numpy as np

    from isthmus.data.sources import subset

    for start in range(0, len(source), _BLOCK):
        yield subset(source, np.arange(start, min(start + _BLOCK, len(source))))


def _write_parquet(path: Path, blocks: Iterator[np.ndarray], source: Source) -> None:
    """Columns: sample (where it comes from), label where the source has labels, code_0, code_1, ..."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from isthmus.files import atomic_path

    with atomic_path(path) as temporary:
        writer, start = None, 0
        for block in blocks:
            stop = start + len(block)
            columns: dict[str, Any] = {"sample": [source.location(i) for i in range(start, stop)]}
            if source.labels is not None:
                columns["label"] = source.labels[start:stop]
            flat = block.reshape(len(block), -1)
            columns |= {f"code_{i}": flat[:, i] for i in range(flat.shape[1])}
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(temporary, table.schema)
            writer.write_table(table)
            start = stop
        assert writer is not None
        writer.close()


def _write_images(autoencoder: AutoEncoder, source: Source, folder: Path) -> None:
    """One image for each sample under its own name; formats that lose bits are written at their best quality."""
    from PIL import Image

    from isthmus.data.folders import ImageFiles
    from isthmus.files import atomic_path

    assert isinstance(source, ImageFiles)
    top = Path(os.path.commonpath([path.parent for path in source.paths]))
    start = 0
    for block in _blocks(source):
        for image in autoencoder.reconstruct(block):
            path = source.paths[start]
            with atomic_path(folder / path.relative_to(top)) as temporary:
                pixels = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
                Image.fromarray(pixels).save(temporary, quality=95)  # formats without a quality ignore it
            start += 1
