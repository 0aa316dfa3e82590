"""The report of a codec: figures that were measured, beside formats that the machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus import Codec
from isthmus.compression.report import report


@pytest.fixture(scope="module", params=["lossless", "lossy"])
def codec(request: pytest.FixtureRequest, digits: tuple[np.ndarray, np.ndarray]) -> Codec:
    return Codec(request.param, epochs=1, random_state=0).fit(digits[0][:300])


def test_bytes_of_real_archives(
    quick: None, check_page: Any, tmp_path: Path, codec: Codec, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images = digits[0][300:360]
    path = report(codec, images, tmp_path / "my codec")
    page, lossy = check_page(path), codec.mode == "lossy"
    words = " ".join(page.words)
    options: dict[str, Any] = {"quality": 50} if lossy else {}
    archive = codec.compress(list(images), **options)
    assert f"{len(archive) / 60:.1f}" in words or f"{len(archive) / 60:.2f}" in words
    assert path.parent.name in words and "measured on 60 images" in words and ("JPEG" in words) is lossy
    assert page.figures == ({"rate", "images", "loss"} if lossy else {"formats", "images", "loss"})
    assert f"{codec.model_.nbytes:,} bytes" in words and "Codec.load('my codec')" in words
    assert "--model 'my codec'" in words


@pytest.mark.parametrize("kind", ["sizes", "colour", "deep", "black and white", "one"])
def test_every_kind_of_images(
    quick: None, check_page: Any, tmp_path: Path, codec: Codec, digits: tuple[np.ndarray, np.ndarray], kind: str
) -> None:
    images = {
        "sizes": [digits[0][i][: 4 + i % 4] for i in range(9)],
        "colour": np.stack([digits[0][:9]] * 3, axis=-1),
        "deep": digits[0][:9].astype(np.uint16) * 200,
        "black and white": digits[0][:9] > 100,
        "one": digits[0][:1],
    }[kind]
    page = check_page(report(codec, images, tmp_path, title="<b>bold"))
    assert "<b>bold" in page.words and "images" in page.figures
