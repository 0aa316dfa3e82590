"""Single files of arrays as sources: IDX, npy, npz; and how an array is read off a file piece by piece."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np

from isthmus.data.base import ArraySource, Source, check_array
from isthmus.data.labels import as_labels
from isthmus.data.limits import check_expansion
from isthmus.data.reading import choose_array, reading
from isthmus.errors import IsthmusError
from isthmus.remote.ranges import positional

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_header_2 = np.lib.format.read_array_header_2_0


class FileSource(Source):
    """An array that lies in a file in C order, read with one system call for each run of successive samples.

    Against a mapped file this spares reading around each sample when the file is not in memory, and a crash when it
    shrinks; and none of it counts as this process's memory.
    """

    def __init__(self, array: np.memmap, path: Path, labels: np.ndarray | None = None) -> None:
        check_array(array.shape, array.dtype, str(path))
        super().__init__(array.shape, array.dtype, name=str(path), labels=labels)
        self._stored = array.dtype
        self._offset = array.offset
        self._read = positional(path)

    def _take(self, indices: np.ndarray) -> np.ndarray:
        block = np.empty((len(indices), *self.shape[1:]), self._stored)
        with reading(self.name, "an array"):
            read_samples(self._read, self._offset, indices, block, self.name)
        return block.astype(self.dtype, copy=False)


def read_samples(
    read: Callable[[int, int], bytes], offset: int, indices: np.ndarray, block: np.ndarray, name: str
) -> None:
    """Read samples that lie one after the other in a file, from `offset` on, into a block (k, *sample).

    read : a function that returns a number of bytes from an offset on, see `positional`.
    """
    view, size = block.reshape(-1).view(np.uint8).data, block.nbytes // max(1, len(block))
    runs = np.flatnonzero(np.diff(indices, prepend=-2) != 1)
    places = (offset + indices[runs] * size).tolist()
    bounds = pairwise((np.append(runs, len(indices)) * size).tolist())
    for place, (start, stop) in zip(places, bounds, strict=True):
        while start < stop:  # one call reads 2 GB at most
            piece = read(stop - start, place)
            view[start : start + len(piece)] = piece
            start, place = start + len(piece), place + len(piece)
            if not piece:
                raise IsthmusError(f"{name} has become shorter since it was opened")


def mapped_source(array: np.memmap, path: Path, labels: np.ndarray | None = None) -> Source:
    """An array in a file as a source; `array` maps it."""
    if array.flags.c_contiguous and hasattr(os, "pread"):  # Windows has no pread
        return FileSource(array, path, labels)
    return ArraySource(array, name=str(path), labels=labels)


def is_idx(path: Path) -> bool:
    """Whether a file begins like an IDX file, packed with gzip or not."""
    try:
        with _open_idx(path) as file:
            start = file.read(4)
    except (OSError, EOFError):
        return False
    return len(start) == 4 and start[:2] == b"\0\0" and start[2] in _IDX_TYPES and start[3] > 0


def idx_header(path: Path) -> tuple[np.dtype, tuple[int, ...], int]:
    """The dtype, the shape and the number of header bytes of an IDX file (LeCun, "The MNIST database")."""
    with reading(path, "an IDX file"), _open_idx(path) as file:
        return _read_header(file)


def read_idx(path: Path, *, mapped: bool = False) -> np.ndarray:
    """The array in an IDX file; with `mapped`, a file that is not packed comes as a memory map."""
    with reading(path, "an IDX file"), _open_idx(path) as file:
        dtype, shape, offset = _read_header(file)
        expected = offset + math.prod(shape) * dtype.itemsize
        packed, size = isinstance(file, gzip.GzipFile), path.stat().st_size
        if packed:
            check_expansion(path, size, expected)
        elif expected != size:
            raise IsthmusError(f"{path} is damaged: its header means {expected:,} bytes, and it has {size:,}")
        if mapped and not packed and expected > offset:
            return np.memmap(path, dtype, "r", offset, shape)
        array = np.empty(shape, dtype)
        view, done = array.reshape(-1).view(np.uint8), 0
        while count := file.readinto(view[done:].data):
            done += count
        if done != len(view) or file.read(1):
            raise IsthmusError(f"{path} is damaged: its header means {expected:,} bytes, and it unpacks to others")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _open_idx(path: Path) -> BufferedReader | gzip.GzipFile:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.GzipFile(path) if packed else path.open("rb")


def _read_header(file: BufferedReader | gzip.GzipFile) -> tuple[np.dtype, tuple[int, ...], int]:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _IDX_TYPES:
        raise ValueError(f"it begins with the bytes {start.hex(' ')} instead of 00 00, a type and a number of axes")
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise ValueError("it ends within its header")
    return np.dtype(_IDX_TYPES[start[2]]), tuple(np.frombuffer(sizes, ">u4").tolist()), 4 + len(sizes)


def idx_source(path: Path) -> Source:
    """An IDX file; the labels are those of the file beside it, ``...labels-idx1...`` for ``...images-idx3...``."""
    array = read_idx(path, mapped=True)
    labels, partner = None, path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    for candidate in (partner, partner.with_suffix(""), partner.with_name(partner.name + ".gz")):
        if partner != path and labels is None and candidate.is_file() and is_idx(candidate):
            labels = as_labels(read_idx(candidate), str(candidate))
            if len(labels) != len(array):
                raise IsthmusError(f"{candidate} has {len(labels)} labels for the {len(array)} samples of {path}")
    if isinstance(array, np.memmap):
        return mapped_source(array, path, labels)
    return ArraySource(array, name=str(path), labels=labels)


def map_npy(path: Path) -> np.memmap:
    """The array in a .npy file, of any shape: only what is asked for is read."""
    with reading(path, "a .npy file"):
        return np.lib.format.open_memmap(path, mode="r")


def npy_source(path: Path) -> Source:
    """A .npy file: only what is asked for is read."""
    return mapped_source(map_npy(path), path)


def npz_source(path: Path, member: str | None) -> ArraySource:
    """A .npz file: its only array of samples or the one named X, images or data; labels from y, labels or targets."""
    with reading(path, "a .npz file"), np.load(path, allow_pickle=False) as file:
        headers = {name: _npz_header(file, name) for name in file.files}
        name, labels_name = choose_array({name: len(header.shape) for name, header in headers.items()}, path, member)
        for one in filter(None, (name, labels_name)):
            check_expansion(path, headers[one].packed, headers[one].unpacked)
        array = file[name]
        labels = None if labels_name is None else file[labels_name]
    return ArraySource(array, name=str(path), labels=fitting_labels(labels, array.shape[:1], path))


@dataclass(frozen=True)
class _Member:
    """What the header of an array in a .npz file says. packed, unpacked : bytes."""

    shape: tuple[int, ...]
    packed: int
    unpacked: int


def _npz_header(file: Any, name: str) -> _Member:
    member = next(entry for entry in file.zip.infolist() if entry.filename in (name, f"{name}.npy"))
    with file.zip.open(member) as stream:
        shape, dtype = npy_header(stream)
    return _Member(shape, member.compress_size, math.prod(shape) * dtype.itemsize)


def read_npy(file: IO[bytes], size: int) -> np.ndarray:
    """The array in an open .npy file of so many bytes; ValueError, before any is read, where its header claims more."""
    shape, dtype = npy_header(file)
    claimed, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if claimed > held and not dtype.hasobject:
        raise ValueError(f"it claims {claimed:,} bytes of numbers, and holds {held:,}")
    file.seek(0)
    array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    return array


def npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the dtype that the header of a .npy file claims; the file is left behind it."""
    header = np.lib.format.read_array_header_1_0 if np.lib.format.read_magic(file) == (1, 0) else _header_2
    shape, _, dtype = header(file)
    return shape, dtype


def fitting_labels(values: np.ndarray | None, shape: tuple[int, ...], path: Path) -> np.ndarray | None:
    """Labels that a file holds beside its samples; an array of another shape or of fractions is something else."""
    if values is None or values.shape != shape or values.dtype.kind not in "biufUO":
        return None
    if values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):
        return None
    return as_labels(values, f"the labels of {path}")
