"""Lossy coding: better than PCA at equal bytes, a dial that turns one way, targets that are met, exact codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA

from isthmus import Codec, IsthmusError, datasets

DIGITS = datasets.load("digits")
TEST = DIGITS.test.images


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec("lossy", epochs=3, random_state=0).fit(DIGITS.train.images)


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """Smooth colours, (24, 50, 70, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:50, :70]
    waves = [
        128 + 90 * np.sin(x / rng.uniform(6, 15, (24, 1, 1)) + y / rng.uniform(6, 15, (24, 1, 1)) + c) for c in range(3)
    ]
    return np.stack(waves, -1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photo_codec(photographs: np.ndarray) -> Codec:
    return Codec("lossy", epochs=30, random_state=0).fit(photographs[:20])


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a.astype(float) - b) ** 2).mean()) / 255**2


def pca_at(size: float) -> float:
    """Error of principal components, rounded so that their histograms' entropy is `size` bytes an image."""
    rows, new = (x.reshape(len(x), -1) / 255 for x in (DIGITS.train.images, TEST))
    fitted = [PCA(n, random_state=0).fit(rows) for n in (8, 16, 32)]

    def at(pca: PCA, step: float) -> tuple[float, float]:
        codes = pca.transform(new)
        rounded = np.round(codes / step)
        shares = [np.unique(column, return_counts=True)[1] / len(column) for column in rounded.T]
        return -sum(float((s * np.log2(s)).sum()) for s in shares) / 8, float(
            ((pca.inverse_transform(rounded * step) - new) ** 2).mean()
        )

    points = [at(pca, step) for step in np.geomspace(0.05, 3, 60) for pca in fitted]
    return min(error for bytes_, error in points if bytes_ <= size)


def test_it_beats_pca_at_equal_bytes(codec: Codec) -> None:
    data = codec.compress(TEST, quality=90)
    assert mse(codec.decompress(data), TEST) < pca_at(len(data) / len(TEST))


@pytest.mark.parametrize("name", ["digits", "photographs"])
def test_more_quality_takes_more_bytes_and_loses_less(name: str, request: pytest.FixtureRequest) -> None:
    codec = request.getfixturevalue("codec" if name == "digits" else "photo_codec")
    images = TEST if name == "digits" else request.getfixturevalue("photographs")[20:]
    archives = [codec.compress(images, quality=quality) for quality in (1, 50, 100)]
    sizes = [len(data) for data in archives]
    errors = [mse(codec.decompress(data), images) for data in archives]
    assert sizes == sorted(sizes) and sizes[0] < 0.8 * sizes[2] < images.nbytes
    assert errors == sorted(errors, reverse=True) and errors[2] < 0.8 * errors[0]
    assert codec.compress(images) == archives[1]


@pytest.mark.parametrize("quality", [30, 75, 88, 97])
def test_targets_are_met_within_two_percent(codec: Codec, quality: int) -> None:
    middle = codec.compress(TEST, quality=quality)
    wanted = mse(codec.decompress(middle), TEST)
    back = codec.decompress(codec.compress(TEST, target_mse=wanted))
    assert mse(back, TEST) == pytest.approx(wanted, rel=0.02)
    assert len(codec.compress(TEST, target_bytes=len(middle))) == pytest.approx(len(middle), rel=0.02)


def test_any_size_between_the_ends_is_met(codec: Codec) -> None:
    ends = [len(codec.compress(TEST, quality=quality)) for quality in (1, 100)]
    for size in np.geomspace(ends[0], ends[1], 9)[2:-1]:
        data = codec.compress(TEST, target_bytes=size)
        assert len(data) == pytest.approx(size, rel=0.02, abs=7)  # what gets a second quality has a head of 13 bytes
        assert codec.decompress(data).shape == TEST.shape


def test_targets_out_of_reach(codec: Codec) -> None:
    with pytest.raises(IsthmusError, match="no quality of this codec gives a mean squared error of 1e-09"):
        codec.compress(TEST, target_mse=1e-9)


def test_photographs_of_other_sizes_fit_too(photo_codec: Codec, photographs: np.ndarray) -> None:
    images = [photographs[20][:33, :41], photographs[21][:7, :9], np.zeros((30, 30), np.uint8)]
    back = photo_codec.decompress(photo_codec.compress(images, quality=90))
    assert [image.shape for image in back] == [image.shape for image in images]
    assert mse(back[0], images[0]) < 0.002
    np.testing.assert_array_equal(back[2], images[2])  # grey is not what it learned: kept without loss


def test_a_saved_codec_decodes_the_same(codec: Codec, tmp_path: Path) -> None:
    loaded = Codec.load(codec.save(tmp_path / "lossy"))
    data = codec.compress(TEST, quality=70, embed_model=True)
    np.testing.assert_array_equal(loaded.decompress(data), codec.decompress(data))


_DECODE = """
import sys, numpy as np, torch
from isthmus import Codec
torch.set_num_threads(int(sys.argv[3]))
codec = Codec.load(sys.argv[1])
np.save(sys.argv[2], codec.decompress(open(sys.argv[1] + "/data", "rb").read()))
"""


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Prescott"}, "1"),
        ({"OPENBLAS_CORETYPE": "Haswell"}, "2"),
    ],
)
def test_other_processors_read_the_same_codes(
    codec: Codec, tmp_path: Path, environment: dict[str, str], threads: str
) -> None:
    folder = codec.save(tmp_path / "lossy")
    data = codec.compress(TEST, quality=60)
    (folder / "data").write_bytes(data)
    command = [sys.executable, "-W", "ignore", "-c", _DECODE, str(folder), str(tmp_path / "back.npy"), threads]
    run = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr  # the checksum of the codes is right
    away = np.load(tmp_path / "back.npy").astype(int) - codec.decompress(data)
    assert np.abs(away).max() <= 1


def test_damaged_codes_are_an_error(codec: Codec) -> None:
    data = bytearray(codec.compress(TEST[:20]))
    data[-20] ^= 1
    with pytest.raises(IsthmusError, match="damaged"):
        codec.decompress(bytes(data))


def test_sixteen_bits_and_ms_ssim() -> None:
    rng = np.random.default_rng(0)
    images = (np.cumsum(rng.normal(0, 200, (20, 40, 80)), 2) + 30_000).clip(0, 65535).astype(np.uint16)
    codec = Codec("lossy", objective="ms-ssim", epochs=2, random_state=0).fit(images)
    back = codec.decompress(codec.compress(images, quality=100))
    assert back.dtype == np.uint16
    assert np.abs(back - images.astype(float)).mean() < 0.1 * images.std()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 0}, "quality .=0. must be"),
        ({"quality": 101}, "from 1 to 100"),
        ({"quality": 50, "target_mse": 0.01}, "give one of"),
        ({"target_bytes": -1}, "target_bytes .=-1. must be"),
    ],
)
def test_bad_settings_are_one_clear_line(codec: Codec, options: dict[str, Any], message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        codec.compress(TEST, **options)


def test_a_lossless_codec_has_no_quality() -> None:
    codec = Codec(epochs=1, random_state=0).fit(DIGITS.train.images[:100])
    with pytest.raises(IsthmusError, match="this one loses nothing"):
        codec.compress(TEST, quality=50)
    with pytest.raises(IsthmusError, match="ms-ssim"):
        Codec("lossy", objective="psnr").fit(TEST)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 2, 3), (3, 90)])
def test_tiny_images_are_learned(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    codec = Codec("lossy", epochs=1, random_state=0).fit(images)
    assert codec.decompress(codec.compress(images)).shape == images.shape
