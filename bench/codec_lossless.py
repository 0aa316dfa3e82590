"""Lossless sizes and speeds beside other formats: real bytes, decoded and compared.

python bench/codec_lossless.py [mnist cifar grey]      needs: pip install '.[bench]'
"""

from __future__ import annotations

import bz2
import lzma
import sys
import time
from collections.abc import Sequence

import imagecodecs
import numpy as np
import zstandard

import codec_data as data
from machine import machine, table


def png(x: np.ndarray) -> bytes:
    file: bytes = imagecodecs.png_encode(x, level=9)
    return file


def webp(x: np.ndarray) -> bytes:
    file: bytes = imagecodecs.webp_encode(x if x.ndim == 3 else np.repeat(x[..., None], 3, 2), lossless=True, level=100)
    return file


def jpegxl(x: np.ndarray) -> bytes:
    file: bytes = imagecodecs.jpegxl_encode(x, lossless=True, effort=7)
    return file


def jpegls(x: np.ndarray) -> bytes:
    file: bytes = imagecodecs.jpegls_encode(x)
    return file


def one_file_each(images: Sequence[np.ndarray]) -> dict[str, int]:
    peers = {"PNG": png, "WebP": webp, "JPEG-LS": jpegls, "JPEG XL": jpegxl}
    return {name: sum(len(encode(x)) for x in images) for name, encode in peers.items()}


def together(images: Sequence[np.ndarray]) -> dict[str, int]:
    """One stream of all bytes; all images tiled into one picture."""
    stream = b"".join(x.tobytes() for x in images)
    sizes = {
        "xz": len(lzma.compress(stream, preset=9 | lzma.PRESET_EXTREME)),
        "zstd -22": len(zstandard.ZstdCompressor(level=22).compress(stream)),
        "bz2": len(bz2.compress(stream, 9)),
    }
    side = int(len(images) ** 0.5)
    if side > 1 and len(images) == side**2 and all(x.shape == images[0].shape for x in images):
        height, width = images[0].shape[:2]
        tiled = np.stack(images).reshape(side, side, *images[0].shape).swapaxes(1, 2)
        picture = np.ascontiguousarray(tiled.reshape(side * height, side * width, *images[0].shape[2:]))
        sizes |= {"WebP, tiled": len(webp(picture)), "JPEG XL, tiled": len(jpegxl(picture))}
    return sizes


def measure(name: str) -> None:
    codec = data.trained(f"{name}-lossless", "lossless", data.MINUTES[name], lambda: getattr(data, name)()[0])
    test = getattr(data, name)()[1]
    images = list(test)
    start = time.perf_counter()
    archive = codec.compress(test)
    middle = time.perf_counter()
    back = codec.decompress(archive)
    end = time.perf_counter()
    assert all(np.array_equal(a, b) for a, b in zip(images, back, strict=True))
    values = sum(x.size for x in images)
    sizes = {"isthmus, one archive": len(archive), **together(images), **one_file_each(images)}
    if images[0].size < 4096:
        some = images[:500]
        sizes["isthmus, one image a file"] = sum(len(codec.compress(x[None])) for x in some) * len(images) // len(some)
    rows = [
        {
            "format": k,
            "bytes": f"{n:,}",
            "bytes an image": f"{n / len(images):,.1f}",
            "bits a value": f"{8 * n / values:.3f}",
        }
        for k, n in sorted(sizes.items(), key=lambda pair: pair[1])
    ]
    xz = sizes["xz"]
    saved = (xz - len(archive)) / len(images)
    model = len(codec.model_.to_bytes())
    print(f"\n{name}: {len(images):,} images, {codec.model_.kind}, trained for {codec.seconds_ / 60:.1f} minutes\n")
    print(table(rows))
    print(
        f"\nencoding {len(images) / (middle - start):,.0f} images/s ({values / (middle - start) / 1e6:.2f} M values), "
        f"decoding {len(images) / (end - middle):,.0f} ({values / (end - middle) / 1e6:.2f}); model {model:,} bytes, "
        f"which xz has made up for after {model / saved:,.0f} images",
        flush=True,
    )


def main() -> None:
    print(machine())
    for name in sys.argv[1:] or data.MINUTES:
        measure(name)


if __name__ == "__main__":
    main()
