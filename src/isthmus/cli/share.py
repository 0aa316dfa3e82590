"""`isthmus push` and `isthmus pull`: models on the Hugging Face Hub."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import options
from isthmus.remote.paths import as_path


def push(
    model: options.Model,
    name: Annotated[str, typer.Argument(help="Repository of the hub.", metavar="USER/NAME", show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="Let only its owner see the repository.")] = False,
) -> None:
    """Push a model to the Hugging Face Hub, with its card; a repository is created where there is none.

    The token is read from HF_TOKEN or from what `hf auth login` keeps. Reports, which show samples, are not pushed.

    Example:

      isthmus push digits-10 someone/digits-10 --private
    """
    from isthmus.estimators.sharing import push_model

    _without_bars()
    typer.echo(f"Pushed  {push_model(as_path(model), name, private=private)}")


def pull(
    name: Annotated[
        str,
        typer.Argument(help="Repository of the hub, with a revision if wanted.", metavar="USER/NAME[@REVISION]"),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the model.", show_default="the name without USER")
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Copy a model from the Hugging Face Hub into a folder, and check it; nothing in it is executed.

    Commands read a model on the hub directly, too: hf://USER/NAME in the place of its folder.

    Examples:

      isthmus pull someone/digits-10

      isthmus pull someone/digits-10@v2 -o digits
    """
    from isthmus.estimators.sharing import folder_for, pull_model

    folder = output or folder_for(name)
    options.check_output(folder, overwrite, folder=True)
    _without_bars()
    folder, address = pull_model(name, folder)
    typer.echo(f"Pulled  {address}\nModel   {folder}")


def _without_bars() -> None:
    """No progress bars of the hub's library where nobody watches; it reads this when it is imported."""
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
