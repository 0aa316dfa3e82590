"""A command that torchrun started several times: one process speaks, writes and decides for all of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import typer

from isthmus.errors import LostProcessError
from isthmus.training import launch


@contextlib.contextmanager
def only_first_speaks() -> Iterator[None]:
    """Keep all processes but the first from writing to the terminal."""
    if launch.rank() == 0:
        yield
        return
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def speaker(error: Exception) -> str | None:
    """Who says what ended the command: "" for the only process or the first one; None where another one says it."""
    if launch.size() == 1:
        return ""
    from isthmus.training.distributed import is_first_to_tell

    is_own = not isinstance(error, LostProcessError)
    if not is_first_to_tell(is_own=is_own):
        return None
    return f"process {launch.rank() + 1} of {launch.size()}: " if is_own and launch.rank() else ""


def go_on_alone(number: int) -> int:
    """Part after learning: the first process goes on, and the others end the command with the same status.

    number : of the signal that this process noted, 0 if none. Returns the one that the first process noted.
    """
    if launch.size() == 1:
        return number
    from isthmus.training.distributed import join, leave

    world = join()
    number = world.agreed(number)
    leave()
    if not world.leads:
        raise typer.Exit(128 + number if number else 0)
    return number
