"""The archive: a sequence of sections, each with its length and checksum. docs/file-format.md describes every byte."""

from __future__ import annotations

import json
import math
import struct
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from isthmus.errors import IsthmusError

MAGIC, VERSIONS = b"ISTH", (1, 2)
_LIST, _EMBEDDED = 1, 2  # flags: samples are given back as a list; the model is inside
_CHUNK, _MODEL, _DIRECTORY = b"C", b"M", b"D"
_TRAILER = struct.Struct("<Q4s")  # where the directory begins, and a mark
_END = b"HTSI"
_LONE = b"E"  # ends an archive of one chunk, which needs no directory
_HEAD = struct.Struct("<4sBB8s")
_DTYPES = ("uint8", "uint16", "bool")
MOST_VALUES = 1 << 22  # in one chunk: larger images are cut into bands, and whoever claims more is wrong
_MOST_SAMPLES = 1 << 40
_MOST_TEXT = 1 << 25  # bytes of unpacked names or of the directory
_BAND, _TILES = 16, 32  # added to the number of the method where a chunk is a band of an image, or coded in tiles
METHODS = ("model", "png", "xz", "file", "lossy")


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

    def to_bytes(self) -> bytes:
        """The payload of the section."""
        entries: list[Sequence[Any]] = list(self.names)
        if any(self.frames):
            entries = [[*name, frame] for name, frame in zip(self.names, self.frames, strict=True)]
        names = zlib.compress(json.dumps(entries).encode(), 9) if entries else b""
        method = METHODS.index(self.method) + (_BAND if self.band else 0) + (_TILES if self.tile else 0)
        head = [self.first, method, _DTYPES.index(self.dtype), len(self.shape), *self.shape]
        head += [*(self.band or ()), *(self.tile or ())]
        return b"".join(map(_varint, [*head, len(names)])) + names + struct.pack("<I", self.check) + self.data

    @classmethod
    def from_bytes(cls, payload: bytes) -> Chunk:
        """The chunk in a payload; IsthmusError where it makes no sense."""
        numbers = _Numbers(payload)
        try:
            first, method, dtype, ndim = (numbers.next() for _ in range(4))
            kind, method = divmod(method, _BAND)
            tiled, banded = divmod(kind, 2)
            if not (tiled <= 1 and 2 <= ndim <= 4 and first < _MOST_SAMPLES):
                raise ValueError(f"{ndim} axes, method {method}")
            shape = tuple(numbers.next() for _ in range(ndim))
            band = (numbers.next(), numbers.next()) if banded else None
            tile = (numbers.next(), numbers.next()) if tiled else None
            if min(shape) < 1 or math.prod(shape) > max(MOST_VALUES, len(payload)):
                raise ValueError(f"shape {shape}")
            if band is not None and not (shape[0] == 1 and band[0] + shape[1] <= band[1] <= _MOST_SAMPLES):
                raise ValueError(f"band {band} of shape {shape}")
            if tile is not None and not (1 <= tile[0] <= shape[1] and ndim > 2 and 1 <= tile[1] <= shape[2]):
                raise ValueError(f"tiles {tile} of shape {shape}")
            length = numbers.next()
            packed = payload[numbers.at : numbers.at + length]
            names, frames = _names(_inflate(packed)) if length else ([], [])
            (check,) = struct.unpack_from("<I", payload, numbers.at + length)
            data = payload[numbers.at + length + 4 :]
            return cls(first, METHODS[method], shape, _DTYPES[dtype], names, check, data, band, tile, frames)
        except (ValueError, IndexError, TypeError, RecursionError, struct.error, zlib.error) as error:
            raise IsthmusError(f"a chunk makes no sense: {error}") from error


class Writer:
    """Writes an archive section by section to a file that is open for writing.

    The version in its head is the first that can read what is in it, so that it is known at the end; in a file that
    cannot be sought in, it is the newest.
    """

    def __init__(self, file: BinaryIO, model_id: bytes, *, as_list: bool = False, model: bytes | None = None) -> None:
        self._file, self._at = file, 0
        self._start = file.tell() if file.seekable() else None
        self._version, self._needed = VERSIONS[0] if self._start is not None else VERSIONS[-1], VERSIONS[0]
        self._chunks: list[tuple[int, int]] = []  # offset, samples
        self.count = 0
        flags = (_LIST if as_list else 0) | (_EMBEDDED if model else 0)
        self._write(_HEAD.pack(MAGIC, self._version, flags, model_id))
        if model:
            self._section(_MODEL, model)

    def add(self, chunk: Chunk) -> None:
        """Write the next chunk."""
        self._chunks.append((self._at, chunk.count))
        self.count += chunk.count
        self._needed = max(self._needed, chunk.version)
        self._section(_CHUNK, chunk.to_bytes())

    def finish(self, description: dict[str, Any]) -> None:
        """Write the directory: where the chunks are, for random access. One lone chunk needs none."""
        if len(self._chunks) == 1 and not description:
            self._write(_LONE)
        else:
            start = self._at
            content = json.dumps({"chunks": self._chunks, **description}, separators=(",", ":"))
            self._section(_DIRECTORY, zlib.compress(content.encode(), 9))
            self._write(_TRAILER.pack(start, _END))
        if self._start is not None and self._needed > self._version:
            self._file.seek(self._start + len(MAGIC))
            self._file.write(bytes([self._needed]))
            self._file.seek(self._start + self._at)

    def _section(self, kind: bytes, payload: bytes) -> None:
        head = kind + _varint(len(payload))
        self._write(head + struct.pack("<H", zlib.crc32(head) & 0xFFFF))
        self._write(payload)
        self._write(struct.pack("<I", zlib.crc32(payload)))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._at += len(data)


class Reader:
    """Reads an archive that is open for reading and can be sought in.

    chunks : (offset, number of the first sample, samples) of every chunk that the directory lists or, where that is
    absent or damaged, that can be found. damaged : what is missing, one line each.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._lock, self._budget = file, threading.Lock(), 0
        self.size = file.seek(0, 2)
        head = self._read(0, _HEAD.size)
        if len(head) < _HEAD.size or head[:4] != MAGIC:
            raise IsthmusError(
                f"this is not an isthmus archive: it begins with the bytes {head[:4].hex(' ') or 'none'}"
            )
        _, version, self._flags, self.model_id = _HEAD.unpack(head)
        if version not in VERSIONS:
            known = " and ".join(map(str, VERSIONS))
            raise IsthmusError(f"this archive has version {version}; this isthmus reads versions {known}")
        self.damaged: list[str] = []
        self.description: dict[str, Any] = {}
        self.chunks: list[tuple[int, int, int]] = []
        if not self._read_directory():
            self._search()

    @property
    def is_list(self) -> bool:
        """Whether the samples are to be given back as a list, and not as one array."""
        return bool(self._flags & _LIST)

    @property
    def model(self) -> bytes | None:
        """The model, where it is inside."""
        found = self._section(_HEAD.size, _MODEL) if self._flags & _EMBEDDED else None
        return None if found is None else found[0]

    @property
    def count(self) -> int:
        """Samples that the archive should hold."""
        return max((first + count for _, first, count in self.chunks), default=0)

    def chunk(self, number: int) -> Chunk:
        """Chunk `number`; IsthmusError where it is damaged."""
        offset, first, count = self.chunks[number]
        found = self._section(offset, _CHUNK)
        if found is None:
            raise IsthmusError(f"{which(first, count)} damaged")
        chunk = Chunk.from_bytes(found[0])
        if (chunk.first, chunk.count) != (first, count):
            raise IsthmusError(f"{which(first, count)} damaged: another chunk lies there")
        return chunk

    def holding(self, sample: int) -> int:
        """Number of the chunk with a sample."""
        if sample >= 0:
            for number, (_, first, count) in enumerate(self.chunks):
                if first <= sample < first + count:
                    return number
        raise IsthmusError(f"there is no sample {sample}: the archive holds {self.count:,}, or it is damaged")

    def _read_directory(self) -> bool:
        try:
            start, mark = _TRAILER.unpack(self._read(max(0, self.size - _TRAILER.size), _TRAILER.size))
            found = self._section(start, _DIRECTORY) if mark == _END and start < self.size else None
            if found is None:
                return False
            self.description = json.loads(_inflate(found[0]))
            first = 0
            for offset, count in self.description.pop("chunks"):
                if not (0 <= int(offset) < self.size and 0 <= int(count) <= _MOST_SAMPLES):
                    raise ValueError("a chunk outside the file")
                self.chunks.append((int(offset), first if count else max(0, first - 1), int(count)))
                first += int(count)
        except (ValueError, KeyError, TypeError, AttributeError, struct.error, zlib.error):
            self.chunks, self.description = [], {}
            return False
        return True

    def _search(self) -> None:
        """Find the chunks one after the other; what does not hold together is passed over byte by byte."""
        at, expected, intact = _HEAD.size, 0, True
        self._budget = 8 * self.size + (1 << 16)  # bytes to look at: a hostile file must not keep us for hours
        while at < self.size and self._budget > 0 and not self._is_end(at):
            found = self._any_section(at)
            if found is None:
                intact = False
                at = self._next_candidate(at + 1)
                continue
            kind, payload, end = found
            if kind == _CHUNK:
                chunk = _or_none(payload)
                if chunk is None or chunk.first < expected - 1:
                    intact = False
                else:
                    if chunk.first > expected:
                        self.damaged.append(f"{which(expected, chunk.first - expected)} damaged or missing")
                    self.chunks.append((at, chunk.first, chunk.count))
                    expected = max(expected, chunk.first + chunk.count)
            at = end
        if not self.chunks:
            self.damaged.append("no chunk is intact")
        elif not (intact and self._is_end(at)) and not self.damaged:
            self.damaged.append(f"bytes after sample {expected - 1:,} are damaged or missing")

    def _is_end(self, at: int) -> bool:
        rest = self._read(at, _TRAILER.size)
        return (rest == _LONE and len(self.chunks) == 1) or (len(rest) == _TRAILER.size and rest[-4:] == _END)

    def _next_candidate(self, at: int) -> int:
        """The next byte at which a section may begin."""
        while at < self.size:
            block = self._read(at, 1 << 16)
            places = [p for p in (block.find(kind) for kind in (_CHUNK, _MODEL, _DIRECTORY)) if p >= 0]
            if places:
                return at + min(places)
            at += len(block)
        return self.size

    def _any_section(self, at: int) -> tuple[bytes, bytes, int] | None:
        for kind in (_CHUNK, _DIRECTORY, _MODEL):
            found = self._section(at, kind)
            if found is not None:
                return kind, *found
        return None

    def _section(self, at: int, kind: bytes) -> tuple[bytes, int] | None:
        """Payload and end of the section at an offset; None where there is no such section, or a damaged one."""
        head = self._read(at, 14)
        if head[:1] != kind:
            return None
        try:
            length, size = _read_varint(head, 1)
            (check,) = struct.unpack_from("<H", head, size)
        except (ValueError, IndexError, struct.error):
            return None
        start = at + size + 2
        self._budget -= 64
        if check != zlib.crc32(head[:size]) & 0xFFFF or start + length + 4 > self.size:
            return None
        self._budget -= length
        payload, tail = self._read(start, length), self._read(start + length, 4)
        return (payload, start + length + 4) if struct.pack("<I", zlib.crc32(payload)) == tail else None

    def _read(self, at: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(at)
            return self._file.read(size)


def which(first: int, count: int) -> str:
    """Some samples, for messages."""
    return f"sample {first:,} is" if count <= 1 else f"samples {first:,} to {first + count - 1:,} are"


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow (LEB128)."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
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
        value, self.at = _read_varint(self._data, self.at)
        return value


def _names(content: bytes) -> tuple[list[tuple[str, str]], list[Mapping[str, Any] | None]]:
    """Names with formats, and frames; none of these where all are None. ValueError where they are something else."""
    entries = [(name, kind, *frame) for name, kind, *frame in json.loads(content)]
    names = [(str(name), str(kind)) for name, kind, *_ in entries]
    frames = [frame[0] if frame else None for _, _, *frame in entries]
    if not all(frame is None or isinstance(frame, dict) for frame in frames):
        raise ValueError("frames that are none")
    return names, frames if any(frames) else []


def _or_none(payload: bytes) -> Chunk | None:
    try:
        return Chunk.from_bytes(payload)
    except IsthmusError:
        return None


def _inflate(data: bytes) -> bytes:
    """zlib, but no more than 32 MiB: a small damaged block must not fill the memory."""
    inflater = zlib.decompressobj()
    out = inflater.decompress(data, _MOST_TEXT)
    if inflater.unconsumed_tail:
        raise ValueError("it unpacks to more than 32 MiB")
    return out
