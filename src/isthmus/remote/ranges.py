"""Parts of objects: large ones are read by blocks, which the cache keeps, so that nothing waits for all of them."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeGuard, cast

from isthmus.remote.cache import CACHE
from isthmus.remote.paths import RemotePath
from isthmus.remote.stores import fingerprint

LARGEST_COPIED = 1 << 26  # bytes: objects up to this size are copied as a whole
_BLOCK = 1 << 23
_AT_ONCE = 8  # blocks or objects that are asked for together


class Blocks:
    """The bytes of an object by their place, for any number of threads.

    Blocks are kept on this machine, unless half of the cache could not hold them all: then each request reads what it
    asks for and no more.
    """

    def __init__(self, path: RemotePath) -> None:
        self._path, self._found = path, path.found()
        self.size = self._found.size
        self._name = fingerprint(path.address, self._found)
        self._kept = self.size <= CACHE.limit // 2

    def read(self, count: int, place: int) -> bytes:
        """`count` bytes from a place on; fewer at the end of the object."""
        stop = min(place + count, self.size)
        if place >= stop:
            return b""
        if not self._kept:
            return self._path.store.read(self._path.address, [(place, stop)], self._found)[0]
        numbers = range(place // _BLOCK, (stop - 1) // _BLOCK + 1)
        parts = []
        for first in range(0, len(numbers), _AT_ONCE):
            for number, block in self._blocks(numbers[first : first + _AT_ONCE]).items():
                start = number * _BLOCK
                parts.append(self._cut(block, max(place, start) - start, min(stop, start + _BLOCK) - start))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _blocks(self, numbers: range) -> dict[int, Path | bytes]:
        """Blocks by number: where they are kept, or as they came just now."""
        found: dict[int, Path | bytes] = {n: CACHE.get(self._file(n)) or b"" for n in numbers}
        wanted = [n for n, block in found.items() if block == b""]
        if wanted:
            ranges = [(n * _BLOCK, min(n * _BLOCK + _BLOCK, self.size)) for n in wanted]
            read = self._path.store.read(self._path.address, ranges, self._found)
            for number, block in zip(wanted, read, strict=True):
                CACHE.add(self._file(number), len(block), lambda made, block=block: made.write_bytes(block))  # type: ignore[misc]
                found[number] = block
        return found

    def _file(self, number: int) -> str:
        return f"{self._name}-{number}"

    @staticmethod
    def _cut(block: Path | bytes, start: int, stop: int) -> bytes:
        if isinstance(block, bytes):
            return block[start:stop]
        with block.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


class _Readable(io.RawIOBase):
    """Blocks as a file."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks, self._place = blocks, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._blocks.size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._blocks.read(len(buffer), self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def is_large(path: Path) -> TypeGuard[RemotePath]:
    """Whether it is an object elsewhere that is read by parts, not copied as a whole."""
    return isinstance(path, RemotePath) and path.found().size > LARGEST_COPIED


def fetch(paths: Sequence[Path]) -> None:
    """Copy small objects to this machine, several at a time, where the cache holds them all; the rest comes later."""
    small = [path for path in paths if isinstance(path, RemotePath) and not is_large(path)]
    if len(small) > 1 and sum(path.found().size for path in small) <= CACHE.limit // 2:
        with ThreadPoolExecutor(_AT_ONCE, "isthmus-fetch") as pool:
            for _ in pool.map(RemotePath.local, small):
                pass


def positional(path: Path) -> Callable[[int, int], bytes]:
    """A function of `count` and `place` that reads so many bytes from there, for any number of threads."""
    if is_large(path):
        return Blocks(path).read
    if not hasattr(os, "pread"):  # on Windows
        return partial(_read_at, path)
    file = os.open(path, os.O_RDONLY)  # its position is not used, so threads and forks can share it
    read = partial(os.pread, file)
    weakref.finalize(read, os.close, file)
    return read


def _read_at(path: Path, count: int, place: int) -> bytes:
    with path.open("rb") as file:
        file.seek(place)
        return file.read(count)


def opened(path: Path) -> BinaryIO:
    """A file to be read from any place: a large object by blocks, anything else as a file on this machine."""
    if is_large(path):
        return cast("BinaryIO", _Readable(Blocks(path)))
    return path.open("rb")
