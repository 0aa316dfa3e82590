"""Files that several commands write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def write_npy(path: Path, blocks: Iterable[np.ndarray], rows: int) -> None:
    """Successive blocks as one .npy file of so many rows, at once."""
    with npy_file(path, rows) as add:
        for block in blocks:
            add(block)


@contextmanager
def npy_file(path: Path, rows: int) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that adds a block to a .npy file of so many rows, which is whole or absent in the end."""
    import numpy as np

    from isthmus.files import atomic_path

    with atomic_path(path) as temporary:
        target: np.ndarray | None = None
        start = 0

        def add(block: np.ndarray) -> None:
            nonlocal target, start
            if target is None:
                target = np.lib.format.open_memmap(
                    temporary, mode="w+", dtype=block.dtype, shape=(rows, *block.shape[1:])
                )
            target[start : start + len(block)] = block
            start += len(block)

        yield add
        target = None  # flushes it
