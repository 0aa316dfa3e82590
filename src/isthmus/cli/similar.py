"""`isthmus similar`: search by example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.machine import to_text
from isthmus.cli.models import load_model, open_for
from isthmus.errors import IsthmusError
from isthmus.remote.paths import as_path

if TYPE_CHECKING:
    from isthmus.data.sources import Source
    from isthmus.latent.store import StoredSample

_ITSELF = 1e-3  # share of the farthest neighbour's distance up to which codes are those of the same sample
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@options.grouped
def similar(
    model: options.Model,
    query: Annotated[
        str,
        typer.Argument(
            help="An image, a folder, a .npy file, a table or a data set.", metavar="QUERY", show_default=False
        ),
    ],
    *,
    store: Annotated[Path, typer.Option("--in", help="Store that `isthmus embed` wrote.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours of each sample.")] = 10,
    limit: Annotated[
        int, typer.Option(min=1, help="Number of samples of QUERY to look for, from the first one on.")
    ] = 8,
    sheet: Annotated[
        Path | None, typer.Option("-o", "--output", help="Picture of the samples and their neighbours.")
    ] = None,
    not_itself: Annotated[
        bool, typer.Option("--not-itself", help="Leave a sample out of its own neighbours, where the store holds it.")
    ] = False,
    as_json: options.Json = False,
    reading: options.Reading,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Find the samples of a store whose codes are nearest to those of other samples.

    Distances are Euclidean, between codes. A sample that is in the store itself is its own nearest, at distance
    0, unless --not-itself leaves it out.

    Examples:

      isthmus similar digits-10 digits:test --in digits.lance -k 5 -o similar.png

      isthmus similar photos-32 holiday.jpg --in photos.lance --mixed-sizes resize
    """
    from isthmus.estimators.model_folder import read_config
    from isthmus.latent.store import Store

    if sheet is not None:
        if sheet.suffix.lower() not in _PICTURES:
            raise typer.BadParameter(f"--output {str(sheet)!r} must end in {', '.join(_PICTURES)}")
        options.check_not_input(sheet, query)
        options.check_output(sheet, overwrite, folder=False)
    folder = as_path(model)
    sha256 = read_config(folder)["sha256"]
    codes = Store(store)
    codes.check_model(folder.resolve().name, sha256)
    encoder = load_model(model, device, "encode")
    source = _first(encoder, query, reading, limit)
    names, labels = _names(source, query)
    found = codes.nearest(encoder.encode(source), k + not_itself)
    if not_itself:
        found = [_others(name, neighbours)[:k] for name, neighbours in zip(names, found, strict=True)]
    if sheet is not None:
        _write_sheet(encoder, source, labels, found, sheet, store)
    if as_json:
        typer.echo(to_text([_json(*each) for each in zip(names, labels, found, strict=True)]))
    else:
        _print(names, labels, found)
    if sheet is not None:
        typer.echo(f"Sheet  {sheet}", err=as_json)


def _first(encoder: Any, query: str, reading: options.Reading, limit: int) -> Source:
    """The first samples of what is looked for, in memory; a .npy file may also hold one sample alone."""
    import numpy as np

    from isthmus.data.base import ArraySource, in_memory
    from isthmus.data.files import map_npy, npy_source
    from isthmus.data.sources import subset

    path, shape = as_path(query), encoder.scaler_.sample_shape
    if path.suffix == ".npy" and path.is_file():
        array = map_npy(path)
        if array.shape == shape:
            return ArraySource(np.array(array)[None], name=query)
        return in_memory(subset(npy_source(path), np.arange(min(limit, len(array)))))
    source = open_for(encoder, query, reading)
    return in_memory(subset(source, np.arange(min(limit, len(source)))))


def _names(source: Source, query: str) -> tuple[list[str], list[str | None]]:
    """Where each sample comes from, and its label."""
    names = [source.location(i) for i in range(len(source))]
    if source.labels is None:
        return names, [None] * len(names)
    classes = options.class_names(query)
    values = source.labels.tolist()
    return names, [str(classes[v]) if classes and isinstance(v, int) and v < len(classes) else str(v) for v in values]


def _others(name: str, neighbours: Sequence[StoredSample]) -> list[StoredSample]:
    """Neighbours without the sample itself: the one of its name, else one that is no farther than rounding explains."""
    itself = next((n for n in neighbours if n.sample == name), None)
    if itself is None and neighbours and neighbours[0].distance <= _ITSELF * neighbours[-1].distance:
        itself = neighbours[0]
    return [neighbour for neighbour in neighbours if neighbour is not itself]


def _json(name: str, label: str | None, neighbours: Sequence[StoredSample]) -> dict[str, object]:
    found = [{"sample": n.sample, "label": n.label, "distance": n.distance} for n in neighbours]
    return {"sample": name, "label": label, "neighbours": found}


def _print(names: Sequence[str], labels: Sequence[str | None], found: Sequence[Sequence[StoredSample]]) -> None:
    """A table for each sample."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for name, label, neighbours in zip(names, labels, found, strict=True):
        console.print(f"[bold]{escape(name)}[/bold]" + ("" if label is None else f", {escape(label)}"), highlight=False)
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("", justify="right")
        for column in ("distance", "label", "sample"):
            table.add_column(column)
        for rank, neighbour in enumerate(neighbours, 1):
            table.add_row(
                str(rank), f"{neighbour.distance:.4g}", escape(neighbour.label or ""), escape(neighbour.sample)
            )
        console.print(table, "", highlight=False)


def _write_sheet(
    encoder: Any,
    source: Source,
    labels: Sequence[str | None],
    found: Sequence[Sequence[StoredSample]],
    path: Path,
    store: Path,
) -> None:
    from isthmus.evaluation.figures.contact_sheet import Tile, contact_sheet
    from isthmus.latent.store import Thumbnails

    pictures = Thumbnails(encoder)(source)
    if pictures is None or any(n.thumbnail is None for neighbours in found for n in neighbours):
        raise IsthmusError(f"{store} holds no pictures, since its samples are no images; leave --output away")
    rows = []
    for picture, label, neighbours in zip(pictures, labels, found, strict=True):
        tiles = [Tile(n.thumbnail or b"", n.label or Path(n.sample).name, f"{n.distance:.3g}") for n in neighbours]
        rows.append((Tile(picture, label or "", ""), tiles))
    contact_sheet(rows, path)
