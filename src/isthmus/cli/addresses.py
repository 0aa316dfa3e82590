"""Paths that commands write to and read from, on this machine or elsewhere."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isthmus.errors import IsthmusError
from isthmus.remote.paths import RemotePath, as_path


def with_addresses(command: Callable[..., None]) -> Callable[..., None]:
    """Decorator of a command: what it takes as a path may be an address, as s3://bucket/folder."""

    @functools.wraps(command)
    def called(**values: Any) -> None:
        command(**{name: as_path(value) if isinstance(value, Path) else value for name, value in values.items()})

    return called


def check_writable(path: Path) -> None:
    """Refuse a place where no file can be written: below a file, or in a folder that this user may not change."""
    if isinstance(path, RemotePath):
        return path.check_writable()
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise IsthmusError(f"cannot write {path}: {above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise IsthmusError(f"cannot write {path}: the folder {above} may not be changed")
