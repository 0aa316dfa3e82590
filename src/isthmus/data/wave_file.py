"""WAV files, of which everything but the samples stays as it is: chunks of other programs, depth and rate."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from isthmus.data.sample_file import Clean, SampleFile, collected
from isthmus.errors import IsthmusError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_DTYPES = {(_PCM, 8): "u1", (_PCM, 16): "<i2", (_PCM, 32): "<i4", (_FLOAT, 32): "<f4", (_FLOAT, 64): "<f8"}
_OPEN_END = 0xFFFFFFFF  # the size of a chunk that a recorder did not come to fill in


class WaveFile(SampleFile):
    """A sound: one signal (length, channels) of the file's own depth; 24 bits are the upper ones of an int32."""

    signal = sound = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._bytes = path.read_bytes()
        if self._bytes[:4] != b"RIFF" or self._bytes[8:12] != b"WAVE":
            raise IsthmusError(
                f"{path} cannot be read as sound: it begins with {self._bytes[:12]!r}, not as a WAV file"
            )
        chunks = dict(_chunks(self._bytes))
        if b"fmt " not in chunks or b"data" not in chunks or len(self._bytes[chunks[b"fmt "]]) < 16:
            raise IsthmusError(f"{path} cannot be read as sound: its format or its samples are missing")
        form = self._bytes[chunks[b"fmt "]]
        kind, self._channels, _, _, _, self._bits = struct.unpack("<HHIIHH", form[:16])
        if kind == _EXTENSIBLE and len(form) >= 26:
            kind = struct.unpack("<H", form[24:26])[0]  # the first two bytes of the sub-format
        if (kind, self._bits) not in (*_DTYPES, (_PCM, 24)) or self._channels == 0:
            raise IsthmusError(
                f"{path} holds sound of format {kind}, {self._bits} bits, {self._channels} channels; PCM of 8, 16, 24 "
                "or 32 bits and floats of 32 or 64 bits can be read"
            )
        self._kind, data = kind, chunks[b"data"]
        frame = self._channels * self._bits // 8
        self._place = slice(data.start, data.start + (data.stop - data.start) // frame * frame)
        if self._place.start == self._place.stop:
            raise IsthmusError(f"{path} holds no samples")

    def samples(self) -> Iterator[np.ndarray]:
        return iter(collected(self._cleaned))

    def rewrite(self, target: Path, clean: Clean) -> None:
        old, new = self._values(), self._cleaned(clean)
        written = bytearray(self._bytes)
        if not np.array_equal(old, new, equal_nan=new.dtype.kind == "f"):
            written[self._place] = self._encoded(new)
        target.write_bytes(written)

    def layout(self, parts: Iterator[np.ndarray]) -> np.ndarray:
        array = next(parts, None)
        array = np.zeros(self._values().shape, np.float32) if array is None else array
        return array[:, 0] if self._channels == 1 else array

    def _cleaned(self, clean: Clean) -> np.ndarray:
        return self._without_nan(self._values(), clean, channels=True)

    def _values(self) -> np.ndarray:
        raw = self._bytes[self._place]
        if self._bits == 24:
            parts = np.frombuffer(raw, np.uint8).reshape(-1, 3)
            wide = np.zeros((len(parts), 4), np.uint8)
            wide[:, 1:] = parts
            values = wide.view("<i4")[:, 0]
        else:
            values = np.frombuffer(raw, _DTYPES[self._kind, self._bits])
        return values.astype(values.dtype.newbyteorder("=")).reshape(-1, self._channels)

    def _encoded(self, values: np.ndarray) -> bytes:
        if self._bits != 24:
            return values.astype(_DTYPES[self._kind, self._bits]).tobytes()
        rounded = np.minimum((values.astype(np.int64) + 128) >> 8, (1 << 23) - 1)
        packed: bytes = rounded.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
        return packed


def _chunks(content: bytes) -> Iterator[tuple[bytes, slice]]:
    """The name and the place of each chunk of a RIFF file; the last one may be cut off, or say no size."""
    start = 12
    while start + 8 <= len(content):
        name, size = struct.unpack("<4sI", content[start : start + 8])
        end = len(content) if size == _OPEN_END else min(start + 8 + size, len(content))
        yield name, slice(start + 8, end)
        start = end + size % 2
