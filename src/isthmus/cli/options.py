"""Options that several commands share, each declared once; and what turns their texts into values."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from isthmus import registry
from isthmus.cli.addresses import check_writable
from isthmus.errors import IsthmusError, ReadingError
from isthmus.files import is_occupied
from isthmus.registry import Registry
from isthmus.remote.paths import as_path
from isthmus.remote.stores import shown
from isthmus.spec import Choice, parse_objective

if TYPE_CHECKING:
    from isthmus.data.columns import TableSchema
    from isthmus.data.sources import Source
    from isthmus.data.table_source import TableSource

NETWORK, TRAINING, RUN, READING = "Network", "Training", "Run", "Reading data"  # panels of the help

Model = Annotated[str, typer.Argument(help="Folder of a trained model.", metavar="MODEL", show_default=False)]
Data = Annotated[
    str,
    typer.Argument(
        help="A file (npy, npz, IDX, CSV, Parquet, Arrow, TIFF, Zarr), a folder of images or of signals (a .wav, .csv "
        "or .npy file each), or the name of a data set.",
        metavar="DATA",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Device = Annotated[str, typer.Option("--device", help="Device: auto, cpu, cuda, cuda:1, mps, ...", metavar="NAME")]
Seed = Annotated[int, typer.Option("--seed", help="Random seed.", min=0)]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress bar.")]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Passes over the data.", min=1, rich_help_panel=TRAINING)]
Minutes = Annotated[
    float | None, typer.Option("--minutes", help="Time to learn, instead of epochs.", rich_help_panel=TRAINING)
]
SaveModel = Annotated[
    Path | None, typer.Option("--save-model", help="Folder for the learned model.", rich_help_panel=TRAINING)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else on standard output.")]
ChannelAxis = Annotated[
    str,
    typer.Option(
        "--channel-axis",
        help="Axis of the channels: 1, -1, ..., none or auto.",
        metavar="INT",
        rich_help_panel=NETWORK,
    ),
]


@contextmanager
def advice() -> Iterator[None]:
    """Say what helps by the command line's options where data cannot be read as they are."""
    try:
        yield
    except ReadingError as error:
        raise IsthmusError(f"{error.fact}; {error.options}") from error


Csv = Annotated[
    list[str] | None,
    typer.Option(
        "--csv",
        help="How a CSV file is written, where isthmus guesses wrong: encoding, delimiter, quote, decimal, "
        "thousands, header (yes or no), index, comment or skipped; may be repeated, as --csv header=no.",
        metavar="NAME=VALUE",
        rich_help_panel=READING,
    ),
]


@dataclass(frozen=True)
class Reading:
    """How data are read."""

    mixed_sizes: Annotated[
        str,
        typer.Option(
            "--mixed-sizes",
            help="Images of different sizes: refuse, crop or resize; signals of different lengths: refuse or crop.",
            metavar="NAME",
            rich_help_panel=READING,
        ),
    ] = "refuse"
    labels_column: Annotated[
        str | None,
        typer.Option(
            "--labels-column",
            help="Column of a table that holds labels, not features.",
            metavar="NAME",
            rich_help_panel=READING,
        ),
    ] = None
    drop_column: Annotated[
        list[str] | None,
        typer.Option(
            "--drop-column",
            help="Column of a table to leave out; may be repeated.",
            metavar="NAME",
            rich_help_panel=READING,
        ),
    ] = None
    missing_columns: Annotated[
        str | None,
        typer.Option(
            "--missing-columns",
            help="What to do where a table lacks columns of the model: refuse, or fill (their cells count as unknown).",
            metavar="NAME",
            show_default="what the model was told",
            rich_help_panel=READING,
        ),
    ] = None

    csv: Csv = None

    def table(
        self,
        data: str,
        kinds: Mapping[str, str] | None = None,
        markers: Sequence[Any] = (),
        *,
        schema: TableSchema | None = None,
        told: str = "refuse",
    ) -> TableSource | None:
        """A table with columns of any kind; None for other data. See `open_table`.

        told : what a model was told of missing columns; --missing-columns goes before.
        """
        from isthmus.data.table_source import open_table

        asked = self.missing_columns or told
        with advice():
            source = open_table(data, kinds, markers, schema=schema, missing_columns=asked, **self._of_tables())
        _tell_how(data, source)
        return source

    def table_to_learn(self, data: str, kinds: Mapping[str, str], markers: Sequence[Any]) -> Source | None:
        """The same, where a table of numbers without holes comes as a matrix; see `open_table_to_learn`."""
        from isthmus.data.table_source import open_table_to_learn

        with advice():
            source = open_table_to_learn(data, kinds, markers, **self._of_tables())
        _tell_how(data, source)
        return source

    def _of_tables(self) -> dict[str, Any]:
        """How the file of a table is read."""
        from isthmus.data.csv_dialect import parse_settings

        return {
            "labels": self.labels_column,
            "drop": self.drop_column or (),
            "csv": parse_settings(self.csv) if self.csv else None,
        }

    def open(self, data: str, image_mode: str | None = None, columns: Sequence[str] | None = None) -> Source:
        """A source; options for tables are for tables only. columns : the features, where a model knows their names.

        What was found out about a CSV file is printed on standard error.
        """
        from isthmus.data.csv_dialect import parse_settings
        from isthmus.data.sources import open_source

        if self.missing_columns == "fill":
            raise IsthmusError("--missing-columns fill is for models of tables with words, dates or holes")
        told: dict[str, Any] = {  # by names that the user wrote, which open_source checks
            "on_mixed_sizes": self.mixed_sizes,
            "image_mode": image_mode,
            "labels_column": self.labels_column,
            "drop_columns": self.drop_column or (),
            "columns": columns,
            "csv": parse_settings(self.csv) if self.csv else None,
        }
        with advice():
            source = open_source(data, **told)
        _tell_how(data, source)
        return source


def _tell_how(data: str, source: Source | None) -> None:
    if source is not None and source.said:
        typer.echo(f"{shown(data)}: {source.said}.", err=True)


@dataclass(frozen=True)
class ColumnKinds:
    """What the columns of a table hold, where that is not to be guessed."""

    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            help="Kind of a table's column, as zip=category: number, category, ordinal:low<middle<high, date or "
            "ignore; may be repeated.",
            metavar="NAME=KIND",
            rich_help_panel=READING,
        ),
    ] = None
    missing_value: Annotated[
        list[str] | None,
        typer.Option(
            "--missing-value",
            help="Value of a table that stands for a missing cell, as -999; may be repeated.",
            metavar="VALUE",
            rich_help_panel=READING,
        ),
    ] = None

    @property
    def kinds(self) -> dict[str, str]:
        """The kinds by the columns' names."""
        pairs = [text.rpartition("=") for text in self.column or ()]
        for name, _, kind in pairs:
            if not name:
                raise typer.BadParameter(f"--column {kind!r} must be NAME=KIND, as in zip=category")
        return {name: kind for name, _, kind in pairs}

    @property
    def markers(self) -> list[Any]:
        """The values, as numbers where they are such."""
        return [_number_or_text(text) for text in self.missing_value or ()]


def _number_or_text(text: str) -> Any:
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return text


@functools.cache  # most groups are those of several commands
def _members(group: Any) -> list[tuple[str, Any, Any]]:
    """Name, type and default of each option of a group."""
    types = get_type_hints(group, include_extras=True)
    return [(field.name, types[field.name], field.default) for field in fields(group)]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator of a command: a parameter that is a dataclass becomes one option for each of its fields.

    So options that commands share are declared once, as the fields of a class, and reach the command as one value.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        group = groups.get(parameter.name)
        own = [(parameter.name, hints[parameter.name], parameter.default)]
        members = own if group is None else _members(group)
        for name, annotation, default in members:
            parameters.append(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            )

    @functools.wraps(command)
    def gather(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    gather.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    gather.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return gather


def named(
    flag: str,
    found: Registry[Any],
    text: str,
    *,
    extra: tuple[str, ...] = (),
    panel: str = NETWORK,
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


def class_names(data: str) -> Sequence[str] | None:
    """What the labels of a named data set mean."""
    from isthmus.data import datasets

    name = data.partition(":")[0]
    return datasets.load(name).class_names if name in registry.named_datasets else None


def check_not_input(output: Path, *inputs: str) -> None:
    """Refuse to write over what is read, also with --overwrite."""
    for name in inputs:
        if output.exists() and output.resolve() == as_path(name).resolve():
            raise IsthmusError(f"the output {output} is what is read, and would be lost; name another place")


def check_output(output: Path, overwrite: bool, *, folder: bool, suffixes: Sequence[str] = ()) -> None:
    """Refuse a folder where a file is written, a file where a folder is, and what would be overwritten.

    suffixes : of the formats that a file can be written in, if not in all: another name would say that it is something
    else.
    """
    if suffixes and not folder and output.suffix.lower() not in suffixes:
        known = " or ".join(suffixes)
        raise typer.BadParameter(f"--output {str(output)!r} must end in {known}: the format that is written")
    if folder and output.exists() and not output.is_dir():
        raise IsthmusError(f"{output} is a file; name a folder with --output")
    if not folder and output.is_dir():
        raise IsthmusError(f"{output} is a folder; name a file with --output")
    if is_occupied(output) and not overwrite:
        raise IsthmusError(f"{output} exists; give --overwrite to replace what is there")
    check_writable(output)


def check_data(*data: str | None) -> None:
    """Refuse paths and names that do not exist, before anything slow is imported."""
    from isthmus.data.sources import check_exists

    for name in data:
        if name is not None:
            check_exists(name)


def check_folder(folder: Path) -> None:
    """Refuse a place where no folder can be made or nothing can be written into it."""
    if folder.exists() and not folder.is_dir():
        raise IsthmusError(f"{folder} is a file; name a folder with --output")
    check_writable(folder / "file")


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


def integer(text: str, flag: str) -> int:
    """``10`` as a number."""
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(f"{flag} {text!r} is not an integer") from error


def integers(text: str | None, flag: str) -> tuple[int, ...] | None:
    """``32,64,128`` as a tuple."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.replace("-", ",").split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{flag} {text!r} is not a list of integers such as 32,64,128") from error


def axis(text: str, flag: str = "--channel-axis") -> int | str | None:
    """``auto``, ``none`` or a number as estimators take them."""
    if text in ("auto", "none"):
        return None if text == "none" else text
    return integer(text, flag)
