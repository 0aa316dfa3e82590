"""The command line without a process of its own: what its boundary makes of errors is part of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from isthmus.cli import main


@dataclass(frozen=True)
class Said:
    """status : the exit status. out, err : what was printed."""

    status: int
    out: str
    err: str


def ask(*arguments: Any) -> Said:
    """Run `isthmus ARGUMENTS`."""
    with _wide_terminal(), redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        status = main([str(argument) for argument in arguments])
    return Said(status, out.getvalue(), err.getvalue())


def run(*arguments: Any) -> tuple[int, str]:
    """Run `isthmus ARGUMENTS`; the exit status and all that was printed."""
    said = ask(*arguments)
    return said.status, said.out + said.err


@contextmanager
def _wide_terminal() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        yield
