"""Frames as cameras, scanners and recorders deliver them: a denoiser never makes them worse, or refuses in one line."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isthmus import Denoiser, IsthmusError
from isthmus.denoising.noise import estimate_deviation, estimate_gains, is_correlated
from isthmus.errors import IsthmusWarning

N, SIDE = 24, 36
RNG = np.random.default_rng(0)
Frames = tuple[np.ndarray, np.ndarray]  # noisy ones and the truth


def waves(n: int = N, side: int = SIDE) -> np.ndarray:
    """Smooth images, float64 from 50 to 190."""
    y, x = np.mgrid[:side, :side]
    return np.stack([120 + 70 * np.sin((x + 9 * i) / 6) * np.cos((y - 5 * i) / 8) for i in range(n)])


CLEAN = waves()


def bytes_of(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def normal(deviation: float, shape: tuple[int, ...] = CLEAN.shape) -> np.ndarray:
    return RNG.normal(0, deviation, shape)


def masked(mask: np.ndarray) -> Frames:
    return bytes_of(CLEAN + normal(25)) * mask.astype(np.uint8), CLEAN * mask


def disk() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return x**2 + y**2 < (0.45 * SIDE) ** 2


def border() -> np.ndarray:
    return np.abs(np.arange(SIDE) - SIDE / 2) < SIDE / 3


def jpeg(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=50)
    return np.asarray(Image.open(file))


def camera() -> Frames:
    """Gain 0.5, pedestal 100, read noise 2: the variance is 0.5 · value - 46."""
    electrons = 2 * CLEAN
    return np.rint(RNG.poisson(electrons) * 0.5 + 100 + normal(2)).astype(np.uint16), electrons * 0.5 + 100


def counts(rate: np.ndarray) -> Frames:
    return RNG.poisson(rate).astype(np.uint16), rate


def hot() -> Frames:
    noisy = CLEAN + normal(15)
    noisy[RNG.random(CLEAN.shape) < 0.002] = 255
    return bytes_of(noisy), CLEAN


def constant_channel() -> Frames:
    truth = np.stack([CLEAN, CLEAN[::-1], 0 * CLEAN], -1)
    return bytes_of((truth + normal(25, truth.shape)) * [1, 1, 0]), truth


def one_black() -> Frames:
    black = np.arange(N)[:, None, None] == 7
    return np.where(black, 0, bytes_of(CLEAN + normal(25))), CLEAN * ~black


def recording() -> Frames:
    """A tone between digital silence."""
    truth = np.zeros((16, 1500))
    truth[:, 500:1000] = 3000 * np.sin(np.arange(500) / 9)
    return np.rint(truth + normal(300, truth.shape) * (truth != 0)).astype(np.int16), truth


def small(side: int) -> Frames:
    truth = waves(60, side)
    return bytes_of(truth + normal(15, truth.shape)), truth


PEAKS = np.where(RNG.random(CLEAN.shape) < 0.005, 60.0, 1.0)
KINDS: dict[str, Frames] = {
    "black border": masked(np.outer(border(), border())),
    "round field of view": masked(disk()),
    "one of them black": one_black(),
    "saturated": (bytes_of(2.5 * CLEAN - 150 + normal(25)), np.clip(2.5 * CLEAN - 150, 0, 255)),
    "pedestal and gain": camera(),
    "row stripes": (bytes_of(CLEAN + normal(10) + normal(15, (N, SIDE, 1))), CLEAN),
    "hot pixels": hot(),
    "JPEG": (np.stack([jpeg(image) for image in bytes_of(CLEAN + normal(15))]), CLEAN),
    "sparse peaks": (bytes_of(3 * PEAKS + normal(2)), 3 * PEAKS),
    "sparse counts": counts(PEAKS),
    "low counts": counts(0.3 + CLEAN / 60),
    "one channel constant": constant_channel(),
    "silence": recording(),
    "4 x 4": small(4),
    "2 x 2": small(2),
    "clean already": (bytes_of(CLEAN), bytes_of(CLEAN)),
    "nothing": (np.zeros((N, SIDE, SIDE), np.uint8), np.zeros((N, SIDE, SIDE))),
}


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(((a.astype(np.float64) - b) ** 2).mean()))


def never_worse(frames: Frames, epochs: int, **settings: Any) -> None:
    noisy, truth = frames
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IsthmusWarning)
        try:
            model = Denoiser(size="small", epochs=epochs, random_state=0, **settings).fit(noisy)
        except IsthmusError as refused:
            assert "\n" not in str(refused) and "give" in str(refused)
            assert (noisy == noisy.flat[0]).all() or settings
            return
        cleaned = model.denoise(noisy)
    assert cleaned.dtype == noisy.dtype
    assert error(cleaned, truth) <= 1.01 * error(noisy, truth)


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_training_does_no_harm(kind: str) -> None:
    never_worse(KINDS[kind], 2)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [None, "poisson+gaussian"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_long_training_does_no_harm(kind: str, noise: str | None) -> None:
    never_worse(KINDS[kind], 30, noise=noise, learn_from="auto" if noise is None else "noisy")


@pytest.mark.parametrize(
    ("kind", "deviation", "tolerance"),
    [
        ("black border", 25, 0.05),
        ("round field of view", 25, 0.05),
        ("one of them black", 25, 0.05),
        ("saturated", 25, 0.07),
        ("one channel constant", 25, 0.07),
        ("silence", 300, 0.07),
        ("row stripes", 10, 0.1),
        ("hot pixels", 15, 0.07),
    ],
)
def test_what_is_constant_or_clipped_says_nothing_of_the_noise(kind: str, deviation: float, tolerance: float) -> None:
    noisy = KINDS[kind][0]
    samples = [sample if noisy.ndim == 4 else sample[..., None] for sample in noisy]
    assert estimate_deviation(samples) == pytest.approx(deviation, rel=tolerance)
    assert not is_correlated(samples)


@pytest.mark.parametrize(("shape", "count"), [((16, 16, 1), 1), ((64, 64, 1), 1), ((6, 6, 1), 40), ((256, 1), 1)])
def test_small_samples_have_noise_too(shape: tuple[int, ...], count: int) -> None:
    found = [
        estimate_deviation([np.random.default_rng([i, k]).normal(128, 25, shape) for k in range(count)])
        for i in range(5)
    ]
    assert np.mean(found) == pytest.approx(25, rel=0.08)


def test_a_pedestal_is_found() -> None:
    slope, offset = estimate_gains([frame[..., None] for frame in KINDS["pedestal and gain"][0]])
    for brightness in (150, 200, 250):
        assert slope * brightness + offset == pytest.approx(0.5 * brightness - 46, rel=0.08)


def test_what_was_not_learned_is_not_taken_away() -> None:
    noisy, _ = KINDS["saturated"]
    with pytest.warns(IsthmusWarning, match="train longer"):
        model = Denoiser("gaussian:0.1", learn_from="noisy", size="small", minutes=1e-4, random_state=0).fit(noisy)
    assert model.share_ == 0 and "caution" in model.describe()
    cleaned, std = model.denoise(noisy, return_std=True)
    assert np.array_equal(cleaned, noisy)
    assert np.median(std) == pytest.approx(25.5, rel=0.01)  # no more is promised than the noise


def test_samples_without_the_learned_noise_are_left_as_they_are() -> None:
    noisy = CLEAN + normal(25)
    model = Denoiser(size="small", epochs=20, random_state=0).fit(noisy)
    smooth = np.full((2, SIDE, SIDE), 100.0) + np.arange(SIDE)
    smooth[1] = 42
    with pytest.warns(IsthmusWarning, match="1 of 26 samples were left"):
        cleaned = model.denoise(np.concatenate([noisy, smooth]))
    assert error(cleaned[-2:], smooth) < 0.5
    assert np.array_equal(cleaned[-1], smooth[-1])
    assert np.array_equal(cleaned[:N], model.denoise(noisy)) and error(cleaned[:N], CLEAN) < 0.7 * error(noisy, CLEAN)


def test_levels_far_above_the_noise_are_refused() -> None:
    with pytest.raises(IsthmusError, match=r"'gaussian:0.9' has a deviation of .* of the data's range, of 255"):
        Denoiser("gaussian:0.9", learn_from="noisy").fit(KINDS["hot pixels"][0])
