"""What users of the latent space count on."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus import AutoEncoder, IsthmusError, datasets
from isthmus.latent.space import PathName

DIGITS = datasets.load("digits")


@pytest.fixture(scope="module")
def model() -> AutoEncoder:
    return AutoEncoder(latent_dim=6, epochs=15, random_state=0).fit(DIGITS.train.images)


@pytest.fixture(scope="module")
def codes(model: AutoEncoder) -> np.ndarray:
    return model.transform(DIGITS.train.images)


# Paths


@pytest.mark.parametrize("path", ["straight", "spherical", "geodesic"])
def test_a_path_leads_from_code_to_code(model: AutoEncoder, codes: np.ndarray, path: PathName) -> None:
    way = model.interpolate(codes[0], codes[1], steps=7, path=path)
    assert way.codes.shape == (7, 6) and way.codes.dtype == np.float32
    np.testing.assert_allclose(way.codes[[0, -1]], codes[:2], atol=1e-5)
    np.testing.assert_array_equal(way.samples, model.decode(way.codes))
    steps = np.diff(model.scale(way.samples.astype(np.uint8)).reshape(7, -1), axis=0)
    assert way.length == pytest.approx(np.linalg.norm(steps, axis=1).sum(), rel=0.02)  # rounded to bytes here


def test_a_geodesic_is_shorter_and_even(model: AutoEncoder, codes: np.ndarray) -> None:
    for a, b in ((0, 1), (2, 9), (5, 30)):
        straight = model.interpolate(codes[a], codes[b], steps=40)
        geodesic = model.interpolate(codes[a], codes[b], steps=40, path="geodesic")
        assert geodesic.length < straight.length


def test_a_geodesic_can_be_told_to_keep_to_the_data(model: AutoEncoder, codes: np.ndarray) -> None:
    pairs = codes[[[0, 1], [2, 9], [5, 30], [7, 11]]]
    free, kept = ([model.interpolate(start, end, path="geodesic", Z=Z) for start, end in pairs] for Z in (None, codes))
    assert sum(way.length for way in free) < sum(way.length for way in kept)
    with pytest.raises(IsthmusError, match="at least 20 of them"):
        model.interpolate(codes[0], codes[1], path="geodesic", Z=codes[:5])


def test_paths_between_spatial_codes_and_of_tables() -> None:
    spatial = AutoEncoder(latent_channels=2, epochs=2, random_state=0).fit(DIGITS.train.images[:200])
    table = AutoEncoder(latent_dim=2, epochs=2, random_state=0).fit(np.random.default_rng(0).normal(size=(100, 5)))
    for model in (spatial, table):
        start, end = np.random.default_rng(0).normal(size=(2, *model.code_shape_))
        way = model.interpolate(start, end, steps=3, path="geodesic")
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
        model.interpolate(a, b, path="geodesics")  # type: ignore[arg-type]


# Walks and grids


def test_a_walk_changes_one_number(model: AutoEncoder, codes: np.ndarray) -> None:
    walk = model.traverse(codes, 2, steps=5, reach=3)
    np.testing.assert_allclose(
        np.delete(walk.codes, 2, axis=1), np.tile(np.delete(codes.mean(0), 2), (5, 1)), atol=1e-5
    )
    mean, deviation = codes[:, 2].mean(), codes[:, 2].std()
    np.testing.assert_allclose(walk.codes[:, 2], mean + deviation * np.linspace(-3, 3, 5), rtol=1e-4)
    other = model.traverse(codes, 2, start=codes[7], steps=5, reach=3)
    np.testing.assert_allclose(other.codes[:, 2], walk.codes[:, 2], rtol=1e-4)
    np.testing.assert_allclose(np.delete(other.codes, 2, axis=1), np.tile(np.delete(codes[7], 2), (5, 1)), atol=1e-5)
    with pytest.raises(IsthmusError, match=r"dimension \(=6\) must be from 0 to 5, for z0 and so on"):
        model.traverse(codes, 6)


def test_a_grid_lies_where_the_codes_lie(model: AutoEncoder, codes: np.ndarray) -> None:
    grid = model.latent_grid(codes, size=5)
    assert grid.codes.shape == (5, 5, 6) and grid.samples.shape == (5, 5, 8, 8) and grid.samples.dtype == np.uint8
    assert len(np.linalg.svd(grid.codes.reshape(25, 6) - codes.mean(0), compute_uv=False).round(3).nonzero()[0]) == 2
    flat = AutoEncoder(latent_dim=2, epochs=1, random_state=0).fit(DIGITS.train.images)
    Z = flat.transform(DIGITS.train.images)
    corners = flat.latent_grid(Z, size=3).codes
    low, high = np.quantile(Z, (0.01, 0.99), axis=0)
    np.testing.assert_allclose([corners[0, 0], corners[2, 2]], [[low[0], high[1]], [high[0], low[1]]], rtol=1e-4)


# New samples


def test_samples_look_more_like_digits_than_codes_at_random_do(model: AutoEncoder, codes: np.ndarray) -> None:
    drawn = model.sample(100, model.fit_density(codes, random_state=0), random_state=0)
    assert drawn.shape == (100, 8, 8) and drawn.dtype == np.uint8
    box = np.random.default_rng(0).uniform(codes.min(0), codes.max(0), (100, 6))
    test = DIGITS.test.images.reshape(-1, 64).astype(float)

    def distance(samples: np.ndarray) -> float:
        return float(np.sqrt(np.square(test[None] - samples.reshape(100, 1, 64)).sum(-1)).min(1).mean())

    assert distance(drawn) < 0.95 * distance(model.decode(box))
    np.testing.assert_array_equal(drawn, model.sample(100, model.fit_density(codes, random_state=0), random_state=0))


def test_variational_codes_are_drawn_from_their_prior(model: AutoEncoder) -> None:
    variational = AutoEncoder(4, bottleneck="variational", epochs=2, random_state=0).fit(DIGITS.train.images)
    assert variational.sample(3, random_state=0).shape == (3, 8, 8)
    with pytest.raises(IsthmusError, match="only variational codes have a distribution of their own; fit one"):
        model.sample(3)
    with pytest.raises(IsthmusError, match=r"codes have shape \(3, 4\); this model decodes shape \(n_samples, 6\)"):
        model.sample(3, variational.fit_density(variational.transform(DIGITS.train.images)))


# Copies, and what lies off the manifold


def test_copies_of_the_training_data_are_found(model: AutoEncoder, codes: np.ndarray) -> None:
    copies = model.neighbours(DIGITS.train.images[:40], codes, k=3, held_out=DIGITS.test.images)
    np.testing.assert_array_equal(copies.indices[:, 0], np.arange(40))
    np.testing.assert_allclose(copies.ratios, 0, atol=1e-3)
    assert copies.memorised.all() and copies.copying < -3
    half = model.neighbours(DIGITS.test.images[:100], codes, held_out=DIGITS.test.images[100:])
    assert half.indices.shape == half.distances.shape == (100, 5)
    assert (np.diff(half.distances, axis=1) >= 0).all()
    assert half.memorised.mean() < 0.1 and abs(half.copying) < 3 and 0.5 < np.median(half.ratios) < 2
    among = model.neighbours(DIGITS.test.images[:100], codes)
    assert 0.5 < np.median(among.ratios) < 2
    with pytest.raises(IsthmusError, match="2000 neighbours were asked for among 1500 samples"):
        model.neighbours(DIGITS.test.images[:1], codes, k=2000)


def test_what_lies_off_the_manifold_is_far_from_it(model: AutoEncoder) -> None:
    train, test = DIGITS.train.images, DIGITS.test.images
    rng = np.random.default_rng(0)
    usual = model.off_manifold(test, train)
    noise = model.off_manifold(rng.permuted(test.reshape(len(test), -1), axis=1).reshape(test.shape), train)
    assert 0.7 < np.median(usual.error_ratio) < 1.5 and 0.7 < np.median(usual.distance_ratio) < 1.5
    assert np.median(noise.error_ratio) > 1.5
    squared = np.square(model.scale(test) - model.scale(model.reconstruct(test)))
    np.testing.assert_allclose(usual.error, np.sqrt(squared.mean(axis=(1, 2, 3))), atol=2e-3)  # rounded to bytes
    decoded = model.decode(model.transform(test) * 4)  # on the manifold, far from the data
    far = model.off_manifold(decoded, train)
    assert np.median(far.distance_ratio) > 1.5
