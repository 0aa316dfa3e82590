"""Noisy files, learned from and cleaned in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from isthmus import Denoiser
from isthmus.denoising.files import FileCleaner, learn, paths_of


def test_a_folder_is_learned_from_and_cleaned(tmp_path: Path) -> None:
    rng, y = np.random.default_rng(0), np.mgrid[:32, :32][0] / 32
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    for i in range(6):
        values = 128 + 90 * np.sin(2 * np.pi * (1 + i / 6) * y) + 20 * rng.standard_normal(y.shape)
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(noisy / f"{i}.png")
    (noisy / "broken.png").write_bytes(b"no image")

    denoiser = Denoiser("gaussian", learn_from="noisy", size="small", epochs=2, random_state=0)
    bad = learn(denoiser, noisy)
    assert list(bad) == [noisy / "broken.png"] and "cannot be read" in bad[noisy / "broken.png"]

    paths = paths_of(noisy)
    assert paths is not None
    cleaned = FileCleaner(denoiser, tmp_path / "clean").files(paths, noisy)
    assert cleaned.count == 6 and list(cleaned.bad) == [noisy / "broken.png"] and len(cleaned.examples) == 6
    expected = denoiser.denoise([np.asarray(Image.open(noisy / "3.png"))])[0]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "clean" / "3.png")), expected)


def test_arrays_and_data_sets_are_no_files(tmp_path: Path) -> None:
    np.save(tmp_path / "signal.npy", np.zeros(50))
    np.save(tmp_path / "images.npy", np.zeros((5, 8, 8)))
    assert paths_of(tmp_path / "signal.npy") == [tmp_path / "signal.npy"]
    assert paths_of(tmp_path / "images.npy") is None
    assert paths_of("digits") is None
