"""The archive: a sequence of sections, each with its length and checksum. docs/file-format.md describes every byte."""

from __future__ import annotations

import json
import re
import struct
import threading
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from isthmus.compression.coding.chunk import MOST_SAMPLES, Chunk, inflate, read_varint, varint, which
from isthmus.errors import IsthmusError
from isthmus.typed_json import read_json, typed

MAGIC, VERSIONS = b"ISTH", (1, 2)
_LIST, _EMBEDDED = 1, 2  # flags: samples are given back as a list; the model is inside
_CHUNK, _MODEL, _DIRECTORY = b"C", b"M", b"D"
_KINDS = re.compile(b"[CMD]")
_TRAILER = struct.Struct("<Q4s")  # where the directory begins, and a mark
_END = b"HTSI"
_LONE = b"E"  # ends an archive of one chunk, which needs no directory
_HEAD = struct.Struct("<4sBB8s")
_LEAST_SECTION = 8  # bytes: kind, length, two checksums, and no payload
_SPARE = 1000  # JSON values of a directory beside three for each chunk


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
        head = kind + varint(len(payload))
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
        self._block = (0, b"")  # what was read last in search of a section, and where it begins
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
        self._ends: list[int] = []  # up to where each may reach, by the directory
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
        if found is None or (self._ends and found[1] > self._ends[number]):
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
        """Whether there is a directory; one that does not fit the file is named in `damaged`."""
        tail = self._read(max(0, self.size - _TRAILER.size), _TRAILER.size)
        start, mark = _TRAILER.unpack(tail) if len(tail) == _TRAILER.size else (0, b"")
        found = self._section(start, _DIRECTORY) if mark == _END and start < self.size else None
        if found is None:
            return False
        try:
            most = _SPARE + 3 * (self.size // _LEAST_SECTION)
            content = typed(read_json(inflate(found[0]), "it", most_values=most), Mapping[str, Any], "it")
            places = typed(content.get("chunks"), list[tuple[int, int]], "its chunks")
            model = typed(content.get("model"), str | None, "its model")
            self._place(places, start)
        except (ValueError, zlib.error) as error:
            self.chunks = []
            self.damaged.append(f"the directory is damaged: {error}")
            return False
        self.description = {"model": model} if model else {}
        return True

    def _place(self, places: Sequence[tuple[int, int]], end: int) -> None:
        """Keep where chunks are; ValueError where they overlap, or do not lie before the directory."""
        at, first = _HEAD.size, 0
        for offset, count in places:
            if not (at <= offset <= end - _LEAST_SECTION and 0 <= count <= MOST_SAMPLES - first):
                raise ValueError(f"a chunk at byte {offset:,} overlaps another or lies outside of the file")
            self.chunks.append((offset, first if count else max(0, first - 1), count))
            at, first = offset + _LEAST_SECTION, first + count
        self._ends = [*(offset for offset, _ in places[1:]), end]

    def _search(self) -> None:
        """Find the chunks one after the other; what does not hold together is passed over byte by byte."""
        at, expected, intact, known = _HEAD.size, 0, True, len(self.damaged)
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
        elif not (intact and self._is_end(at)) and len(self.damaged) == known:
            self.damaged.append(f"bytes after sample {expected - 1:,} are damaged or missing")

    def _is_end(self, at: int) -> bool:
        rest = self._read(at, _TRAILER.size)
        return (rest == _LONE and len(self.chunks) == 1) or (len(rest) == _TRAILER.size and rest[-4:] == _END)

    def _next_candidate(self, at: int) -> int:
        """The next byte at which a section may begin."""
        while at < self.size:
            start, block = self._block
            if not start <= at < start + len(block):
                start, block = self._block = (at, self._read(at, 1 << 16))
            if found := _KINDS.search(block, at - start):
                return start + found.start()
            at = start + len(block)
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
            length, size = read_varint(head, 1)
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


def _or_none(payload: bytes) -> Chunk | None:
    try:
        return Chunk.from_bytes(payload)
    except IsthmusError:
        return None
