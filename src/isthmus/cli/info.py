"""`isthmus info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def info(
    model: Annotated[
        str, typer.Argument(help="Folder of a trained model, or an archive.", metavar="MODEL", show_default=False)
    ],
) -> None:
    """Show what a model is and how it was trained, or what an archive holds.

    Examples:

      isthmus info digits-10

      isthmus info photos.isth
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for key, value in _describe(Path(model)).items():
        table.add_row(f"[bold]{key}[/bold]", value)
    Console().print(table)


def _describe(path: Path) -> dict[str, str]:
    if path.is_file():
        from isthmus.compression.files import describe

        return describe(path)

    import isthmus

    facts: dict[str, str] = isthmus.load(path, device="cpu").describe()
    return facts
