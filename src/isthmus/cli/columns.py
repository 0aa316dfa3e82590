"""The columns of a table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from isthmus.data.columns import TableSchema

_PIPE = 1_000  # columns of what is no terminal: a line for each column of the table, however long


def print_facts(facts: Mapping[str, str]) -> None:
    """Names and values, a line each."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for key, value in facts.items():
        table.add_row(Text(key, "bold"), Text(value))
    Console().print(table)


def tell_columns(data: str, schema: TableSchema) -> None:
    """Say on standard error which columns are left out and why, and what of the others is not plain."""
    for column in schema.columns:
        if not column.is_used:
            typer.echo(f"{data}: column {column.name!r} is left out: {column.note or 'as told'}.", err=True)
        elif column.note:
            typer.echo(f"{data}: column {column.name!r}: {column.note}.", err=True)


def print_columns(schema: TableSchema) -> None:
    """What each column is, and what is done with it."""
    from isthmus.evaluation.table_text import HEADINGS, column_rows

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("column", *HEADINGS):
        last = heading == HEADINGS[-1]
        right = heading in ("missing", "distinct")
        table.add_column(heading, justify="right" if right else "left", no_wrap=not last, overflow="ellipsis")
    for name, cells in column_rows(schema.columns):
        left_out = cells[0] == "left out"
        table.add_row(Text(name or "(no name)"), *map(Text, cells), style="dim" if left_out else "")
    console = Console()
    if console.is_terminal:
        console.print()
        console.print(table)
        return
    wide = Console(width=_PIPE)
    with wide.capture() as captured:
        wide.print(table)
    print("", *(line.rstrip() for line in captured.get().splitlines()), sep="\n")
