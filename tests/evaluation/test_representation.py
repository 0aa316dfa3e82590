"""What features are worth, and a code beside PCA and the raw data."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError
from isthmus.evaluation import evaluate_representation
from isthmus.evaluation.features import (
    clustering,
    dead_dimensions,
    effective_rank,
    intrinsic_dimension,
    linear_probe,
    nearest_neighbours,
    spectrum,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_intrinsic_dimension_of_a_curved_sheet(dimension: int, rng: np.random.Generator) -> None:
    inside = rng.uniform(-1, 1, (1500, dimension))
    sheet = np.concatenate([np.sin(inside), np.cos(2 * inside), inside @ rng.normal(size=(dimension, 9))], axis=1)
    copies = np.concatenate([sheet, sheet[:500]])  # which have no distance to a first neighbour
    assert intrinsic_dimension(copies) == pytest.approx(dimension, rel=0.12)


def test_intrinsic_dimension_of_almost_nothing(rng: np.random.Generator) -> None:
    assert intrinsic_dimension(np.zeros((100, 3))) is None
    assert intrinsic_dimension(rng.normal(size=(10, 3))) is None
    assert intrinsic_dimension(np.arange(100.0)[:, None]) is None  # every neighbour is equally far


def test_effective_rank_counts_directions(rng: np.random.Generator) -> None:
    isotropic = rng.normal(size=(4000, 6))
    turned = isotropic @ rng.normal(size=(6, 6))
    assert effective_rank(spectrum(isotropic)) == pytest.approx(6, abs=0.02)
    assert effective_rank(spectrum(np.repeat(turned[:, :1], 6, axis=1))) == pytest.approx(1, abs=0.01)
    assert effective_rank(spectrum(np.ones((50, 4)))) == 0
    singular = np.linalg.svd(turned - turned.mean(0), compute_uv=False)
    np.testing.assert_allclose(spectrum(turned), singular / singular.sum())
    wide = spectrum(turned[:5])  # fewer samples than features
    singular = np.linalg.svd(turned[:5] - turned[:5].mean(0), compute_uv=False)
    np.testing.assert_allclose(wide, singular / singular.sum(), atol=1e-8)


def test_dead_dimensions(rng: np.random.Generator) -> None:
    features = rng.normal(size=(1000, 5)) * [1, 0.1, 1e-3, 0, 1]
    assert dead_dimensions(features) == 2


def test_probe_neighbours_and_clusters_of_classes_and_of_numbers(rng: np.random.Generator) -> None:
    names, centers = np.array(["ash", "oak", "yew"]), 6 * np.eye(3)
    labels = rng.integers(0, 3, 300)
    features, text = centers[labels] + rng.normal(size=(300, 3)), names[labels]
    parts = (features[:200], text[:200], features[200:], text[200:])
    assert linear_probe(*parts) > 0.97 and nearest_neighbours(*parts) > 0.97
    assert min(clustering(features, text)) > 0.9 > 0.1 > max(clustering(rng.normal(size=(300, 3)), text))
    target = features @ [1.5, -2.0, 0.3] + 0.1 * rng.normal(size=300)
    parts = (features[:200], target[:200], features[200:], target[200:])
    assert linear_probe(*parts) > nearest_neighbours(*parts) > 0.9


def test_a_code_that_is_pca_is_worth_what_pca_is(digits: tuple[np.ndarray, np.ndarray], stand_in: Any) -> None:
    X, y = digits
    model = stand_in(X[:1000], 6)
    found = evaluate_representation(model, X[1000:], y[1000:], train=X[:1000], y_train=y[:1000])
    assert (found.labels, found.classes, found.fitted, found.judged, found.given) == (
        "classes",
        10,
        1000,
        797,
        (1000, 797),
    )
    for name in ("linear_probe", "nearest_neighbours", "trustworthiness", "continuity", "effective_rank", "dead"):
        assert getattr(found.code, name) == pytest.approx(getattr(found.pca, name), abs=0.02), name
    assert found.code.reconstruction == pytest.approx(found.pca.reconstruction, rel=0.02)
    assert found.raw.linear_probe > found.pca.linear_probe > 0.7
    assert (found.code.size, found.raw.size, found.raw.reconstruction, found.raw.trustworthiness) == (6, 64, None, None)
    values = json.loads(json.dumps(found.to_dict()))
    assert values["code"]["nmi"] == found.code.nmi and "spectrum" not in values["code"]


def test_one_source_is_split_and_a_large_one_is_sampled(digits: tuple[np.ndarray, np.ndarray], stand_in: Any) -> None:
    X, y = digits
    model = stand_in(X, 4)
    first, again = (evaluate_representation(model, X, y, most=300) for _ in range(2))
    assert (first.fitted, first.judged, first.given) == (300, 300, (898, 899))
    assert first == again
    assert first != evaluate_representation(model, X, y, most=300, random_state=1)


@pytest.mark.parametrize("kind", ["images", "colour", "volumes", "signals", "table", "wide"])
def test_every_kind_of_data_without_labels(kind: str, kinds: dict[str, Any], stand_in: Any) -> None:
    X, settings = kinds[kind]
    found = evaluate_representation(stand_in(X, **settings), X)
    assert all(part is None for part in (found.labels, found.classes, found.code.linear_probe, found.code.nmi))
    assert found.code.reconstruction > 0 and found.code.effective_rank > 1


def test_spatial_codes_and_labels_that_are_numbers(digits: tuple[np.ndarray, np.ndarray], stand_in: Any) -> None:
    X = digits[0][:600]
    ink = X.reshape(600, -1).mean(1) / 255
    found = evaluate_representation(stand_in(X, 8, spatial=(2, 2, 2)), X, ink)
    assert found.labels == "numbers" and found.classes is found.code.nmi is None
    assert found.code.size == 8 and found.raw.linear_probe > 0.99 > found.code.linear_probe > 0.1


def test_labels_that_say_nothing(digits: tuple[np.ndarray, np.ndarray], stand_in: Any) -> None:
    X = digits[0][:100]
    assert evaluate_representation(stand_in(X), X, np.zeros(100)).labels is None


@pytest.mark.parametrize(
    ("y", "train", "message"),
    [
        (np.arange(7), None, r"shape \(7,\); one for each sample is needed: \(40,\)"),
        (np.full(40, np.nan), None, "NaN"),
        (np.arange(40) % 3, np.zeros((9, 8, 8), np.uint8), "array has labels and .* has none; give both, or leave"),
    ],
)
def test_one_clear_line(y: Any, train: Any, message: str, digits: tuple[np.ndarray, np.ndarray], stand_in: Any) -> None:
    X = digits[0][:40]
    with pytest.raises(IsthmusError, match=message):
        evaluate_representation(stand_in(X), open_source(X), y, train=train)


def test_too_few_samples(digits: tuple[np.ndarray, np.ndarray], stand_in: Any) -> None:
    X = digits[0][:3]
    with pytest.raises(IsthmusError, match="3 samples; to fit on half of them takes at least 4"):
        evaluate_representation(stand_in(X), X)
