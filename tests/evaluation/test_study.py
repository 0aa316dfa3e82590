"""What is measured for the report: layouts, classes, directions of the code, bounded cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isthmus.errors import IsthmusError
from isthmus.evaluation import study as module
from isthmus.evaluation.directions import STEPS, code_directions, code_grid, code_plane
from isthmus.evaluation.study import network_layout, study


@pytest.mark.parametrize(
    ("scaled", "sample_shape", "expected"),
    [
        ((5, 1, 8, 9), (8, 9), (5, 1, 8, 9)),  # a convolutional network's layout is kept
        ((5, 72), (8, 9), (5, 1, 8, 9)),  # a dense network saw rows
        ((5, 216), (8, 9, 3), (5, 3, 8, 9)),
        ((5, 360), (5, 8, 9), (5, 1, 5, 8, 9)),
        ((5, 80), (40, 2), (5, 2, 40)),
        ((5, 80), (2, 40), (5, 2, 40)),
        ((5, 120), (2, 3, 4, 5), (5, 2, 3, 4, 5)),  # volumes with channels
        ((5, 120), (2, 1, 3, 4, 5), (5, 120)),  # too many dimensions to draw
        ((5, 72), (72,), (5, 72)),
    ],
)
def test_network_layout(scaled: Any, sample_shape: Any, expected: Any) -> None:
    samples = np.arange(np.prod(scaled), dtype=np.float32).reshape(scaled)
    assert network_layout(samples, sample_shape).shape == expected


def test_colours_of_flat_images_stay_with_their_pixels() -> None:
    images = np.random.default_rng(0).random((2, 6, 7, 3), dtype=np.float32)
    assert np.array_equal(network_layout(images.reshape(2, -1), (6, 7, 3)), np.moveaxis(images, -1, 1))


def test_figures_are_those_of_the_model(stand_in: Any, digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    model = stand_in(images[:1500], 6)
    found = study(model, train=images[:1500], test=images[1500:], labels=labels[1500:])
    rebuilt = model.scale(model.inverse_transform(model.transform(images[1500:])))
    expected = np.square(rebuilt - model.scale(images[1500:])).mean()
    assert found.metrics.mse == pytest.approx(expected, rel=1e-5)
    assert found.metrics.mse == pytest.approx(found.pca_metrics.mse, rel=1e-3)  # the stand-in is PCA
    assert found.code_size == 6 and found.sample_bytes == 64 and found.kind == "images"
    assert found.classes.names == tuple("0123456789")


def test_cost_is_bounded(stand_in: Any, digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TEST", 40)
    monkeypatch.setattr(module, "MOST_TRAIN", 60)
    images, labels = digits
    found = study(stand_in(images), train=images, test=images, labels=labels)
    assert len(found.errors) == len(found.classes.index) == 40
    assert (found.samples_given, found.pca_samples) == (1797, 60)
    again = study(stand_in(images), train=images, test=images, labels=labels)
    assert np.array_equal(found.errors, again.errors)


@pytest.mark.parametrize(
    ("labels", "class_names", "expected"),
    [
        ([0, 1, 1, 0], ["no", "yes"], ("no", "yes")),
        ([3, 7, 7, 3], {3: "three"}, ("three", "7")),
        (["b", "a", "a", "b"], None, ("a", "b")),
        ([0, 1, 5, -1], ["no", "yes"], ("-1", "no", "yes", "5")),
    ],
)
def test_class_names(
    stand_in: Any, digits: tuple[np.ndarray, np.ndarray], labels: Any, class_names: Any, expected: Any
) -> None:
    images = digits[0][:4]
    found = study(stand_in(images, 2), train=images, test=images, labels=labels, class_names=class_names)
    assert found.classes.names == expected


def test_labels_that_do_not_match(stand_in: Any, digits: tuple[np.ndarray, np.ndarray]) -> None:
    images = digits[0][:4]
    with pytest.raises(IsthmusError, match=r"\(3,\).*4 samples"):
        study(stand_in(images), train=images, test=images, labels=[1, 2, 3])


def linear_decoder(gains: Any) -> Any:
    """A decoder whose output k is code k times a gain, so that everything is known."""
    return lambda codes: (codes * np.asarray(gains, np.float32)).astype(np.float32)


def test_directions_are_sorted_by_what_they_change() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 3)).astype(np.float32) * [1, 5, 1]
    found = code_directions(codes.astype(np.float32), linear_decoder([1, 1, 0]), flat=True, rng=rng)
    assert [d.name for d in found.top] == ["z1", "z0"]  # z2 does nothing
    assert found.importances[0] == pytest.approx(2 * 5 / 3, rel=0.1) and found.importances[2] == 0
    assert found.top[0].moved == pytest.approx([0, 10, 0], rel=0.1, abs=1e-5)
    assert found.top[0].walk.shape == (len(STEPS), 3)
    assert found.top[0].walk[:, 1] == pytest.approx(STEPS * codes[:, 1].std() + codes[:, 1].mean(), rel=1e-3)


def test_spatial_and_large_codes_are_walked_along_principal_directions() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(300, 2)) * [10, 1]
    codes = (hidden @ np.linalg.qr(rng.normal(size=(40, 2)))[0].T).astype(np.float32)
    found = code_directions(codes, lambda z: z, flat=False, rng=rng)
    assert found.top[0].name == "direction 1" and len(found.top) == 8
    assert found.importances[1] < 0.3 * found.importances[0]


@pytest.mark.parametrize("codes", [np.zeros((50, 3)), np.ones((2, 3))])
def test_codes_without_spread_have_no_directions(codes: np.ndarray) -> None:
    found = code_directions(codes.astype(np.float32), lambda z: z, flat=True, rng=np.random.default_rng(0))
    assert found.top == () and code_grid(codes[:, :2].astype(np.float32), lambda z: z) is None


def test_plane() -> None:
    rng = np.random.default_rng(0)
    codes, errors = rng.normal(size=(30, 5)).astype(np.float32), rng.random(30)
    assert np.array_equal(code_plane(codes[:, :2], errors, True)[0], codes[:, :2])
    assert np.array_equal(code_plane(codes[:, :1], errors, True)[0][:, 1], errors)
    points, names = code_plane(codes, errors, True)
    assert points.shape == (30, 2) and "principal component 1" in names[0]
    grid = code_grid(codes[:, :2], lambda z: z)
    assert grid[0][0] == grid[:, 0].min() and grid[0][1] == grid[:, 1].max()  # the top left corner
