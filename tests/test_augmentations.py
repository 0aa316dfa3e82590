"""Augmentations: another view of the same sample, from an explicit generator; what they are for, codes that help."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from isthmus import AutoEncoder, IsthmusError, datasets
from isthmus.registry import augmentations

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "warp": [(64, 1, 9, 12), (64, 3, 8, 8), (64, 2, 30), (64, 1, 6, 7, 8)],
    "exchange": [(64, 7)],
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name in augmentations for shape in SHAPES[name]])
def test_every_augmentation_keeps_shape_range_and_input(name: str, shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, generator=seeded())
    before = x.clone()
    changed = augmentations[name](x, seeded(1))
    assert changed.shape == x.shape and changed.dtype == x.dtype
    assert changed.min() >= x.min() and changed.max() <= x.max()
    assert torch.equal(x, before)
    assert torch.equal(changed, augmentations[name](x, seeded(1)))
    assert not torch.equal(changed, augmentations[name](x, seeded(2)))
    moved = (changed - x).flatten(1).abs().sum(1)
    assert (moved > 0).float().mean() > 0.8 and moved.std() > 0  # nearly every sample, each in its own way


def test_what_does_not_suit_the_data_is_refused() -> None:
    with pytest.raises(IsthmusError, match="'warp' moves pixels"):
        augmentations["warp"](torch.rand(4, 5), seeded())
    with pytest.raises(IsthmusError, match="'exchange' swaps cells of tables"):
        AutoEncoder(4, consistency="exchange", epochs=1).fit(datasets.load("digits").train.images[:50])


def test_exchanged_cells_come_from_their_own_column() -> None:
    x = torch.arange(5.0) * 100 + torch.rand(200, 5, generator=seeded())
    changed = augmentations["exchange"](x, seeded(1))
    assert torch.equal((changed / 100).floor(), (x / 100).floor())
    assert 0.2 < float((changed != x).float().mean()) < 0.4


@pytest.mark.slow
def test_consistent_codes_are_the_better_features() -> None:
    digits = datasets.load("digits")
    accuracy = {None: 0.0, "warp:0.05": 0.0}
    for consistency, seed in itertools.product(accuracy, range(3)):  # one seed says little, and processors differ
        model = AutoEncoder(6, consistency=consistency, epochs=20, random_state=seed).fit(digits.train.images)
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        probe.fit(model.transform(digits.train.images), digits.train.labels)
        accuracy[consistency] += probe.score(model.transform(digits.test.images), digits.test.labels) / 3
    assert accuracy["warp:0.05"] > accuracy[None] + 0.01


def test_partial_fit_goes_on_with_the_same_projector() -> None:
    images = datasets.load("digits").train.images[:100]
    model = AutoEncoder(4, consistency="warp", random_state=0)
    for _ in range(3):
        model.partial_fit(images)
    assert len(model.history_) == 3 and np.isfinite(model.transform(images)).all()
