"""What users of the latent space count on."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus import AutoEncoder, IsthmusError, datasets

DIGITS = datasets.load("digits")


@pytest.fixture(scope="module")
def model() -> AutoEncoder:
    return AutoEncoder(latent_dim=6, epochs=15, random_state=0).fit(DIGITS.train.images)


@pytest.fixture(scope="module")
def codes(model: AutoEncoder) -> np.ndarray:
    return model.transform(DIGITS.train.images)


# Paths


@pytest.mark.parametrize("path", ["straight", "spherical", "geodesic"])
def test_a_path_leads_from_code_to_code(model: AutoEncoder, codes: np.ndarray, path: str) -> None:
    way = model.interpolate(codes[0], codes[1], steps=7, path=path)
    assert way.codes.shape == (7, 6) and way.codes.dtype == np.float32 and len(way) == 7
    np.testing.assert_allclose(way.codes[[0, -1]], codes[:2], atol=1e-5)
    np.testing.assert_array_equal(way.samples, model.decode(way.codes))
    steps = np.diff(model.scale(way.samples.astype(np.uint8)).reshape(7, -1), axis=0)
    assert way.length == pytest.approx(np.linalg.norm(steps, axis=1).sum(), rel=0.02)  # rounded to bytes here
    np.testing.assert_array_equal(np.asarray(way), way.codes)


def test_a_geodesic_is_shorter_and_even(model: AutoEncoder, codes: np.ndarray) -> None:
    for a, b in ((0, 1), (2, 9), (5, 30)):
        straight = model.interpolate(codes[a], codes[b], steps=40)
        geodesic = model.interpolate(codes[a], codes[b], steps=40, path="geodesic")
        assert geodesic.length < straight.length


def test_paths_between_spatial_codes_and_of_tables() -> None:
    spatial = AutoEncoder(latent_channels=2, epochs=2, random_state=0).fit(DIGITS.train.images[:200])
    table = AutoEncoder(latent_dim=2, epochs=2, random_state=0).fit(np.random.default_rng(0).normal(size=(100, 5)))
    for model in (spatial, table):
        ends = np.random.default_rng(0).normal(size=(2, *model.code_shape_))
        way = model.interpolate(*ends, steps=3, path="geodesic")
        assert way.codes.shape == (3, *model.code_shape_)
        assert way.samples.shape == (3, *model.scaler_.sample_shape)


def test_what_is_no_code_is_refused(model: AutoEncoder, codes: np.ndarray) -> None:
    a, b = codes[:2]
    with pytest.raises(IsthmusError, match=r"start has shape \(8, 8\).*\(6,\): encode samples with transform"):
        model.interpolate(DIGITS.train.images[0], b)
    with pytest.raises(IsthmusError, match="end contains NaN"):
        model.interpolate(a, b * np.nan)
    with pytest.raises(IsthmusError, match=r"steps \(=1\) must be an integer of at least 2"):
        model.interpolate(a, b, steps=1)
    with pytest.raises(IsthmusError, match="unknown path 'geodesics'; did you mean 'geodesic'"):
        model.interpolate(a, b, path="geodesics")
