"""The sheet of samples before and after: images with the part at full size, and signals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.evaluation.figures.before_after import before_after, example


def test_a_large_image_is_shown_whole_and_its_middle_at_full_size() -> None:
    rng = np.random.default_rng(0)
    clean = np.broadcast_to(np.linspace(50, 200, 400), (300, 400))
    noisy = clean + rng.normal(0, 10, clean.shape)
    one = example("large.png", noisy, clean)
    assert one.whole is not None and one.before.shape == one.after.shape == (240, 240)
    np.testing.assert_array_equal(one.before, noisy[30:270, 80:320])
    assert one.frame == (0.2, 0.1, 0.6, 0.8) and one.taken == pytest.approx(10, rel=0.02)
    small = example("small.png", noisy[:20, :30], clean[:20, :30])
    assert small.whole is None and small.before.shape == (20, 30)


def test_a_sheet_holds_images_and_signals_in_the_house_style(tmp_path: Path) -> None:
    rng, t = np.random.default_rng(0), np.arange(900)
    wave = np.stack([np.sin(t / 20), np.cos(t / 30)], axis=1)
    noisy = wave + rng.normal(0, 0.1, wave.shape)
    noisy[5] = np.nan
    colour = rng.integers(0, 256, (50, 40, 3)).astype(np.uint8)
    examples = [
        example("wave.wav", noisy, wave, signal=True),
        example("$x$ <b>.png", colour, colour),
        example("volume", rng.random((5, 16, 16, 1)), np.zeros((5, 16, 16, 1))),
    ]
    assert examples[0].before.shape == (600, 2)
    before_after(examples, tmp_path / "sheet.jpg", "gaussian:0.1")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.format == "JPEG"
        pixels = np.asarray(sheet.convert("RGB"), int)
    paper, cool = np.array([252, 251, 247]), np.array([18, 137, 125])
    assert (np.abs(pixels - paper).max(axis=2) < 6).mean() > 0.3
    assert (np.abs(pixels - cool).max(axis=2) < 40).sum() > 1000  # the signal's line
