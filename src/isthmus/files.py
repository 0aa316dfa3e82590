"""Files that are whole or absent: written under a temporary name, flushed, then renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name in the folder of `path`, which becomes `path` when the block ends without an error."""
    with atomic_paths(path) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(*paths: str | Path) -> Iterator[tuple[Path, ...]]:
    """A temporary name beside each path; all of them take their places, in this order, when the block ends well.

    The first one is renamed only when all are on the disk: a full disk replaces none of them.
    """
    targets = [Path(path) for path in paths]
    temporaries: list[Path] = []
    try:
        for path in targets:
            path.parent.mkdir(parents=True, exist_ok=True)
            prefix, suffix = temporary_affixes(path)
            handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=path.parent)
            os.close(handle)
            temporaries.append(Path(name))
        yield tuple(temporaries)
        for temporary in temporaries:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
        for temporary, path in zip(temporaries, targets, strict=True):
            temporary.replace(path)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


def temporary_affixes(path: Path) -> tuple[str, str]:
    """How the temporary names for `path` begin and end: hidden, and never too long where the name of `path` is not."""
    return f".{path.name[:20]}.", path.suffix[:16]


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A place of the same name in a temporary folder; what is made there becomes `path` when the block ends well.

    What was at `path` before is replaced, and kept where anything fails.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=temporary_affixes(path)[0], dir=path.parent))
    made, replaced = temporary / path.name, temporary / "replaced"
    try:
        yield made
        if path.exists():
            path.rename(replaced)
        try:
            made.rename(path)
        except OSError:
            if replaced.exists():
                replaced.rename(path)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def printable(name: str | Path) -> str:
    """A file's name as text that every format and terminal takes: a byte that is no UTF-8 becomes ``\\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` at once."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write UTF-8 `content` to `path` at once."""
    write_bytes(path, content.encode("utf-8"))


@contextmanager
def npy_file(path: str | Path, rows: int) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that adds a block (k, ...) to a .npy file of so many rows, which is whole or absent in the end."""
    import numpy as np

    with atomic_path(path) as temporary:
        target: np.ndarray | None = None
        start = 0

        def add(block: np.ndarray) -> None:
            nonlocal target, start
            if target is None:
                shape = (rows, *block.shape[1:])
                target = np.lib.format.open_memmap(temporary, mode="w+", dtype=block.dtype, shape=shape)
                _allocate(temporary)
            target[start : start + len(block)] = block
            start += len(block)

        yield add
        target = None  # flushes it


def to_json_lines(entries: Sequence[Mapping[str, Any]]) -> str:
    """One line of JSON for each entry."""
    return "".join(json.dumps(dict(entry)) + "\n" for entry in entries)


def _allocate(path: Path) -> None:
    """Take the room on the disk that a file's length promises: a full one is an OSError here, and a crash in a map."""
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
