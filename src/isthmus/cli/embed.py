"""`isthmus embed`: data as rows of features, in a file or in a store that can be searched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.backend import Backend
from isthmus.cli.models import block, block_spans, write_npy
from isthmus.cli.samples import Samples, Span
from isthmus.remote.paths import as_path
from isthmus.words import count

if TYPE_CHECKING:
    import numpy as np

    from isthmus.data.sources import Source
    from isthmus.latent.store import Origin, Rows, Thumbnails


@options.grouped
def embed(
    model: options.Model,
    data: options.Data,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="A .parquet or .npy file, a .lance store, or a folder for many Parquet files.",
            show_default=False,
        ),
    ],
    reading: options.Reading,
    backend: Backend,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Encode data: one row of features for each sample.

    A .lance store also keeps small pictures of images, and `isthmus similar` searches it.

    Examples:

      isthmus embed digits-10 photos/ -o features.parquet

      isthmus embed digits-10 mnist:test -o codes.npy

      isthmus embed digits-10 mnist -o digits.lance

      isthmus embed digits-10 photos.parquet -o features/ --backend ray --workers 32
    """
    if output.suffix not in (".parquet", ".npy", ".lance", ""):
        raise typer.BadParameter(f"--output {str(output)!r} must end in .parquet, .npy or .lance, or name a folder")
    options.check_output(output, overwrite, folder=output.suffix in (".lance", ""))
    options.check_data(data)
    options.check_not_input(output, data)
    from isthmus.data.table_files import write_tables

    samples = Samples.open(model, data, reading, device, backend, "encode")
    if output.suffix == ".lance":
        from isthmus.latent.store import write_store

        pictured = replace(
            samples,
            model=_with_thumbnails((samples.model, samples.source))[0],
            opening=partial(_opened_with_thumbnails, samples.opening),
        )
        write_store(output, pictured.blocks(_rows, "encoding"), origin(model, data))
    elif output.suffix == ".npy":
        write_npy(output, samples.blocks(_codes, "encoding"), len(samples.source))
    elif output.suffix == ".parquet":
        write_tables(output, samples.blocks(_table, "encoding"))
    else:
        samples.into_folder(output, ".parquet", _part, "encoding")
    typer.echo(f"{count(len(samples.source), 'code')} of {count(samples.model._n_features_out, 'number')} in {output}")


def origin(model: str, data: str) -> Origin:
    """What a store says of the model that made its codes."""
    from isthmus.estimators.model_folder import read_config
    from isthmus.latent.store import Origin

    folder = as_path(model)
    return Origin(folder.resolve().name, read_config(folder)["sha256"], tuple(options.class_names(data) or ()))


def _opened_with_thumbnails(opening: Callable[[], tuple[Any, Source]]) -> tuple[tuple[Any, Thumbnails], Source]:
    return _with_thumbnails(opening())


def _with_thumbnails(opened: tuple[Any, Source]) -> tuple[tuple[Any, Thumbnails], Source]:
    """With what makes small pictures, which has seen the first samples: these decide what is black and white."""
    from isthmus.latent.store import Thumbnails

    model, source = opened
    thumbnails = Thumbnails(model)
    thumbnails(block(source, block_spans(source)[0]))
    return (model, thumbnails), source


def _rows(opened: tuple[tuple[Any, Thumbnails], Source], span: Span) -> Rows:
    from isthmus.latent.store import Rows

    (model, thumbnails), source = opened
    samples = block(source, span)
    places = [samples.location(i) for i in range(len(samples))]
    return Rows(places, model.encode(samples), samples.labels, thumbnails(samples))


def _codes(opened: tuple[Any, Source], span: Span) -> np.ndarray:
    model, source = opened
    codes: np.ndarray = model.encode(block(source, span))
    return codes


def _table(opened: tuple[Any, Source], span: Span) -> Any:
    """Columns: sample (where it comes from), label where the source has labels, code_0, code_1, ..."""
    import pyarrow as pa

    _, source = opened
    codes = _codes(opened, span)
    columns: dict[str, Any] = {"sample": [source.location(i) for i in range(*span)]}
    if source.labels is not None:
        columns["label"] = source.labels[slice(*span)]
    flat = codes.reshape(len(codes), -1)
    return pa.table(columns | {f"code_{i}": flat[:, i] for i in range(flat.shape[1])})


def _part(path: Path, opened: tuple[Any, Source], spans: list[Span]) -> int:
    from isthmus.data.table_files import write_tables

    write_tables(path, (_table(opened, span) for span in spans))
    return spans[-1][1] - spans[0][0]
