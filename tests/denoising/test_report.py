"""The report of a denoiser: before and after, and errors where clean samples are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus import Denoiser
from isthmus.denoising.report import report
from isthmus.errors import IsthmusError

EVERYWHERE = {"before_after"}  # and "loss", where the run was long enough for a curve


@pytest.fixture(scope="module")
def denoiser(digits: tuple[np.ndarray, np.ndarray]) -> Denoiser:
    return Denoiser("gaussian:0-0.4", size="small", epochs=1, random_state=0).fit(digits[0][:300])


def test_errors_against_clean_samples(
    quick: None, check_page: Any, tmp_path: Path, denoiser: Denoiser, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    clean = digits[0][300:340]
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 40, clean.shape), 0, 255).astype(np.uint8)
    page = check_page(report(denoiser, noisy, tmp_path / "mine", clean=clean))
    words = " ".join(page.words)
    assert page.figures - {"loss"} == EVERYWHERE | {"errors"} and "Denoiser.load('mine')" in words
    error = float((((denoiser.denoise(noisy) / 255.0) - clean / 255.0) ** 2).mean())
    assert f"{error:.4f}" in words and "best Gaussian filter" in words


def test_noise_that_is_added_is_the_same_in_every_run(
    quick: None, tmp_path: Path, denoiser: Denoiser, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    pages = [report(denoiser, digits[0][:20], tmp_path, noise="gaussian:0.2").read_text() for _ in range(2)]
    assert pages[0] == pages[1] and "Noise was added here: gaussian:0.2." in pages[0]


def test_without_clean_samples(
    quick: None, check_page: Any, tmp_path: Path, denoiser: Denoiser, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    page = check_page(report(denoiser, digits[0][:20], tmp_path))
    assert (
        page.figures - {"loss"} == EVERYWHERE
        and "Taken away" in page.words
        and "Beside simple filters" not in page.words
    )


def test_samples_of_different_sizes(
    quick: None, check_page: Any, tmp_path: Path, denoiser: Denoiser, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    samples = [np.tile(digits[0][i], (2 + i, 3)) for i in range(4)]
    assert "before_after" in check_page(report(denoiser, samples, tmp_path, noise="gaussian:0.1")).figures


def test_signals(quick: None, check_page: Any, tmp_path: Path) -> None:
    waves = np.sin(np.linspace(0, 12, 80) + np.linspace(0, 6, 40)[:, None]).astype(np.float32)
    model = Denoiser("gaussian:0.3", size="small", epochs=1, random_state=0).fit(waves)
    assert check_page(report(model, waves, tmp_path, noise="gaussian:0.3")).figures - {"loss"} == EVERYWHERE | {
        "errors"
    }


def test_pairs_must_fit(tmp_path: Path, denoiser: Denoiser, digits: tuple[np.ndarray, np.ndarray]) -> None:
    images = digits[0][:4]
    with pytest.raises(IsthmusError, match="4 noisy samples and 3 clean ones"):
        report(denoiser, images, tmp_path, clean=images[:3])
    with pytest.raises(IsthmusError, match=r"pair 0 has shapes \(8, 8\) and \(8, 7\)"):
        report(denoiser, images, tmp_path, clean=images[:, :, :7])
    with pytest.raises(IsthmusError, match="clean and noise were both given"):
        report(denoiser, images, tmp_path, clean=images, noise="gaussian")
