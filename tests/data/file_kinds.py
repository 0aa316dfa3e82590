"""A file of every format, depth, mode and number of frames that the libraries can write."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

SHAPE = (21, 37)
NOISE = np.random.default_rng(0).integers(1, 255, (*SHAPE, 4)).astype(np.uint8)
DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")


def write_all(folder: Path) -> list[Path]:
    """Write them into a folder."""
    for name, content in itertools.chain(_png(), _jpeg(), _webp(), _bmp(), _tiff(), _wav(), _npy(), _csv()):
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _picture(mode: str) -> Image.Image:
    match mode:
        case "1":
            return Image.fromarray(NOISE[..., 0]).convert("1")
        case "P":
            return Image.fromarray(NOISE[..., :3]).quantize(200)
        case "I;16":
            return Image.fromarray(NOISE[..., 0].astype(np.uint16) * 200)
        case _:
            bands = {"L": 1, "LA": 2, "RGB": 3}.get(mode, 4)
            return Image.frombytes(mode, SHAPE[::-1], NOISE[..., :bands].tobytes())


def _frames(mode: str = "RGBA") -> list[Image.Image]:
    return [Image.fromarray(np.roll(NOISE, i, 1)).convert(mode) for i in range(3)]


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    return exif


def _png() -> Iterator[tuple[str, bytes]]:
    text = PngInfo()
    text.add_text("Comment", "a day at sea")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    text.add(b"gAMA", struct.pack(">I", 45455))
    text.add(b"prVt", b"somebody's own", after_idat=True)
    for mode in ("1", "L", "LA", "RGB", "RGBA", "I;16", "P"):
        beside = {"pnginfo": text, "dpi": (300, 300), "exif": _exif(), "icc_profile": b"a profile"}
        yield f"{mode}.png", _saved(_picture(mode), "PNG", **beside)
    yield "palette-4.png", _saved(_picture("L").quantize(13), "PNG", bits=4)
    yield "palette-see-through.png", _saved(_picture("P"), "PNG", transparency=7)
    yield "grey-key.png", _saved(_picture("L"), "PNG", transparency=7)
    yield "animated.png", _saved(_frames()[0], "PNG", save_all=True, append_images=_frames()[1:], duration=[9, 8, 7])
    for bands in (2, 3, 4):
        yield f"deep-{bands}.png", bytes(imagecodecs.png_encode(NOISE[..., :bands].astype(np.uint16) * 200))


def _jpeg() -> Iterator[tuple[str, bytes]]:
    beside = {"exif": _exif(), "icc_profile": b"a profile", "comment": b"a day at sea", "dpi": (300, 300)}
    for mode in ("L", "RGB", "CMYK"):
        yield f"{mode}.jpg", _saved(_picture(mode), "JPEG", quality=80, **beside)
    yield "progressive.jpeg", _saved(_picture("RGB"), "JPEG", progressive=True)
    yield "several.jpg", _saved(_frames("RGB")[0], "MPO", save_all=True, append_images=_frames("RGB")[1:])


def _webp() -> Iterator[tuple[str, bytes]]:
    beside = {"exif": _exif(), "icc_profile": b"a profile", "xmp": b"<x:xmpmeta/>"}
    for mode, lossless in itertools.product(("RGB", "RGBA"), (True, False)):
        yield f"{mode}-{lossless}.webp", _saved(_picture(mode), "WEBP", lossless=lossless, **beside)
    moving: dict[str, Any] = {
        "save_all": True,
        "append_images": _frames()[1:],
        "duration": [90, 80, 70],
        "lossless": True,
    }
    yield "animated.webp", _saved(_frames()[0], "WEBP", **moving)


def _bmp() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "RGB", "RGBA", "P"):
        yield f"{mode}.bmp", _saved(_picture(mode), "BMP")


def _tif(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def _tiff() -> Iterator[tuple[str, bytes]]:
    for order, dtype, packed in itertools.product("<>", DTYPES, (None, "lzw", "zstd")):
        stack = np.moveaxis(NOISE[..., :3], 2, 0).astype(dtype)
        predictor = packed == "lzw" and dtype not in ("u8", "i8")
        options: dict[str, Any] = {"byteorder": order, "compression": packed, "predictor": predictor}
        name = f"{'little' if order == '<' else 'big'}-{dtype}-{packed}"
        yield f"stack-{name}.tif", _tif(stack, **options, photometric="minisblack", description="a day at sea")
        yield f"tiles-{name}.tif", _tif(stack[0], **options, tile=(16, 16), resolution=(9, 9))
        joint = np.moveaxis(stack, 0, 2)
        yield f"colour-{name}.tif", _tif(joint, **options, photometric="rgb", rowsperstrip=5)
        yield f"planes-{name}.tif", _tif(stack, **options, photometric="rgb", planarconfig="separate")
    grey, nodata = NOISE[..., 0], [(42113, "s", 0, "7", True)]
    yield "white-is-zero.tif", _tif(grey, photometric="miniswhite")
    yield "bits.tif", _tif(grey > 128, photometric="minisblack")
    yield "twelve-bits.tif", _tif(grey.astype("u2") * 15, bitspersample=12)
    yield "ramp.tif", _tif(grey, photometric="palette", colormap=np.tile(np.arange(256, dtype="u2") * 257, (3, 1)))
    yield "cmyk.tif", _tif(NOISE, photometric="separated")
    yield "alpha.tif", _tif(NOISE, photometric="rgb", extrasamples=["unassalpha"])
    yield "bands.tif", _tif(np.stack([grey] * 5), photometric="minisblack", planarconfig="separate")
    yield "jpeg.tif", _tif(NOISE[..., :3], photometric="rgb", compression="jpeg")
    yield "imagej.tif", _tif(np.stack([grey] * 6).reshape(3, 2, *SHAPE), imagej=True, metadata={"axes": "ZCYX"})
    yield "ome.tif", _tif(np.stack([grey] * 6), ome=True, photometric="minisblack", metadata={"axes": "ZYX"})
    yield "one-page.tif", _tif(np.stack([grey] * 3), truncate=True, photometric="minisblack")
    yield "big.tif", _tif(grey, bigtiff=True)
    yield "nodata.tif", _tif(grey.astype("f4"), extratags=nodata, tile=(16, 16), compression="deflate")
    yield "nan.tif", _tif(np.where(grey < 40, np.nan, grey).astype("f4"))
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(grey, subifds=1, photometric="minisblack")
        file.write(grey[::2, ::2].copy(), subfiletype=1, photometric="minisblack")
        file.write(NOISE[..., :3], photometric="rgb", compression="deflate")
    yield "pyramid.tif", buffer.getvalue()
    yield "fax.tif", _saved(_picture("1"), "TIFF", compression="group4")


def _wav() -> Iterator[tuple[str, bytes]]:
    for (kind, dtype), channels, wide in itertools.product(
        ((1, "u1"), (1, "i2"), (1, "i3"), (1, "i4"), (3, "f4"), (3, "f8")), (1, 2), (False, True)
    ):
        raw = NOISE.tobytes()
        size = int(dtype[1])
        raw = raw[: len(raw) // (size * channels) * size * channels]
        if kind == 3:
            raw = (np.frombuffer(raw, "u1")[: 90 * channels] / 256 - 0.5).astype(dtype).tobytes()
        form = struct.pack("<HHIIHH", kind, channels, 8000, 8000 * channels * size, channels * size, 8 * size)
        if wide:
            form = struct.pack("<H", 0xFFFE) + form[2:] + struct.pack("<HHI", 22, 8 * size, 0)
            form += struct.pack("<H", kind) + bytes.fromhex("000000001000800000aa00389b71")
        chunks = [(b"fmt ", form), (b"bext", b"from the field "), (b"data", raw), (b"LIST", b"INFOICMT\4\0\0\0sea\0")]
        body = b"".join(
            name + struct.pack("<I", len(chunk)) + chunk + b"\0" * (len(chunk) % 2) for name, chunk in chunks
        )
        content = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body
        yield f"{dtype}-{channels}-{wide}.wav", content


def _npy() -> Iterator[tuple[str, bytes]]:
    arrays = {f"{dtype}.npy": NOISE[..., 0].astype(dtype) for dtype in (*DTYPES, ">f4", ">u2")}
    arrays |= {
        "one-axis.npy": NOISE[:, 0, 0],
        "columns.npy": np.asfortranarray(NOISE[..., 0]),
        "b.npy": NOISE[..., 0] > 9,
    }
    arrays |= {"colour.npy": NOISE[..., :3], "gaps.npy": np.where(NOISE[..., 0] < 40, np.nan, 1.5)}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        yield name, buffer.getvalue()


def _csv() -> Iterator[tuple[str, bytes]]:
    rows = 80
    signal = np.sin(np.arange(rows) / 9) + np.random.default_rng(0).normal(0, 0.1, rows)
    dialects = itertools.product((",", ";", "\t"), ("\n", "\r\n"), ("utf-8", "utf-8-sig", "utf-16", "cp1252"))
    for number, (d, end, codec) in enumerate(dialects):
        point = "," if d == ";" else "."
        lines = [f'"näme, of it"{d}time{d}"v, mV"{d}n{d}u'] + [
            d.join([f'"ü {i % 7}"', str(1_700_000_000 + i), _cell(f"{v:.4f}", i, point), str(round(v * 90)), repr(v)])
            for i, v in enumerate(signal)
        ]
        yield f"{number}.csv", (end.join(lines) + end * (number % 2)).encode(codec)


def _cell(text: str, row: int, point: str) -> str:
    text = text.replace(".", point)
    return "NA" if row % 11 == 5 else f'"{text}"' if row % 3 == 0 else f" {text} " if row % 3 == 1 else text
