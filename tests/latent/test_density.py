"""Densities of codes: normalised, like the data, the same for the same seed, and kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isthmus import IsthmusError
from isthmus.latent import density
from isthmus.latent.density import CodeDensity, fit_density, load_density


def two_moons(n: int = 2_000) -> np.ndarray:
    from sklearn.datasets import make_moons

    return make_moons(n, noise=0.1, random_state=0)[0].astype(np.float32) * [3, 1] + [0, 50]


@pytest.fixture(scope="module", params=["mixture", "flow"])
def fitted(request: pytest.FixtureRequest) -> CodeDensity:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(density, "_STEPS", 300)
        return fit_density(two_moons(), request.param, random_state=0)


def test_the_density_integrates_to_one(fitted: CodeDensity) -> None:
    x, y = np.linspace(-8, 11, 250), np.linspace(47, 54, 200)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    mass = np.exp(fitted.score_samples(grid)).sum() * (x[1] - x[0]) * (y[1] - y[0])
    assert mass == pytest.approx(1, abs=0.03)


def test_it_knows_more_than_mean_and_covariance(fitted: CodeDensity) -> None:
    codes = two_moons()
    covariance = np.cov(codes.T)
    gaussian = -0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1] - 1  # mean log-density of codes under it
    assert fitted.score_samples(codes).mean() > gaussian + 0.5


def test_samples_have_the_moments_of_the_codes(fitted: CodeDensity) -> None:
    codes, drawn = two_moons(), fitted.sample(20_000, random_state=1)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.2)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.7)


def test_the_same_seed_draws_the_same(fitted: CodeDensity) -> None:
    np.testing.assert_array_equal(fitted.sample(5, random_state=3), fitted.sample(5, random_state=3))
    assert not np.array_equal(fitted.sample(5, random_state=3), fitted.sample(5, random_state=4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(density, "_STEPS", 30)
        twice = [fit_density(two_moons(), fitted.kind, random_state=7).sample(5, random_state=0) for _ in range(2)]
    np.testing.assert_array_equal(twice[0], twice[1])


def test_a_density_on_disk_is_the_same(fitted: CodeDensity, tmp_path: Path) -> None:
    loaded = load_density(fitted.save(tmp_path / "density.safetensors"))
    np.testing.assert_array_equal(loaded.sample(5, random_state=3), fitted.sample(5, random_state=3))
    assert (loaded.kind, loaded.code_shape) == (fitted.kind, (2,))


@pytest.mark.parametrize("kind", ["mixture", "flow", "prior"])
def test_spatial_codes_keep_their_shape(kind: density.DensityName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(density, "_STEPS", 20)
    codes = np.random.default_rng(0).normal(size=(200, 2, 2, 3)).astype(np.float32)
    codes[..., 0] = 4  # a dead channel
    fitted = fit_density(codes, kind, random_state=0)
    assert fitted.sample(7, random_state=0).shape == (7, 2, 2, 3)
    assert np.isfinite(fitted.score_samples(codes)).all()


def test_a_mixture_takes_as_many_gaussians_as_there_are_heaps() -> None:
    heaps = np.random.default_rng(0).normal(size=(4, 500, 3)) + 20 * np.eye(4)[:, None, :3]
    mixture = fit_density(heaps.reshape(-1, 3), random_state=0)
    assert isinstance(mixture, density.Mixture) and len(mixture.weights) == 4


def test_what_cannot_be_fitted_or_read_is_said(tmp_path: Path) -> None:
    codes = np.zeros((50, 2), np.float32)
    with pytest.raises(IsthmusError, match="unknown density 'mixtures'; did you mean 'mixture'"):
        fit_density(codes, "mixtures")  # type: ignore[arg-type]
    with pytest.raises(IsthmusError, match=r"shape \(5, 2\); a density needs at least 10 codes"):
        fit_density(codes[:5])
    with pytest.raises(IsthmusError, match="NaN"):
        fit_density(codes * np.nan)
    with pytest.raises(IsthmusError, match="at least 2 numbers"):
        fit_density(codes[:, :1], "flow")
    (tmp_path / "x").write_bytes(b"something else")
    with pytest.raises(IsthmusError, match="holds no density"):
        load_density(tmp_path / "x")
