"""Samples in several .npy files, one part after the other: a folder of shards, or a large file elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from isthmus.data.base import Source, check_array
from isthmus.data.files import npy_header, read_samples
from isthmus.data.parallel import parallel
from isthmus.data.reading import reading
from isthmus.errors import IsthmusError
from isthmus.remote.ranges import fetch, opened, positional

_OPEN = 64  # shards that are kept open


class _Shard(NamedTuple):
    """A .npy file: where its values begin, and their shape and dtype."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class NpyShards(Source):
    """The samples of .npy files, whose first axis counts them; only what is asked for is read.

    paths : of the files, in their order. All have samples of one shape and dtype, in any number.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        fetch(paths)
        self._shards = parallel(_header, paths)
        first = self._shards[0]
        for shard in self._shards:
            if shard.shape[1:] != first.shape[1:] or shard.dtype != first.dtype:
                raise IsthmusError(
                    f"{name} holds samples of shape {first.shape[1:]} and {first.dtype} ({first.path}) and of "
                    f"{shard.shape[1:]} and {shard.dtype} ({shard.path}); give samples of one shape and dtype"
                )
        self._ends = np.cumsum([shard.shape[0] for shard in self._shards])
        super().__init__((int(self._ends[-1]), *first.shape[1:]), first.dtype, name=name)
        self._stored = first.dtype
        self._reader: Callable[[int], Callable[[int, int], bytes]] = lru_cache(_OPEN)(self._open)
        if len(self._shards) > 1:
            self.said = f"{len(self._shards):,} shards, {self._shards[0].path.name} first"

    def _open(self, number: int) -> Callable[[int, int], bytes]:
        return positional(self._shards[number].path)

    def _take(self, indices: np.ndarray) -> np.ndarray:
        block = np.empty((len(indices), *self.shape[1:]), self._stored)
        owners = np.searchsorted(self._ends, indices, side="right")
        for owner in np.unique(owners).tolist():
            rows, shard = np.flatnonzero(owners == owner), self._shards[owner]
            part = np.empty((len(rows), *self.shape[1:]), self._stored)
            within = indices[rows] - self._ends[owner] + shard.shape[0]
            with reading(shard.path, "a .npy file"):
                read_samples(self._reader(owner), shard.offset, within, part, str(shard.path))
            block[rows] = part
        return block.astype(self.dtype, copy=False)

    def location(self, index: int) -> str:
        owner = int(np.searchsorted(self._ends, index, side="right"))
        shard = self._shards[owner]
        return f"sample {index - int(self._ends[owner]) + shard.shape[0]} of {shard.path}"


def holds_signal(path: Path) -> bool:
    """Whether the array in a .npy file has one axis: it is no shard, but one sample."""
    with reading(path, "a .npy file"), opened(path) as file:
        return len(npy_header(file)[0]) == 1


def _header(path: Path) -> _Shard:
    with reading(path, "a .npy file"), opened(path) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = read(file)
        if fortran_order and len(shape) > 1:
            raise ValueError("its values are in Fortran order, so that no sample lies in one piece")
        check_array(shape, dtype, str(path))
        return _Shard(path, file.tell(), shape, dtype)
