"""How much a file may ask for: the one place that knows, and that every reader asks before it does the work.

A small file can claim, or unpack to, more than any machine holds. What a file unpacks to is therefore held against its
own size; and tables are held to a number of columns. Files that are not packed cost what they weigh, and have no limit.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from isthmus.errors import IsthmusError

FREE = 1 << 26  # bytes that every file may unpack to, however small it is
EXPANSION = 100  # times its own size that a larger one may unpack to: text packs to a third, sparse rows to a fiftieth
MOST_COLUMNS = 100_000  # of a table: each costs 20 kB and up to half a millisecond, whatever it holds
_expansion = [float(EXPANSION)]
_most: ContextVar[int] = ContextVar("_most", default=1 << 62)  # bytes, see `unpacking_at_most`


def set_max_expansion(times: float) -> None:
    """Let files unpack to more than 100 times their own size, in this process, from now on.

    Smaller results, up to 64 MiB, are never refused. times : how many times its own size a file may unpack to. On the
    command line it is an option of ``isthmus`` itself: ``isthmus --max-expansion 5000 train zeros.parquet``.

    Raises IsthmusError where `times` is not a number of at least 1.

    Examples
    --------
    >>> import isthmus
    >>> isthmus.set_max_expansion(5000)  # a table of zeros, which somebody we know has sent
    >>> isthmus.set_max_expansion(100)
    """
    if not times >= 1:
        raise IsthmusError(f"a file may unpack to {times!r} times its own size: give a number from 1 on")
    _expansion[0] = float(times)


@contextmanager
def unpacking_at_most(count: int) -> Iterator[None]:
    """Refuse, inside, files that unpack to more than `count` bytes, however large they are themselves.

    For a service, which knows what it can hold and not what it is sent.

    >>> with unpacking_at_most(1000):
    ...     check_expansion("a.png", 100, 2000)
    Traceback (most recent call last):
    isthmus.errors.IsthmusError: a.png unpacks to 2 kB; at most 1 kB are read
    """
    token = _most.set(count)
    try:
        yield
    finally:
        _most.reset(token)


def check_expansion(name: Path | str, packed: int, unpacked: int) -> None:
    """Refuse a file that unpacks to far more than its own size. packed, unpacked : bytes."""
    if unpacked > _most.get():
        raise IsthmusError(f"{name} unpacks to {_of_bytes(unpacked)}; at most {_of_bytes(_most.get())} are read")
    if unpacked > largest(packed):
        times = -(-unpacked // max(1, packed))
        raise IsthmusError(
            f"{name} unpacks to {_of_bytes(unpacked)} from {_of_bytes(packed)}, {times:,} times as much; more than "
            f"{_expansion[0]:g} times is refused. If you trust it, call isthmus.set_max_expansion({_round(times)}), or "
            f"start with: isthmus --max-expansion {_round(times)}"
        )


def largest(packed: int) -> int:
    """Bytes that a file of that many bytes may unpack to."""
    return min(_most.get(), max(FREE, int(min(_expansion[0] * packed, 1 << 62))))


def check_columns(count: int) -> None:
    """Refuse a table of too many columns; ValueError, for `reading` to name the file."""
    if count > MOST_COLUMNS:
        raise ValueError(
            f"it has {count:,} columns, and tables of up to {MOST_COLUMNS:,} are read; keep numbers of so many as an "
            "array, in a .npy file"
        )


class Unpacked(io.RawIOBase):
    """Reads a packed file, and raises an error as soon as too much comes out for the bytes that went in.

    file : the reader that unpacks `raw`.
    """

    def __init__(self, file: BinaryIO, raw: BinaryIO, name: Path | str) -> None:
        super().__init__()
        self._file, self._raw, self._name, self._count = file, raw, name, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        self._count += len(piece)
        if self._count > FREE:
            check_expansion(self._name, self._raw.tell(), self._count)
        return len(piece)


def _of_bytes(count: int) -> str:
    unit, word = next(((u, w) for u, w in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if count >= u), (1, "bytes"))
    return f"{count / unit:,.3g} {word}" if count < 1e12 else f"{count / 1e9:,.0f} GB"


def _round(times: int) -> int:
    """A number a little larger, of two digits."""
    step: int = 10 ** max(0, len(str(times)) - 2)
    return -(-times // step) * step
