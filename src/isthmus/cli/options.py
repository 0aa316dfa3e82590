"""Options that several commands share, and options whose values are names in a registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus import registry
from isthmus.errors import IsthmusError
from isthmus.registry import Registry
from isthmus.spec import Choice, parse_objective

if TYPE_CHECKING:
    from isthmus import AutoEncoder
    from isthmus.data.sources import Source

Model = Annotated[str, typer.Argument(help="Folder of a trained model.", show_default=False)]
Data = Annotated[
    str,
    typer.Argument(
        help="A file (npy, npz, IDX, CSV, Parquet, Arrow, TIFF, Zarr), a folder of images, or the name of a data set.",
        show_default=False,
    ),
]
MixedSizes = Annotated[
    str, typer.Option("--mixed-sizes", help="Images of unequal size: refuse, crop or resize.", metavar="NAME")
]
LabelsColumn = Annotated[
    str | None, typer.Option("--labels-column", help="Column of a table with labels, not features.", metavar="NAME")
]
DropColumn = Annotated[
    list[str] | None,
    typer.Option("--drop-column", help="Column of a table to leave out; may be repeated.", metavar="NAME"),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps, ...", metavar="NAME")]


def named(
    flag: str,
    found: Registry,
    text: str,
    *,
    extra: tuple[str, ...] = (),
    panel: str = "Network",
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """An option whose value is one of a registry's names, with an optional number, as in ``variational:0.1``.

    parse : what refuses wrong values, where they may be more than that.
    """
    names = (*extra, *found.names())

    def check(value: str | None) -> str | None:
        if value is not None and value not in extra:
            try:
                parse(value) if parse else Choice.parse(value, found)
            except IsthmusError as error:
                raise typer.BadParameter(str(error)) from error
        return value

    return typer.Option(
        flag,
        help=f"{text} One of: {', '.join(names)}.",
        callback=check,
        metavar="NAME",
        autocompletion=lambda incomplete: [name for name in names if name.startswith(incomplete)],
        rich_help_panel=panel,
    )


@dataclass(frozen=True)
class Reading:
    """How data are read: what `open_source` takes beside them."""

    mixed_sizes: str = "refuse"
    labels_column: str | None = None
    drop_columns: list[str] | None = None

    def open(self, data: str, image_mode: str | None = None) -> Source:
        """A source; options for tables are for tables only."""
        from isthmus.data.sources import open_source

        return open_source(
            data,
            on_mixed_sizes=self.mixed_sizes,
            image_mode=image_mode,
            labels_column=self.labels_column,
            drop_columns=self.drop_columns or (),
        )


def class_names(data: str) -> Sequence[str] | None:
    """What the labels of a named data set mean."""
    from isthmus.data import datasets

    name = data.partition(":")[0]
    return datasets.load(name).class_names if name in registry.named_datasets else None


def report(model: AutoEncoder, folder: Path, data: str, training: Source, testing: Source, saved_as: Path) -> None:
    """Write the report of a model on data into a folder, and print its main figures."""
    from isthmus.evaluation.report import write_report
    from isthmus.evaluation.study import study

    measured = study(model, train=training, test=testing, class_names=class_names(data))
    path = write_report(
        measured, folder, estimator=type(model).__name__, title=saved_as.resolve().name, saved_as=saved_as
    )
    ours, pca = measured.metrics.mse, measured.pca_metrics.mse
    typer.echo(f"Test error  {ours:.5g}, the mean squared error of {len(measured.codes):,} samples in scaled units")
    typer.echo(f"PCA         {pca:.5g}, with the same code size")
    typer.echo(f"Report      {path}")


def check_output(output: Path, overwrite: bool, *, folder: bool) -> None:
    """Refuse a folder where a file is written, a file where a folder is, and what would be overwritten."""
    if folder and output.exists() and not output.is_dir():
        raise IsthmusError(f"{output} is a file; images need a folder as --output")
    if not folder and output.is_dir():
        raise IsthmusError(f"{output} is a folder; name a file with --output")
    occupied = any(output.iterdir()) if output.is_dir() else output.exists()
    if occupied and not overwrite:
        raise IsthmusError(f"{output} exists; give --overwrite to replace what is there")


def objective(text: str) -> dict[str, float]:
    """``mse`` or ``mse=1,ssim=0.1`` as weights by name."""
    weights = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        try:
            weights[name] = float(weight) if weight else 1.0
        except ValueError as error:
            raise typer.BadParameter(f"weight {weight!r} of objective {name!r} is not a number") from error
    try:
        return parse_objective(weights)
    except IsthmusError as error:
        raise typer.BadParameter(str(error)) from error


def integers(text: str | None, flag: str) -> tuple[int, ...] | None:
    """``32,64,128`` as a tuple."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.replace("-", ",").split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{flag} {text!r} is not a list of integers such as 32,64,128") from error
