"""Denoisers: cleaner than the noise and than PCA, from clean data, pairs or noisy data alone; tiles, kinds, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA

from isthmus import Denoiser, IsthmusError, datasets, load
from isthmus.corruptions import Corruption
from isthmus.data import tiles as tiling
from isthmus.denoising.noise import estimate_level
from isthmus.networks.unet import SIZES, UNet, UNetSpec

DIGITS = datasets.load("digits")
TRAIN, TEST = ((part.images / 255).astype(np.float32) for part in (DIGITS.train, DIGITS.test))
QUICK: dict[str, Any] = {"size": "small", "epochs": 12, "random_state": 0}


def corrupted(x: np.ndarray, noise: str, seed: int = 0) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    return Corruption(noise)(torch.from_numpy(x)[:, None], generator)[:, 0].numpy()


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(((np.float64(a) - b) ** 2).mean())


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return Denoiser("gaussian:0-0.5", **QUICK).fit(TRAIN)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Smooth shapes with edges, of two sizes, float32 in [0, 1]."""
    rng, found = np.random.default_rng(0), []
    for i in range(12):
        y, x = np.mgrid[:72, : 80 if i % 2 else 96] / 72
        image = 0.5 + 0.3 * np.sin(2 * np.pi * (rng.uniform(1, 4) * x + rng.uniform(1, 4) * y))
        for _ in range(4):
            a, b, r = rng.uniform(0, 1, 3)
            image = np.where((x - a) ** 2 + (y - b) ** 2 < (0.1 + 0.2 * r) ** 2, rng.uniform(0, 1), image)
        found.append(image.astype(np.float32))
    return found


def test_it_beats_the_noise_pca_and_itself_untrained(denoiser: Denoiser) -> None:
    for sigma in (0.15, 0.3):
        y = corrupted(TEST, f"gaussian:{sigma}")
        ours = mse(denoiser.denoise(y), TEST)
        rows = y.reshape(len(y), -1)
        fitted = [PCA(n, random_state=0).fit(TRAIN.reshape(len(TRAIN), -1)) for n in (8, 16, 24, 32)]
        pca = min(mse(p.inverse_transform(p.transform(rows)), TEST.reshape(len(y), -1)) for p in fitted)
        assert ours < 0.8 * pca
        assert ours < 0.5 * mse(y, TEST)
    assert mse(denoiser.denoise(TEST), TEST) < 2e-3  # clean digits are left alone


def test_pairs_and_fewer_channels() -> None:
    rng = np.random.default_rng(0)
    repeats = (TRAIN[..., None] + 0.5 * rng.standard_normal((*TRAIN.shape, 4))).astype(np.float32)
    seen = (TEST[..., None] + 0.5 * rng.standard_normal((*TEST.shape, 4))).astype(np.float32)
    model = Denoiser(**QUICK).fit(repeats, TRAIN[..., None])
    cleaned = model.denoise(seen)
    assert cleaned.shape == (*TEST.shape, 1)
    assert mse(cleaned[..., 0], TEST) < 0.7 * mse(seen.mean(-1), TEST)
    with pytest.raises(IsthmusError, match="1500 noisy samples and 10 clean"):
        Denoiser(**QUICK).fit(repeats, TRAIN[:10, ..., None])


@pytest.mark.parametrize("noise", ["gaussian:0.15", "rows:0.2", "salt-and-pepper:0.15", "poisson:20", "speckle:0.4"])
def test_noisy_pictures_alone_are_enough(noise: str, pictures: list[np.ndarray]) -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = pictures[:4] if noise.startswith("rows") else pictures  # each value without itself takes its time
    y = [Corruption(noise)(torch.from_numpy(x)[None, None], generator)[0, 0].numpy() for x in pictures]
    model = Denoiser(noise, learn_from="noisy", size="small", epochs=3, random_state=0).fit(y)
    cleaned, std = model.denoise(y, return_std=True)
    before, after = (np.mean([mse(a, b) for a, b in zip(z, pictures, strict=True)]) for z in (y, cleaned))
    assert after < 0.35 * before
    told = float(np.mean([(s.astype(float) ** 2).mean() for s in std]))
    assert 0.15 * after < told < 4 * after


def test_the_level_is_estimated(pictures: list[np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    y = [(x + 0.1 * rng.standard_normal(x.shape)).astype(np.float32) for x in pictures]
    model = Denoiser(size="small", minutes=1e-4, random_state=0).fit(y)  # the level is estimated before the training
    name, _, level = str(model.noise_).partition(":")
    assert name == "gaussian" and float(level) == pytest.approx(0.1, rel=0.08)
    rows = [corrupted(x[None], "rows:0.1", i)[0] for i, x in enumerate(pictures[:3])]
    assert str(Denoiser(size="small", minutes=1e-4, random_state=0).fit(rows).noise_).startswith("rows:0.")


def test_images_of_any_level_of_a_range_are_cleaned_each_by_its_own(pictures: list[np.ndarray]) -> None:
    """What is cut into crops is cleaned by the level seen in the whole image, however it comes."""
    model = Denoiser("gaussian:0.02-0.4", size="small", epochs=15, random_state=0).fit(pictures[:8])
    assert model.network_spec_.levels == (0.02, 0.4)
    clean = [pictures[8], pictures[10]]
    cleaned = {}
    for sigma in (0.04, 0.1, 0.3):
        noisy = np.stack(clean) + sigma * np.random.default_rng(1).standard_normal((2, *clean[0].shape))
        for image in noisy:
            assert estimate_level(image[..., None]) == pytest.approx(sigma, rel=0.12)
        cleaned[sigma], std = model.denoise(noisy.astype(np.float32), return_std=True)
        assert mse(cleaned[sigma], np.stack(clean)) < 0.8 * sigma**2
        assert 1 / 3 < np.sqrt(mse(cleaned[sigma], np.stack(clean))) / std.mean() < 3
    both = [
        (image + s * np.random.default_rng(1).standard_normal(image.shape))
        for image, s in zip(clean, (0.04, 0.3), strict=True)
    ]
    alone = [model.denoise(image[None])[0] for image in both]
    for a, b in zip(model.denoise(np.stack(both)), alone, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)  # a neighbour with other noise changes nothing
    flat = np.full((1, 80, 96), 0.5, np.float32)
    assert np.isfinite(model.denoise(flat)).all()
    assert estimate_level(np.ones((1, 1, 1))) == 0
    with pytest.raises(IsthmusError, match=r"levels \(=\(0\.0, 0\.0\)\) must be two deviations"):
        UNetSpec(2, 1, 1, (4,), (1,), levels=(0.0, 0.0))
    assert Denoiser("gaussian:0.1", size="small", epochs=1).fit(pictures[:2]).network_spec_.levels is None


def test_deviations_are_calibrated(denoiser: Denoiser) -> None:
    y = corrupted(TEST, "gaussian:0.25", 3)
    cleaned, std = denoiser.denoise(y, return_std=True)
    assert std.shape == y.shape and std.dtype == np.float32 and (std >= 0).all()
    z = np.abs(cleaned - TEST) / np.maximum(std, 1e-6)
    assert 0.55 < (z < 1).mean() < 0.85 and (z < 2).mean() > 0.84


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("size", SIZES)
def test_tiles_leave_no_seams(d: int, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    widths, blocks = SIZES[size]
    if d == 3:
        widths, blocks = (8, 8, 8)[: len(widths)], (1, 1, 1)[: len(blocks)]
    network = UNet(d, 1, 1, widths, blocks).eval()
    for parameter in network.parameters():
        parameter.data = parameter.data + 0.02 * torch.randn(parameter.shape)
    shape = {1: (3001,), 2: (301, 410), 3: (18, 150, 21)}[d]
    x = torch.rand(1, 1, *shape)
    with torch.inference_mode():
        whole, result = network(x), torch.zeros_like(x)
        monkeypatch.setattr(tiling, "_TILE_VALUES", {1: 400, 2: 120**2, 3: 24**3}[d])
        count = 0
        tiles: Any = tiling.tiles(shape, 1, 8, network.reach)
        for read, kept, place in tiles:
            result[..., *place] = network(x[..., *read])[..., *kept]
            count += 1
    assert count > 1
    assert torch.allclose(whole, result, atol=2e-5)


def test_what_comes_back_has_the_kind_of_what_went_in() -> None:
    X = DIGITS.train.images
    model = Denoiser("gaussian:0-0.3", size="small", epochs=2, random_state=0).fit(X)
    for images in (X[:5], (X[:5].astype(np.uint16) * 257), X[:5].astype(np.float64)):
        cleaned = model.denoise(images)
        assert cleaned.dtype == images.dtype and cleaned.shape == images.shape
        assert abs(float(cleaned.mean()) / float(images.mean()) - 1) < 0.1  # floats are in the integers' units
    colour = np.repeat(X[:3, ..., None], 3, -1)
    assert model.denoise(colour).shape == colour.shape
    see_through = np.concatenate([colour, np.full((*X[:3].shape, 1), 77, np.uint8)], -1)
    assert (model.denoise(see_through)[..., 3] == 77).all()
    mixed = model.denoise([X[0], X[1, :1, :1], np.tile(X[2], (3, 5))])
    assert [image.shape for image in mixed] == [(8, 8), (1, 1), (24, 40)]


@pytest.mark.parametrize("shape", [(40, 50), (12, 14, 16, 18), (30, 9, 11, 3)])
def test_signals_volumes_and_colours(shape: tuple[int, ...]) -> None:
    X = np.random.default_rng(0).random(shape).astype(np.float32)
    model = Denoiser("gaussian:0.1", size="small", epochs=1, random_state=0).fit(X)
    assert model.denoise(X).shape == shape
    assert model.network_spec_.num_spatial_dims == len(shape) - 1 - (shape[-1] == 3)
    with pytest.raises(IsthmusError, match="dimensions"):
        model.denoise(X[0, 0] if len(shape) > 2 else X[None])


def test_saved_and_loaded(denoiser: Denoiser, pictures: list[np.ndarray], tmp_path: Path) -> None:
    y = corrupted(TEST[:20], "gaussian:0.2")
    assert np.array_equal(Denoiser.load(denoiser.save(tmp_path / "a")).denoise(y), denoiser.denoise(y))
    rows = [corrupted(x[None], "rows:0.2", i)[0] for i, x in enumerate(pictures[:2])]
    model = Denoiser("rows", learn_from="noisy", size="small", minutes=0.01, random_state=0).fit(rows)
    again = Denoiser.load(model.save(tmp_path / "b"))
    assert again.noise_ == model.noise_
    assert all(np.array_equal(a, b) for a, b in zip(again.denoise(rows), model.denoise(rows), strict=True))
    with pytest.raises(IsthmusError, match="holds a Denoiser"):
        from isthmus import Codec

        Codec.load(tmp_path / "a")


def test_it_repeats_itself() -> None:
    a, b = (Denoiser("gaussian:0.2", size="small", epochs=1, random_state=4).fit(TRAIN[:200]) for _ in range(2))
    assert np.array_equal(a.denoise(TEST[:5]), b.denoise(TEST[:5]))
    assert clone(a).get_params() == a.get_params()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise": "gausian:0.1"}, "gaussian"),
        ({"noise": "gaussian:0.1", "size": "huge"}, "small"),
        ({"learn_from": "clean"}, "give noise"),
        ({"noise": "blur:1", "learn_from": "noisy"}, "cannot be learned from noisy data alone"),
        ({"noise": "gaussian:0-0.5", "learn_from": "noisy"}, "range where one number"),
        ({"noise": "speckle", "learn_from": "noisy"}, "give it, as in 'speckle:0.2'"),
        ({"noise": "gaussian:0.1", "epochs": 1, "minutes": 1}, "not both"),
    ],
)
def test_settings_that_cannot_be(settings: dict, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        Denoiser(**settings).fit(TRAIN[:50])


def test_nan_is_named() -> None:
    X = TRAIN[:50].copy()
    X[31, 2, 3] = np.nan
    with pytest.raises(IsthmusError, match="31 holds NaN"):
        Denoiser("gaussian:0.1", **QUICK).fit(X)


@pytest.mark.parametrize(("size", "offset"), [(1e-12, 0), (1e12, 0), (1e-30, 0), (1.0, 1e12), (1e-12, 1.0)])
@pytest.mark.parametrize("how", ["clean", "noisy"])
def test_floats_of_any_size_are_cleaned_alike(size: float, offset: float, how: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clean = np.sin(np.arange(12)[:, None] / 3 + rng.random((16, 1, 12)))
    noisy = clean + 0.2 * rng.normal(size=clean.shape)
    found = []
    for s, o in [(1.0, 0.0), (size, offset)]:
        noise = f"gaussian:{0.2 * s:g}" if how == "clean" else None
        denoiser = Denoiser(noise, size="small", epochs=1, random_state=0, device="cpu")
        denoiser.fit((clean if how == "clean" else noisy) * s + o)
        cleaned, std = load(denoiser.save(tmp_path / f"{s}-{o}")).denoise(noisy * s + o, return_std=True)
        found.append(((cleaned - o) / s, std / s, float(denoiser.noise_.split(":")[1]) / s))
    for usual, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, usual, atol=2e-3)


@pytest.mark.parametrize("noise", ["gaussian:25", "gaussian:0-25", "poisson:30+gaussian:25"])
def test_a_level_in_grey_values_is_refused(noise: str) -> None:
    with pytest.raises(IsthmusError, match=r"gaussian:0\.098 is 25 of 255"):
        Denoiser(noise, **QUICK).fit(np.arange(512, dtype=np.uint8).reshape(2, 16, 16))
