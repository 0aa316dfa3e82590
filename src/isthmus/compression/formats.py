"""What general formats make of the same images: PNG, WebP, JPEG and xz, as files in memory."""

from __future__ import annotations

import io
import lzma
from collections.abc import Sequence

import numpy as np

_MOST_ROWS = 16_000  # of a sheet: WebP knows no more


def png_bytes(image: np.ndarray) -> int:
    """Bytes of an image (height, width[, channels]) as a PNG file."""
    return len(_file(image, "PNG", optimize=True))


def lossless_bytes(images: Sequence[np.ndarray]) -> dict[str, int]:
    """Bytes of all images in each format that can hold them, as few files as possible; see `sheets`."""
    pages, found = sheets(images), {}
    if all(_is_picture(page, deep=True) for page in pages):
        found["PNG"] = sum(png_bytes(page) for page in pages)
    if _has_webp() and all(_is_picture(page) for page in pages):
        found["WebP"] = sum(len(_file(page, "WEBP", lossless=True, quality=100, method=6)) for page in pages)
    found["xz"] = len(lzma.compress(b"".join(np.ascontiguousarray(page).tobytes() for page in pages), preset=9))
    return found


def lossy_curves(images: Sequence[np.ndarray], qualities: Sequence[int]) -> dict[str, list[tuple[int, float]]]:
    """For each lossy format, bytes of all images and their mean squared error (in units of 1 for 255²), by quality.

    Empty for images other than 8-bit grey or colour.
    """
    pages = sheets(images)
    if not all(_is_picture(page) and page.dtype == np.uint8 for page in pages):
        return {}
    kinds: dict[str, dict[str, object]] = {"JPEG": {"optimize": True}}
    if _has_webp():
        kinds["WebP"] = {"method": 6}
    return {name: [_lossy(pages, name, quality, options) for quality in qualities] for name, options in kinds.items()}


def sheets(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Images of one width, depth and number of channels below each other in as few larger ones as possible.

    A general format then pays its header once, and sees as much of the data at a time as a codec's archive does.
    """
    made: list[list[np.ndarray]] = []
    rows = 0
    for image in images:
        last = made[-1][-1] if made else None
        fits = last is not None and last.shape[1:] == image.shape[1:] and last.dtype == image.dtype
        if not fits or rows + len(image) > _MOST_ROWS:
            made.append([])
            rows = 0
        made[-1].append(image)
        rows += len(image)
    return [np.concatenate(page) for page in made]


def _lossy(pages: Sequence[np.ndarray], name: str, quality: int, options: dict[str, object]) -> tuple[int, float]:
    from PIL import Image

    size, error, values = 0, 0.0, 0
    for page in pages:
        file = _file(page, name, quality=quality, **options)
        with Image.open(io.BytesIO(file)) as opened:
            decoded = np.asarray(opened.convert("L" if _is_grey(page) else "RGB"), np.float64).reshape(page.shape)
        size, values = size + len(file), values + page.size
        error += float((((decoded - page) / 255) ** 2).sum())
    return size, error / values


def _file(image: np.ndarray, kind: str, **options: object) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image).save(buffer, kind, **options)
    return buffer.getvalue()


def _is_grey(image: np.ndarray) -> bool:
    return image.ndim == 2 or image.shape[-1] == 1


def _is_picture(image: np.ndarray, *, deep: bool = False) -> bool:
    """Whether the usual image formats hold it; deep : also where they hold 16 bits or single ones, as PNG does."""
    if max(image.shape[:2]) > _MOST_ROWS:
        return False
    if deep and image.dtype in (np.uint16, np.bool_):
        return _is_grey(image)
    return image.dtype == np.uint8 and (_is_grey(image) or image.shape[-1] == 3)


def _has_webp() -> bool:
    from PIL import features

    return bool(features.check("webp"))
