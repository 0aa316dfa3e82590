"""Files that several commands write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def write_npy(path: Path, blocks: Iterable[np.ndarray], rows: int) -> None:
    """Successive blocks as one .npy file of so many rows, at once."""
    import numpy as np

    from isthmus.files import atomic_path

    with atomic_path(path) as temporary:
        target: np.ndarray | None = None
        start = 0
        for block in blocks:
            if target is None:
                target = np.lib.format.open_memmap(
                    temporary, mode="w+", dtype=block.dtype, shape=(rows, *block.shape[1:])
                )
            target[start : start + len(block)] = block
            start += len(block)
        del target  # flushes it
