"""`isthmus data`: the named data sets."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.machine import to_text

app = typer.Typer(help="List and fetch the named data sets.", no_args_is_help=True)


@app.command("list")
def list_(as_json: options.Json = False) -> None:
    """List the data sets that have a name.

    Example:

      isthmus data list
    """
    from rich.console import Console
    from rich.table import Table

    from isthmus.data import datasets
    from isthmus.registry import named_datasets

    found: list[dict[str, Any]] = [
        {"name": name, "summary": named_datasets.summary(name), "here": datasets.is_available(name)}
        for name in datasets.names()
    ]
    if as_json:
        typer.echo(to_text(found))
        return
    table = Table("name", "what", "here")
    for row in found:
        table.add_row(row["name"], row["summary"], "yes" if row["here"] else "to be fetched")
    Console().print(table)


@app.command("fetch")
def fetch(
    names: Annotated[list[str], typer.Argument(help="Names of data sets, as `isthmus data list` shows them.")],
) -> None:
    """Download data sets into the cache, verified by checksum.

    Example:

      isthmus data fetch mnist fashion-mnist
    """
    from isthmus.data import datasets

    for name in names:
        typer.echo(f"{name}: {datasets.fetch(name)}")
