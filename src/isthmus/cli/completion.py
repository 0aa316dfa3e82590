"""`isthmus completion`."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.completion import show_callback


class Shell(StrEnum):
    """The shells that typer writes scripts for."""

    BASH, ZSH, FISH, POWERSHELL = "bash", "zsh", "fish", "powershell"


def completion(
    ctx: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="The shell.", metavar="SHELL", show_default=False)],
) -> None:
    """Print the script that lets a shell complete commands, options and names: bash, zsh, fish or powershell.

    Example:

      isthmus completion bash >> ~/.bashrc
    """
    show: Any = show_callback
    with contextlib.suppress(SystemExit):
        show(ctx, None, shell.value)
