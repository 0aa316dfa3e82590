"""`isthmus data`: the named data sets."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="List and fetch the named data sets.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the data sets that have a name.

    Example:

      isthmus data list
    """
    from rich.console import Console
    from rich.table import Table

    from isthmus.data import datasets
    from isthmus.registry import named_datasets

    table = Table("name", "what", "here")
    for name in datasets.names():
        table.add_row(name, named_datasets.summary(name), "yes" if datasets.is_available(name) else "to be fetched")
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
