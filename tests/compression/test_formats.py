"""Bytes of general formats."""

from __future__ import annotations

import io
import lzma

import numpy as np
from PIL import Image

from isthmus.compression.formats import lossless_bytes, lossy_curves, png_bytes, sheets


def test_sheets_hold_every_row_once(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images = [*digits[0][:5], digits[0][5][:3], digits[0][6][:, :4]]
    pages = sheets(images)
    assert [page.shape for page in pages] == [(43, 8), (8, 4)]
    np.testing.assert_array_equal(pages[0][:40], digits[0][:5].reshape(40, 8))
    assert len(sheets([np.zeros((9_000, 2), np.uint8)] * 2)) == 2  # more rows than a format holds


def test_bytes_are_those_of_files(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, buffer = digits[0][:50], io.BytesIO()
    Image.fromarray(images.reshape(-1, 8)).save(buffer, "PNG", optimize=True)
    found = lossless_bytes(list(images))
    assert found["PNG"] == len(buffer.getvalue()) == png_bytes(images.reshape(-1, 8))
    assert found["xz"] == len(lzma.compress(images.tobytes(), preset=9))
    assert set(lossless_bytes(list(images.astype(np.uint16)))) == {"PNG", "xz"}


def test_more_bytes_are_closer(digits: tuple[np.ndarray, np.ndarray]) -> None:
    for points in lossy_curves(list(digits[0][:50]), (10, 50, 95)).values():
        sizes, errors = zip(*points, strict=True)
        assert list(sizes) == sorted(sizes) and list(errors) == sorted(errors, reverse=True)
    assert lossy_curves(list(digits[0][:5].astype(np.uint16)), (50,)) == {}
