"""`isthmus info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def info(
    model: Annotated[
        str,
        typer.Argument(
            help="Folder of a trained model, an archive, or a CSV file.", metavar="MODEL", show_default=False
        ),
    ],
) -> None:
    """Show what a model is and how it was trained, what an archive holds, or how a CSV file is read.

    Examples:

      isthmus info digits-10

      isthmus info photos.isth

      isthmus info table.csv
    """
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

    if path.is_file() and is_text_table(path):
        return _of_table(path)
    if path.is_file():
        from isthmus.compression.files import describe

        return describe(path)

    import isthmus

    facts: dict[str, str] = isthmus.load(path, device="cpu").describe()
    return facts
