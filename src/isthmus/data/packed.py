"""Packed files: how they are packed, and what is in them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from isthmus.data.limits import Unpacked

_BUFFER = 1 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz", b"PK\x03\x04": "zip"}


def compression_of(data: Path | bytes) -> str | None:
    """How a file is packed, by its first bytes: "gzip", "bz2", "zstd", "xz", "zip" or None."""
    with opened(data, None) as file:
        start = file.read(6)
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)


@contextmanager
def opened(data: Path | bytes, compression: str | None) -> Iterator[BinaryIO]:
    """The bytes of a file, or of the only file packed in it; how far that may grow is in `limits`."""
    with data.open("rb") if isinstance(data, Path) else io.BytesIO(data) as raw:
        if compression is None:
            yield raw
            return
        name = data if isinstance(data, Path) else "the file"
        with _unpacked(raw, compression) as file:
            yield cast("BinaryIO", io.BufferedReader(Unpacked(file, raw, name), _BUFFER))


@contextmanager
def _unpacked(raw: BinaryIO, compression: str) -> Iterator[BinaryIO]:
    match compression:
        case "gzip":
            with gzip.open(raw) as file:
                yield cast("BinaryIO", file)
        case "bz2":
            with bz2.open(raw) as file:
                yield cast("BinaryIO", file)
        case "xz":
            with lzma.open(raw) as file:
                yield cast("BinaryIO", file)
        case "zstd":
            import pyarrow as pa

            yield cast("BinaryIO", pa.CompressedInputStream(pa.PythonFile(raw), "zstd"))
        case _:
            packed = zipfile.ZipFile(raw)
            names = _members(packed)
            if len(names) != 1:
                raise ValueError(f"it holds {len(names)} files ({', '.join(names[:3])}); pack one alone")
            with packed.open(names[0]) as file:
                yield cast("BinaryIO", file)


def only_member(path: Path) -> str:
    """The name of the only file in a zip archive; "" where there are others, or it is no archive."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = _members(packed)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):  # the last: of a later version of zip
        return ""
    return names[0] if len(names) == 1 else ""


def _members(packed: zipfile.ZipFile) -> list[str]:
    return [name for name in packed.namelist() if not name.endswith("/") and "__MACOSX" not in name]
