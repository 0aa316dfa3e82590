"""The parts of PNG, JPEG and BMP files: other pixels in a file that keeps everything else, byte for byte."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

_SIGNATURE = 8  # bytes, of PNG
_PIXELS = (b"IHDR", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT", b"iDOT")  # the last is a table of places in IDAT
_COLOURS = (b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT", b"sPLT")  # have another form for another kind of pixels
_APP0, _APP2, _ADOBE, _LAST_APP, _COMMENT, _START_OF_SCAN = 0xE0, 0xE2, 0xEE, 0xEF, 0xFE, 0xDA
_SUB = 1  # PNG's filter of differences along a row
_PLAIN, _MASKS = 0, 3  # BMP's ways of storing


def is_deep_colour(png: bytes) -> bool:
    """Whether a PNG file has 16 bits for each of several bands, of which Pillow reads 8."""
    bits, kind = png[24], png[25]
    return bits == 16 and kind != 0


def is_grey(png: bytes) -> bool:
    """Whether a PNG file has no colours."""
    return png[25] in (0, 4)


def merged_png(old: bytes, new: bytes) -> tuple[bytes, list[str]]:
    """The pixels of a new PNG file among all other chunks of an old one, and what could not stay."""
    before: list[bytes] = []
    after: list[bytes] = []
    colours: list[str] = []
    same, chunks = old[24:26] == new[24:26], list(_png_chunks(old))
    seen = False
    for name, chunk in chunks:
        seen = seen or name == b"IDAT"
        if name in _COLOURS and not same:
            colours.append(name.decode())
        elif name not in _PIXELS:
            (after if seen else before).append(chunk)
    notes = [] if same else [f"{_png_kind(old)} became {_png_kind(new)}"]
    if old[28] and not new[28]:
        notes.append("interlaced PNG became plain")
    lost = [name for name in colours if name in ("bKGD", "sBIT", "sPLT", "hIST")]
    if lost:
        notes.append(f"PNG chunks not kept: {', '.join(dict.fromkeys(lost))}")
    fresh = [chunk for name, chunk in _png_chunks(new) if name in _PIXELS]
    return b"".join([new[:_SIGNATURE], fresh[0], *before, *fresh[1:-1], *after, fresh[-1]]), notes


def deep_png(array: np.ndarray) -> bytes:
    """A PNG file of uint16 (height, width, 2 to 4 bands), each value less the one before it in its row."""
    height, width, bands = array.shape
    rows = array.astype(">u2").view(np.uint8).reshape(height, -1)
    rows = np.concatenate([rows[:, : 2 * bands], rows[:, 2 * bands :] - rows[:, : -2 * bands]], 1)
    lines = np.concatenate([np.full((height, 1), _SUB, np.uint8), rows], 1)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def merged_jpeg(old: bytes, new: bytes) -> tuple[bytes, list[str]]:
    """The pixels of a new JPEG file after all notes, profiles and tags of an old one, and what could not stay."""
    kept = [
        segment
        for marker, segment in _jpeg_segments(old)
        if (_APP0 <= marker <= _LAST_APP and marker != _ADOBE and segment[4:8] != b"MPF\0") or marker == _COMMENT
    ]
    fresh = [segment for marker, segment in _jpeg_segments(new) if marker != _APP0]
    return b"".join([new[:2], *kept, *fresh]), ["JPEG encoded anew, at quality 95"]


def patched_bmp(old: bytes, array: np.ndarray) -> bytes | None:
    """An uncompressed BMP file with other pixels, uint8 (height, width[, 3]); None for what is stored in other ways."""
    start, _, width, height, _, bits, way = struct.unpack("<IIiiHHI", old[10:34])
    colour = array.ndim == 3 and array.shape[-1] == 3
    if struct.unpack("<I", old[14:18])[0] < 40 or way not in (_PLAIN, _MASKS) or not colour or bits not in (24, 32):
        return None
    if way == _MASKS and old[54:66] != struct.pack("<3I", 0xFF0000, 0xFF00, 0xFF):
        return None
    stride = (bits * width + 31) // 32 * 4
    content = np.frombuffer(old, np.uint8).copy()
    rows = content[start : start + stride * abs(height)].reshape(abs(height), stride)
    pixels = rows[:, : width * bits // 8].reshape(abs(height), width, bits // 8)
    pixels[..., :3] = (array if height < 0 else array[::-1])[..., ::-1]
    return content.tobytes()


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = _SIGNATURE
    while start + 12 <= len(content):
        size, name = struct.unpack(">I4s", content[start : start + 8])
        yield name, content[start : start + size + 12]
        start += size + 12


def _png_kind(content: bytes) -> str:
    kinds = {0: "grey", 2: "colour", 3: "a palette", 4: "grey with transparency", 6: "colour with transparency"}
    return f"{kinds[content[25]]} of {content[24]} bits"


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The segments of a JPEG file; the last begins with the first scan and has all that follows."""
    start = 2
    while start + 4 <= len(content):
        while content[start + 1] == 0xFF:  # fill bytes
            start += 1
        marker = content[start + 1]
        if marker == _START_OF_SCAN:
            yield marker, content[start:]
            return
        size = struct.unpack(">H", content[start + 2 : start + 4])[0]
        yield marker, content[start : start + 2 + size]
        start += 2 + size
