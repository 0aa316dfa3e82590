"""Every image and signal format that the libraries write: from an archive comes the same file, or the same PNG but for
the packing of its pixels, which is undone here without any library."""

from __future__ import annotations

import contextlib
import io
import itertools
import struct
import warnings
import wave
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from tests.compression.coding.models import MODELS

from isthmus import Codec
from isthmus.compression.files import pack, unpack
from isthmus.compression.image_files import NotTakenApart, take_apart

HEIGHT, WIDTH = 9, 14
Y, X = np.mgrid[:HEIGHT, :WIDTH]
GREY = (120 + 80 * np.sin(X / 5) * np.cos(Y / 4) + np.random.default_rng(0).integers(0, 9, X.shape)).astype(np.uint8)
DEEP = GREY.astype(np.uint16) * 256 + np.roll(GREY, 3)
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "I;16B", "F")


@cache
def files_of(source: Callable[[], Iterator[tuple[str, bytes]]]) -> dict[str, bytes]:
    return dict(source())


@pytest.fixture(scope="module")
def codec() -> Codec:
    codec = Codec()
    codec.model_ = MODELS["grey"]
    return codec


def picture(mode: str, shift: int = 0) -> Image.Image:
    """An image of any mode of Pillow, in which no two channels agree."""
    grey = np.roll(GREY, shift, 1)
    if mode == "1":
        return Image.fromarray(grey > 120)
    if mode in ("I", "I;16", "I;16B", "F"):
        dtype = {"I": "<i4", "I;16": "<u2", "I;16B": ">u2", "F": "<f4"}[mode]
        return Image.frombytes(mode, (WIDTH, HEIGHT), np.roll(DEEP, shift, 1).astype(dtype).tobytes())
    channels = len(Image.new(mode, (1, 1)).getbands())
    image = Image.frombytes(
        mode, (WIDTH, HEIGHT), np.stack([np.roll(grey, 4 * i) for i in range(channels)], -1).tobytes()
    )
    if mode in ("P", "PA"):
        image.putpalette([0, 0, 0, 128, 0, 0] * 128)  # two classes of one colour must not merge
    return image


def written_by_pillow() -> Iterator[tuple[str, bytes]]:
    """Every format, mode and number of frames; those that cannot be are passed over."""
    Image.init()
    extensions = {kind: suffix for suffix, kind in sorted(Image.registered_extensions().items()) if kind in Image.SAVE}
    for (kind, suffix), mode, frames in itertools.product(extensions.items(), MODES, (1, 3)):
        if kind in ("PDF", "EPS", "PALM") or (frames > 1 and kind not in Image.SAVE_ALL):
            continue
        more = {"save_all": True, "append_images": [picture(mode, 3 * i) for i in (1, 2)]} if frames > 1 else {}
        yield from saved(f"{mode} {frames}{suffix}", picture(mode), kind, **more)


def saved(name: str, image: Image.Image, kind: str, **options: Any) -> Iterator[tuple[str, bytes]]:
    buffer = io.BytesIO()
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.save(buffer, kind, **options)
        yield name.replace(";", "-"), buffer.getvalue()


def with_metadata() -> Iterator[tuple[str, bytes]]:
    """Exif with an orientation, colour profile, resolution, texts, transparent colours, compressions."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    texts = PngInfo()
    texts.add_text("Title", "a title")
    texts.add_itxt("XML:com.adobe.xmp", "<x/>", zip=True)
    texts.add(b"gAMA", struct.pack(">I", 45455))
    texts.add(b"prVt", b"after the pixels", after_idat=True)
    some: dict[str, Any] = {"exif": exif, "icc_profile": profile, "dpi": (300, 300)}
    for kind, mode in itertools.product(("PNG", "JPEG", "WEBP", "TIFF", "BMP"), ("L", "RGB", "RGBA", "P", "I;16", "1")):
        for number, options in enumerate((some, {"pnginfo": texts}, {"lossless": True}, {"transparency": 3})):
            yield from saved(f"{kind} {mode} with {number}.{kind.lower()}", picture(mode), kind, **options)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"):
        for mode in MODES:
            yield from saved(f"{mode} {compression}.tif", picture(mode), "TIFF", compression=compression)


def written_by_hand() -> Iterator[tuple[str, bytes]]:
    """A PNG of every depth and colour type, and files that are not what their names say."""
    for colour, channels in {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.items():
        for depth in (1, 2, 4, 8, 16):
            row = -(-WIDTH * channels * depth // 8)
            values = np.resize(DEEP.view(np.uint8) & (255 if colour != 3 else 0x33), (HEIGHT, row))
            values[:, -1] &= 256 - (1 << (8 * row - WIDTH * channels * depth))  # what pads a row is no pixel
            header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0)
            pixels = zlib.compress(b"".join(b"\0" + line.tobytes() for line in values))
            palette = [(b"PLTE", bytes(range(192)) * 4)] if colour == 3 else []
            parts = [(b"IHDR", header), *palette, (b"IDAT", pixels[:40]), (b"IDAT", pixels[40:]), (b"IEND", b"")]
            yield f"{colour} {depth}.png", png_of(parts)
    ((_, png),) = saved("", picture("L"), "PNG")
    yield "no.png", b"no image"
    yield "half.png", png[: len(png) // 2]
    yield "more.png", png + b"something after the end"
    yield "png called.jpg", png
    yield "png without a name", png
    yield "empty.tif", b""


def png_of(parts: list[tuple[bytes, bytes]]) -> bytes:
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def written_by_tifffile() -> Iterator[tuple[str, bytes]]:
    tifffile = pytest.importorskip("tifffile")
    dtypes = ("u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8", "c8", "?")
    shapes = {
        "grey": (HEIGHT, WIDTH),
        "rgb": (HEIGHT, WIDTH, 3),
        "planar": (3, HEIGHT, WIDTH),
        "four": (HEIGHT, WIDTH, 4),
    }
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "big-endian": {"byteorder": ">"},
        "deflate": {"compression": "zlib"},
        "tiled": {"tile": (16, 16)},
        "strips": {"rowsperstrip": 3},
        "big": {"bigtiff": True},
        "imagej": {"imagej": True, "truncate": True},
        "white": {"photometric": "miniswhite"},
        "premultiplied": {"extrasamples": ["assocalpha"]},
        "told": {"description": "told", "resolution": (3, 4), "extratags": [(42113, 2, None, "-9999", True)]},
    }
    for (shape, size), dtype, (kind, options) in itertools.product(shapes.items(), dtypes, kinds.items()):
        for pages in (1, 3):
            values = np.resize(DEEP >> 3, (*([pages] if pages > 1 else []), *size)).astype(dtype)
            colour: dict[str, Any] = {} if shape == "grey" or kind == "white" else {"photometric": "rgb"}
            buffer = io.BytesIO()
            with contextlib.suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tifffile.imwrite(buffer, values, **{**colour, **options})
                yield f"{shape} {dtype.replace('?', 'bool')} {kind} {pages}.tif", buffer.getvalue()


def signals() -> Iterator[tuple[str, bytes]]:
    for channels, width in itertools.product((1, 2), (1, 2, 3, 4)):
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setparams((channels, width, 8000, 0, "NONE", ""))
            file.writeframes(GREY.tobytes()[: 24 * 4])
        yield f"{channels} {width}.wav", buffer.getvalue()
    for dtype in ("u1", ">u2", "f8", "?", "U3"):
        buffer = io.BytesIO()
        np.save(buffer, DEEP.astype(dtype))
        yield f"{dtype.strip('>?')}.npy", buffer.getvalue()


SOURCES = (written_by_pillow, with_metadata, written_by_hand, written_by_tifffile, signals)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
def test_every_file_comes_back_with_all_that_it_held(source: Any, codec: Codec, tmp_path: Path) -> None:
    files = files_of(source)
    assert len(files) > 10
    folder, back = tmp_path / "in", tmp_path / "back"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    assert pack(codec, [str(folder)], tmp_path / "all.isth", embed_model=True).samples == len(files)
    assert not unpack(tmp_path / "all.isth", back, hidden=True).problems
    assert {path.name for path in back.iterdir()} == set(files)
    for name, content in files.items():
        assert same((back / name).read_bytes(), content), name


@pytest.mark.parametrize("source", SOURCES[:4], ids=lambda source: source.__name__)
def test_pixels_are_taken_only_where_the_file_comes_back(source: Any) -> None:
    from isthmus.compression.unpacking import as_file

    taken = 0
    for name, content in files_of(source).items():
        with contextlib.suppress(NotTakenApart):
            parts = take_apart(content)
            if parts is not None:
                frame = None if parts.frame is None else parts.frame.to_json()
                assert same(as_file(name, "png", parts.pixels, frame)[1], content), name
                taken += 1
    assert taken > 5


def same(one: bytes, other: bytes) -> bool:
    """The same bytes, or PNG files with the same chunks and the same scanlines."""
    return one == other or (one.startswith(b"\x89PNG") and unpacked(one) == unpacked(other))


def unpacked(png: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """All chunks but the pixels, with a mark where these were, and the scanlines without their filters."""
    chunks, pixels, at = list[tuple[bytes, bytes]](), b"", 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        content = png[at + 8 : at + 8 + length]
        at = at + 12 + length if kind != b"IEND" else len(png)
        pixels += content if kind == b"IDAT" else b""
        if kind != b"IDAT" or chunks[-1] != (b"IDAT", b""):
            chunks.append((kind, content if kind != b"IDAT" else b""))
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    assert not interlaced
    step = max(1, (bits := depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]) // 8)
    return chunks, unfiltered(zlib.decompress(pixels), -(-width * bits // 8), height, step)


def unfiltered(data: bytes, length: int, height: int, step: int) -> bytes:
    """PNG specification, section 9."""
    out, above = b"", bytearray(length)
    for row in range(height):
        kind, line = data[row * (length + 1)], bytearray(data[row * (length + 1) + 1 : (row + 1) * (length + 1)])
        for i in range(length):
            a, b, c = (line[i - step], above[i], above[i - step]) if i >= step else (0, above[i], 0)
            p = a + b - c
            paeth = min((a, b, c), key=lambda value, p=p: abs(p - value))  # type: ignore[misc]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
        out, above = out + line, line
    return out
