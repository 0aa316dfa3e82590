"""`isthmus embed`: data as rows of features, in a file or in a store that can be searched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.models import blocks, open_model, write_npy

if TYPE_CHECKING:
    import numpy as np

    from isthmus.data.sources import Source
    from isthmus.latent.store import Origin, Rows


@options.grouped
def embed(
    model: options.Model,
    data: options.Data,
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A .parquet or .npy file, or a .lance store.", show_default=False)
    ],
    reading: options.Reading,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Encode data: one row of features for each sample.

    A .lance store also keeps small pictures of images, and `isthmus similar` searches it.

    Examples:

      isthmus embed digits-10 photos/ -o features.parquet

      isthmus embed digits-10 mnist:test -o codes.npy

      isthmus embed digits-10 mnist -o digits.lance
    """
    if output.suffix not in (".parquet", ".npy", ".lance"):
        raise typer.BadParameter(f"--output {str(output)!r} must end in .parquet, .npy or .lance")
    options.check_output(output, overwrite, folder=output.suffix == ".lance")
    options.check_data(data)
    options.check_not_input(output, data)
    encoder, source = open_model(model, data, reading, device, "encode")
    if output.suffix == ".lance":
        from isthmus.latent.store import write_store

        write_store(output, _rows(encoder, source), origin(model, data))
    elif output.suffix == ".npy":
        write_npy(output, (encoder.encode(block) for block in blocks(source, "encoding")), len(source))
    else:
        _write_parquet(output, (encoder.encode(block) for block in blocks(source, "encoding")), source)
    typer.echo(f"{len(source):,} codes of {encoder._n_features_out} numbers in {output}")


def origin(model: str, data: str) -> Origin:
    """What a store says of the model that made its codes."""
    from isthmus.estimators.model_folder import read_config
    from isthmus.latent.store import Origin

    folder = Path(model)
    return Origin(folder.resolve().name, read_config(folder)["sha256"], tuple(options.class_names(data) or ()))


def _rows(encoder: Any, source: Source) -> Iterator[Rows]:
    from isthmus.latent.store import Rows, Thumbnails

    thumbnails = Thumbnails(encoder)
    for block in blocks(source, "encoding"):
        samples = [block.location(i) for i in range(len(block))]
        yield Rows(samples, encoder.encode(block), block.labels, thumbnails(block))


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
