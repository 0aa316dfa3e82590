"""What users of `Codec` would miss: smaller files, exact pixels, clear errors."""

from __future__ import annotations

import io
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

from isthmus import Codec, IsthmusError, datasets

DIGITS = datasets.load("digits")


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(epochs=2, random_state=0).fit(DIGITS.train.images)


def photographs(n: int = 40, height: int = 24, width: int = 33, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth colours with a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [
        128 + 90 * np.sin(x / rng.uniform(4, 9, (n, 1, 1)) + y / rng.uniform(4, 9, (n, 1, 1)) + c)
        for c in range(channels)
    ]
    return (np.stack(waves, -1) + rng.normal(0, 2, (n, height, width, channels))).clip(0, 255).astype(np.uint8)


def test_unseen_digits_take_fewer_bytes_than_the_best_general_format(codec: Codec) -> None:
    test = DIGITS.test.images
    data = codec.compress(test)
    untrained = Codec(epochs=1, random_state=0).fit(DIGITS.train.images[:2])
    xz = len(lzma.compress(np.ascontiguousarray(test).tobytes(), preset=9))
    assert len(data) < 0.9 * xz
    assert len(data) < 0.7 * len(untrained.compress(test))
    assert codec.score(test) == pytest.approx(-8 * len(data) / test.size)
    np.testing.assert_array_equal(codec.decompress(data), test)


def test_unseen_photographs_take_fewer_bytes_than_png_and_webp() -> None:
    codec = Codec(epochs=8, random_state=0).fit(photographs(seed=0))
    test = photographs(8, seed=1)
    data = codec.compress(test)

    def peer(name: str, **options: Any) -> int:
        files = [io.BytesIO() for _ in test]
        for image, file in zip(test, files, strict=True):
            Image.fromarray(image).save(file, name, **options)
        return sum(len(file.getvalue()) for file in files)

    assert codec.model_.kind == "tones"
    assert len(data) < 0.8 * min(peer("PNG", optimize=True), peer("WEBP", lossless=True, method=6))
    np.testing.assert_array_equal(codec.decompress(data), test)


def test_one_sample_is_read_without_the_rest(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.concatenate([DIGITS.test.images] * 4)
    data = codec.compress(images)
    decoded = []
    coding: Any = type(codec.model_.coding)
    decode = coding.decode

    def counted(self: Any, data: bytes, shape: tuple[int, ...]) -> np.ndarray:
        decoded.append(shape)
        return decode(self, data, shape)

    monkeypatch.setattr(coding, "decode", counted)
    for number in (0, 511, 512, len(images) - 1):
        np.testing.assert_array_equal(codec.decompress(data, sample=number), images[number])
    assert len(decoded) == 4 and len(images) > 1000
    with pytest.raises(IsthmusError, match="no sample 1188"):
        codec.decompress(data, sample=len(images))


@pytest.mark.parametrize(
    "images",
    [
        DIGITS.test.images[:1],
        np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8),
        np.zeros((2, 8, 8), np.uint8),
        np.full((2, 5, 11), 255, np.uint8),
        np.random.default_rng(0).integers(0, 65536, (2, 8, 8), dtype=np.uint16),
        DIGITS.test.images[:3] > 100,
        photographs(2),
        [DIGITS.test.images[0], photographs(1)[0], DIGITS.test.images[1, :5]],
    ],
    ids=["one", "noise", "empty", "other size", "16 bits", "bool", "colour", "mixed"],
)
def test_whatever_does_not_fit_the_model_comes_back_too(codec: Codec, images: Any) -> None:
    back = codec.decompress(codec.compress(images))
    assert type(back) is type(images)
    for one, other in zip(images, back, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_a_saved_codec_reads_what_it_wrote(codec: Codec, tmp_path: Path) -> None:
    data = codec.compress(DIGITS.test.images)
    loaded = Codec.load(codec.save(tmp_path / "digits"))
    np.testing.assert_array_equal(loaded.decompress(data), DIGITS.test.images)
    assert loaded.compress(DIGITS.test.images) == data
    assert loaded.history_ == codec.history_


def test_training_can_be_repeated(codec: Codec) -> None:
    first, second = (Codec(epochs=1, random_state=3).fit(DIGITS.train.images[:300]) for _ in range(2))
    assert first.model_.id == second.model_.id
    assert first.model_.id != codec.model_.id


def test_another_model_is_refused_by_name(codec: Codec) -> None:
    other = Codec(epochs=1, random_state=1).fit(DIGITS.train.images[:200])
    with pytest.raises(IsthmusError, match=f"written with model {codec.model_.id.hex()}, and this is"):
        other.decompress(codec.compress(DIGITS.test.images[:2]))


def test_many_samples_stream_in_order(codec: Codec) -> None:
    images = np.tile(DIGITS.test.images, (5, 1, 1))
    file, seen = io.BytesIO(), list[int]()
    assert codec.write(file, iter(images), progress=seen.append) == len(images)
    assert seen == sorted(seen) and seen[-1] == len(images) and len(seen) > 2
    np.testing.assert_array_equal(codec.decompress(file.getvalue()), images)


def test_images_of_any_size_can_be_learned_from() -> None:
    images = [photographs(1, h, w, 1, seed)[0, ..., 0] for seed, (h, w) in enumerate([(40, 50), (64, 33), (17, 80)])]
    codec = Codec(epochs=20, random_state=0).fit(images)
    assert codec.model_.kind == "tones"
    assert codec.score(images) > -6
    for image, back in zip(images, codec.decompress(codec.compress(images)), strict=True):
        np.testing.assert_array_equal(image, back)


def test_sixteen_bits_are_learned_too() -> None:
    rng = np.random.default_rng(0)
    images = (np.cumsum(rng.normal(0, 20, (30, 40, 40)), 2) + 30_000).astype(np.uint16)
    codec = Codec(epochs=8, random_state=0).fit(images[:25])
    score = -codec.score(images[25:])
    assert score < 9  # noise of standard deviation 20 has 6.4 bits, and 16 is the plain size
    assert codec.history_[-1]["validation_loss"] == pytest.approx(score, rel=0.3)  # of a value, not of a byte
    np.testing.assert_array_equal(codec.decompress(codec.compress(images)), images)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((3, 8, 8), np.float32), r"sample \d is float32; a codec takes uint8, uint16 and bool"),
        (np.zeros((3, 8), np.uint8), "images have shape"),
        (np.zeros((0, 8, 8), np.uint8), "0 sample"),
        (np.zeros((3, 8, 8, 2), np.uint8), "2 channels"),
        ([np.zeros((8, 8), np.uint8), np.zeros((8,), np.uint8)], "image 1 has shape"),
    ],
)
def test_bad_images_are_one_clear_line(X: Any, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        Codec(epochs=1).fit(X)


def test_bad_settings_are_one_clear_line() -> None:
    with pytest.raises(IsthmusError, match="lossless"):
        Codec("lossles").fit(DIGITS.train.images)  # type: ignore[arg-type]
    with pytest.raises(IsthmusError, match="not both"):
        Codec(epochs=1, minutes=1).fit(DIGITS.train.images)


def test_the_estimator_keeps_scikit_learns_contract(codec: Codec) -> None:
    copy = clone(codec)
    assert copy.get_params() == codec.get_params()
    assert not hasattr(copy, "model_")
    assert copy.set_params(epochs=7).epochs == 7
