"""`isthmus info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def info(
    model: Annotated[
        str,
        typer.Argument(
            help="Folder of a trained model, an archive, or data: a file, a folder or a data set.",
            metavar="MODEL",
            show_default=False,
        ),
    ],
) -> None:
    """Show what a model is and how it was trained, what an archive holds, or how data are read.

    Examples:

      isthmus info digits-10

      isthmus info photos.isth

      isthmus info table.csv
    """
    if not model:
        raise typer.BadParameter("the path of the model is empty")
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for key, value in _describe(Path(model)).items():
        table.add_row(f"[bold]{key}[/bold]", value)
    Console().print(table)


def _of_table(path: Path) -> dict[str, str]:
    """How a text table is read, and what its columns hold."""
    from isthmus.data.csv_files import read_csv

    table, dialect = read_csv(path)
    kinds: dict[str, list[str]] = {}
    for name, type_ in zip(table.column_names, table.schema.types, strict=True):
        if name not in dialect.index:
            kinds.setdefault(str(type_).replace("string", "words"), []).append(name or "(no name)")
    facts = {"read as": dialect.sentence, "rows": f"{table.num_rows:,}"}
    for kind, names in kinds.items():
        more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
        facts[f"columns of {kind}"] = f"{len(names):,}: {', '.join(names[:8])}{more}"
    if dialect.unclear:
        facts["in two ways"] = ", ".join(f"{name} ({cell})" for name, cell in dialect.unclear)
    return facts


def _describe(path: Path) -> dict[str, str]:
    from isthmus.data.table_files import is_text_table
    from isthmus.estimators.model_folder import CONFIG, described
    from isthmus.registry import named_datasets

    if path.is_file() and is_text_table(path):
        return _of_table(path)

    if str(path).partition(":")[0] in named_datasets or (path.exists() and not (path / CONFIG).exists()):
        return _archive_or_data(path)
    facts = described(path)
    if facts is None:  # of an earlier version
        import isthmus

        facts = isthmus.load(path, device="cpu").describe()
    return facts


def _archive_or_data(path: Path) -> dict[str, str]:
    from isthmus.compression.coding.archive import MAGIC

    if path.is_file():
        with path.open("rb") as file:
            begins = file.read(len(MAGIC))
        if begins == MAGIC or path.suffix == ".isth":
            from isthmus.compression.description import describe

            return describe(path)
    from isthmus.data.description import describe_data
    from isthmus.errors import IsthmusError

    try:
        return describe_data(str(path))
    except IsthmusError as error:
        raise IsthmusError(f"{path} is neither a model nor an archive, and as data: {error}") from error
