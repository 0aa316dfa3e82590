"""Maps: neighbourhoods kept better than by PCA, new samples placed, and any place turned back into data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

import isthmus
from isthmus import IsthmusError, ManifoldMap, datasets
from isthmus.data.neighbour_graph import neighbour_graph
from isthmus.evaluation.neighbourhood_preservation import neighbourhood_scores

DIGITS = datasets.load("digits")
TRAIN, TEST = DIGITS.train.images, DIGITS.test.images


@pytest.fixture(scope="module")
def of_few() -> ManifoldMap:
    return ManifoldMap(epochs=60, hidden=(128,) * 3, random_state=0).fit(TRAIN)


@pytest.fixture(scope="module")
def manifold() -> ManifoldMap:
    """As of many samples: by an encoder with layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isthmus.manifold.manifold_map._FEW", 0)
        return ManifoldMap(epochs=20, hidden=(256,) * 5, random_state=0).fit(TRAIN)


def test_it_keeps_neighbourhoods_and_decodes_better_than_pca(manifold: ManifoldMap) -> None:
    assert_better_than_pca(manifold, trustworthiness=0.91)
    assert "encoder" not in manifold.describe()


def test_few_samples_keep_more_neighbourhoods_than_layers_can(of_few: ManifoldMap) -> None:
    assert_better_than_pca(of_few, trustworthiness=0.945, accuracy=0.92)  # layers: 0.913 and less
    assert of_few.describe()["encoder"].startswith(
        "the 10 nearest of 1,500 samples, which the model keeps as 64 numbers"
    )


@pytest.mark.slow
def test_more_epochs_keep_more_neighbourhoods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.manifold.manifold_map._FEW", 0)
    longer = ManifoldMap(epochs=60, hidden=(256,) * 5, random_state=0).fit(TRAIN)
    assert_better_than_pca(longer, trustworthiness=0.93)


def assert_better_than_pca(manifold: ManifoldMap, trustworthiness: float, accuracy: float = 0.85) -> None:
    rows, new = TRAIN.reshape(len(TRAIN), -1), TEST.reshape(len(TEST), -1)
    pca = PCA(2).fit(rows)
    flat = neighbourhood_scores(TEST, pca.transform(new))
    ours = manifold.neighbourhood_scores(TEST)
    assert ours.trustworthiness > trustworthiness > flat.trustworthiness
    assert ours.continuity > flat.continuity
    assert manifold.score(TEST) == pytest.approx((ours.trustworthiness + ours.continuity) / 2)
    places = KNeighborsClassifier(5).fit(manifold.transform(TRAIN), DIGITS.train.labels)
    assert places.score(manifold.transform(TEST), DIGITS.test.labels) > accuracy
    errors = [
        ((np.float64(rebuilt) - new) ** 2).mean()
        for rebuilt in (
            manifold.reconstruct(TEST).reshape(new.shape),
            pca.inverse_transform(pca.transform(new)),
        )
    ]
    assert errors[0] < 0.9 * errors[1]


@pytest.mark.parametrize("which", ["of_few", "manifold"])
def test_a_map_has_a_handy_size_and_a_decoder_of_the_data_s_kind(which: str, request: pytest.FixtureRequest) -> None:
    manifold = request.getfixturevalue(which)
    Z = manifold.transform(TEST)
    assert Z.shape == (len(TEST), 2) and Z.dtype == np.float32
    assert 0.3 < Z.std() < 10
    rebuilt = manifold.inverse_transform(Z[:3])
    assert rebuilt.shape == (3, 8, 8) and rebuilt.dtype == np.uint8


def test_the_seed_makes_the_map(tmp_path: Path) -> None:
    maps = [ManifoldMap(epochs=3, hidden=(32,), random_state=seed).fit(TRAIN[:200]) for seed in (1, 1, 2)]
    first, again, other = (m.transform(TEST) for m in maps)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize(("which", "layers"), [("of_few", 3), ("manifold", 5)])
def test_saved_and_loaded_it_is_the_same(
    which: str, layers: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    manifold = request.getfixturevalue(which)
    manifold.save(tmp_path / "map")
    loaded = isthmus.load(tmp_path / "map")
    assert isinstance(loaded, ManifoldMap)
    assert loaded.get_params()["hidden"] == [manifold.hidden[0]] * layers
    assert np.array_equal(loaded.transform(TEST), manifold.transform(TEST))
    assert np.array_equal(loaded.reconstruct(TEST[:5]), manifold.reconstruct(TEST[:5]))


def test_tables_and_any_number_of_components() -> None:
    rng = np.random.default_rng(0)
    t = rng.uniform(0, 3 * np.pi, 400)
    roll = np.stack([t * np.cos(t), rng.uniform(0, 10, 400), t * np.sin(t)], axis=1)
    manifold = ManifoldMap(3, epochs=2, hidden=(32,), random_state=0).fit(roll)
    assert manifold.transform(roll).shape == (400, 3)
    assert manifold.inverse_transform(np.zeros((1, 3))).shape == (1, 3)
    line = ManifoldMap(2, epochs=1, hidden=(8,), random_state=0).fit(roll[:7, :1])  # fewer samples than neighbours
    assert line.transform(roll[:, :1]).shape == (400, 2)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_components": 0}, r"n_components \(=0\) must be an integer of at least 1"),
        ({"n_neighbors": 2.5}, r"n_neighbors \(=2.5\) must be an integer"),
        ({"reconstruction": -1}, r"reconstruction \(=-1\) must be a number of at least 0"),
        ({"epochs": 1, "minutes": 1}, r"give epochs \(=1\) or minutes \(=1\), not both"),
    ],
)
def test_wrong_parameters(params: dict, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        ManifoldMap(**params).fit(TRAIN[:50])


def test_one_sample_makes_no_map() -> None:
    with pytest.raises(IsthmusError, match="at least 2 samples"):
        ManifoldMap().fit(TRAIN[:1])


def test_a_map_of_more_samples_than_it_learns_from_places_all(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = []

    def noted(rows: np.ndarray, k: int) -> np.ndarray:
        graphs.append(neighbour_graph(rows, k))
        return graphs[-1]

    monkeypatch.setattr("isthmus.manifold.manifold_map._MOST_SAMPLES", 300)
    monkeypatch.setattr("isthmus.manifold.manifold_map.neighbour_graph", noted)
    codes = ManifoldMap(epochs=1, hidden=(32,), random_state=0).fit_transform(TRAIN)
    assert [graph.shape for graph in graphs] == [(300, 15)]
    assert codes.shape == (1500, 2) and np.isfinite(codes).all()
