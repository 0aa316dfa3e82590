"""One chunk of an archive: some successive samples, and what says how they are coded."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.errors import of_a_file
from isthmus.typed_json import read_json, typed

DTYPES = ("uint8", "uint16", "bool")
METHODS = ("model", "png", "xz", "file", "lossy")
MOST_VALUES = 1 << 22  # in one chunk: larger images are cut into bands, and whoever claims more is wrong
MOST_SAMPLES = 1 << 40
_MOST_TEXT = 1 << 25  # bytes of unpacked names or of the directory
_MOST_NAMED, _A_NAME, _SPARE = 1 << 16, 40, 64  # samples of a chunk with names, and JSON values for each
_BAND, _TILES = 16, 32  # added to the number of the method where a chunk is a band of an image, or coded in tiles
_A_STEP, _PLAIN = 128, 16  # what a step of coding costs beside its values, and values that are only unpacked: in values


@dataclass(frozen=True)
class Chunk:
    """Some successive samples.

    first : number of the first. method : one of METHODS. shape, dtype : of the samples together, (n, height,
    width[, channels]); for a file as it is, (1, bytes). names : (name, format) of each sample, or none. check : CRC-32
    of the samples' bytes, or of a lossy coding's codes. data : what `method` reads. band : first row and height of the
    whole image, where the chunk is a band of an image that is too large for one. tile : height and width of the pieces
    in which long, narrow images are coded. frames : for each name what its file holds around the pixels, or none.
    """

    first: int
    method: str
    shape: tuple[int, ...]
    dtype: str
    names: Sequence[tuple[str, str]]
    check: int
    data: bytes
    band: tuple[int, int] | None = None
    tile: tuple[int, int] | None = None
    frames: Sequence[Mapping[str, Any] | None] = ()

    @property
    def version(self) -> int:
        """The first version of the format that has what this chunk needs."""
        return 2 if self.tile is not None or any(self.frames) else 1

    @property
    def count(self) -> int:
        """Samples that begin in it."""
        return self.shape[0] if self.band is None or self.band[0] == 0 else 0

    @property
    def work(self) -> int:
        """What decoding it costs, in values: pixels are coded in steps, which cost even where they hold few."""
        values = math.prod(self.shape)
        if self.method not in ("model", "lossy"):
            return -(-values // _PLAIN)
        height, width = self.tile or self.shape[1:3]
        return values + _A_STEP * (2 * height + width)

    def to_bytes(self) -> bytes:
        """The payload of the section."""
        entries: list[Sequence[Any]] = list(self.names)
        if any(self.frames):
            entries = [[*name, frame] for name, frame in zip(self.names, self.frames, strict=True)]
        names = zlib.compress(json.dumps(entries).encode(), 9) if entries else b""
        method = METHODS.index(self.method) + (_BAND if self.band else 0) + (_TILES if self.tile else 0)
        head = [self.first, method, DTYPES.index(self.dtype), len(self.shape), *self.shape]
        head += [*(self.band or ()), *(self.tile or ())]
        return b"".join(map(varint, [*head, len(names)])) + names + struct.pack("<I", self.check) + self.data

    @classmethod
    def from_bytes(cls, payload: bytes) -> Chunk:
        """The chunk in a payload; IsthmusError where it makes no sense."""
        with of_a_file("a chunk makes no sense", ours=True):
            numbers = _Numbers(payload)
            first, method, dtype, ndim = (numbers.next() for _ in range(4))
            kind, method = divmod(method, _BAND)
            tiled, banded = divmod(kind, 2)
            if not (tiled <= 1 and 2 <= ndim <= 4 and first < MOST_SAMPLES):
                raise ValueError(f"{ndim} axes, method {method}")
            shape = tuple(numbers.next() for _ in range(ndim))
            band = (numbers.next(), numbers.next()) if banded else None
            tile = (numbers.next(), numbers.next()) if tiled else None
            _check_shape(METHODS[method], shape, band, tile, len(payload))
            length = numbers.next()
            packed = payload[numbers.at : numbers.at + length]
            names, frames = _names(inflate(packed), shape[0]) if length else ([], [])
            (check,) = struct.unpack_from("<I", payload, numbers.at + length)
            data = payload[numbers.at + length + 4 :]
            return cls(first, METHODS[method], shape, DTYPES[dtype], names, check, data, band, tile, frames)


def _check_shape(
    method: str, shape: tuple[int, ...], band: tuple[int, int] | None, tile: tuple[int, int] | None, size: int
) -> None:
    """ValueError for a shape that no chunk of so many bytes has."""
    if min(shape) < 1 or math.prod(shape) > max(MOST_VALUES, size):
        raise ValueError(f"shape {shape}")
    if len(shape) < 3 and method != "file":
        raise ValueError(f"images of shape {shape[1:]}")
    if band is not None and not (shape[0] == 1 and band[0] + shape[1] <= band[1] <= MOST_SAMPLES):
        raise ValueError(f"band {band} of shape {shape}")
    if tile is not None and not (1 <= tile[0] <= shape[1] and len(shape) > 2 and 1 <= tile[1] <= shape[2]):
        raise ValueError(f"tiles {tile} of shape {shape}")


def which(first: int, count: int) -> str:
    """Some samples, for messages."""
    return f"sample {first:,} is" if count <= 1 else f"samples {first:,} to {first + count - 1:,} are"


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow (LEB128)."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at an offset, and the offset after it."""
    value = 0
    for shift in range(0, 63, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number is too long")


class _Numbers:
    """Reads one number after the other. at : where the next begins."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def next(self) -> int:
        value, self.at = read_varint(self._data, self.at)
        return value


def _names(content: bytes, count: int) -> tuple[list[tuple[str, str]], list[Mapping[str, Any] | None]]:
    """Names with formats, and frames; none of these where all are None. ValueError where they are something else."""
    most = _SPARE + _A_NAME * min(count, _MOST_NAMED)
    read = typed(read_json(content, "the list of names", most_values=most), list[list[Any]], "the list of names")
    if len(read) > count or not all(2 <= len(entry) <= 3 for entry in read):
        raise ValueError(f"{len(read):,} names of {count:,} samples")
    names = [typed(entry[:2], tuple[str, str], "a name") for entry in read]
    frames = [typed(entry[2], Mapping[str, Any] | None, "a frame") if len(entry) == 3 else None for entry in read]
    return names, frames if any(frames) else []


def inflate(data: bytes) -> bytes:
    """zlib, but no more than 32 MiB: a small damaged block must not fill the memory."""
    inflater = zlib.decompressobj()
    out = inflater.decompress(data, _MOST_TEXT)
    if inflater.unconsumed_tail:
        raise ValueError("it unpacks to more than 32 MiB")
    return out
