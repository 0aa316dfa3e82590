"""Corruptions: the moments that their levels promise, levels per sample, seeds and messages."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from isthmus.corruptions import ROW_REACH, Corruption
from isthmus.errors import IsthmusError
from isthmus.registry import corruptions

SPATIAL = {"blur", "block-masking", "rows"}
SHAPES = [(4, 1, 28, 28), (4, 3, 9, 14), (4, 2, 50), (4, 1, 6, 7, 8)]


def generator(seed: int = 0) -> Any:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", corruptions.names())
@pytest.mark.parametrize("shape", [*SHAPES, (4, 10)])
def test_every_corruption_keeps_shape_type_and_input(name: str, shape: tuple[int, ...]) -> None:
    if name in SPATIAL and len(shape) == 2:
        pytest.skip("spatial only")
    x = torch.rand(shape, generator=generator(1))
    before = x.clone()
    y = Corruption(name)(x, generator())
    assert y.shape == x.shape and y.dtype == x.dtype
    assert torch.equal(x, before) and not torch.equal(x, y) and torch.isfinite(y).all()
    assert torch.equal(y, Corruption(name)(x, generator()))  # the seed decides everything
    if name != "blur":
        assert not torch.equal(y, Corruption(name)(x, generator(5)))


@pytest.mark.parametrize("name", [name for name in corruptions if name != "poisson"])
def test_level_zero_changes_nothing(name: str) -> None:
    x = torch.rand((4, 2, 11, 12), generator=generator())
    assert torch.allclose(Corruption(f"{name}:0")(x, generator()), x, atol=1e-6)


@pytest.mark.parametrize("name", corruptions.names())
def test_global_generator_is_left_alone(name: str) -> None:
    state = torch.get_rng_state()
    Corruption(f"{name}:0.1-0.5")(torch.rand((3, 1, 8, 8), generator=generator()), generator())
    assert torch.equal(torch.get_rng_state(), state)


def test_gaussian_moments() -> None:
    noise = Corruption("gaussian:0.3")(torch.zeros(16, 1, 50, 50), generator())
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)  # negative values too: nothing is clipped
    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)


def test_poisson_moments() -> None:
    x = torch.full((16, 1, 50, 50), 0.4)
    y = Corruption("poisson:20")(x, generator())
    assert float(y.mean()) == pytest.approx(0.4, rel=0.01)
    assert float(y.var()) == pytest.approx(0.4 / 20, rel=0.05)
    assert torch.allclose(y * 20, torch.round(y * 20), atol=1e-4)


def test_salt_and_pepper_hits_all_channels_of_a_pixel() -> None:
    x = torch.full((16, 3, 40, 40), 0.5)
    y = Corruption("salt-and-pepper:0.2")(x, generator())
    assert torch.equal(y[:, 0], y[:, 1]) and torch.equal(y[:, 0], y[:, 2])
    assert float((y == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float((y == 1).float().mean()) == pytest.approx(0.1, abs=0.01)


def test_masking_fraction_by_pixel_and_by_cell() -> None:
    image = Corruption("masking:0.3")(torch.ones(16, 3, 40, 40), generator())
    assert torch.equal(image[:, 0], image[:, 1])
    assert float((image == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    table = Corruption("masking:0.3")(torch.ones(1000, 20), generator())
    assert float((table == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert len(table.unique(dim=0)) > 900  # cells are masked one by one


@pytest.mark.parametrize("shape", [(2000, 2, 24, 20), (2000, 1, 40), (1000, 1, 8, 8, 8)])
@pytest.mark.parametrize("fraction", [0.25, 0.7])
def test_block_masking_covers_every_pixel_with_the_same_probability(shape: tuple[int, ...], fraction: float) -> None:
    y = Corruption(f"block-masking:{fraction}")(torch.ones(shape), generator())
    assert torch.equal(y[:, 0], y[:, -1])
    covered = (y[:, 0] == 0).float().mean(0)
    assert float(covered.mean()) == pytest.approx(fraction, abs=0.02)
    assert float((covered - fraction).abs().max()) < 0.09


def test_block_masking_makes_blocks() -> None:
    y = Corruption("block-masking:0.3")(torch.ones(200, 1, 28, 28), generator())[:, 0]
    neighbours_agree = (y[:, :, 1:] == y[:, :, :-1]).float().mean()
    assert float(neighbours_agree) > 0.9  # independent pixels would agree 58 % of the time


def test_block_masking_of_everything() -> None:
    assert not Corruption("block-masking:1")(torch.ones(2, 1, 8, 8), generator()).any()


def test_blur_widens_a_point_to_the_asked_deviation() -> None:
    x = torch.zeros(1, 1, 61, 61)
    x[0, 0, 30, 30] = 1
    y = Corruption("blur:2.5")(x)[0, 0]
    place = torch.arange(61.0) - 30
    assert float(y.sum()) == pytest.approx(1, abs=1e-4)
    assert float((y.sum(0) * place**2).sum() ** 0.5) == pytest.approx(2.5, rel=0.01)
    assert float((y.sum(1) * place**2).sum() ** 0.5) == pytest.approx(2.5, rel=0.01)


def test_blur_leaves_constants_alone_up_to_the_border() -> None:
    assert torch.allclose(Corruption("blur:3")(torch.full((2, 3, 9, 30), 0.7)), torch.tensor(0.7))


def test_range_draws_a_level_for_each_sample() -> None:
    noise = Corruption("gaussian:0-0.6")(torch.zeros(400, 1, 30, 30), generator()).flatten(1).std(1)
    assert float(noise.mean()) == pytest.approx(0.3, abs=0.03)
    assert float(noise.min()) < 0.02 and float(noise.max()) > 0.55


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gausian", "did you mean 'gaussian'"),
        ("masking:1.5", "at most 1"),
        ("masking:30", "at most 1"),
        ("poisson:0", "above 0"),
        ("gaussian:0.5-0.1", "backwards"),
    ],
)
def test_impossible_levels(text: str, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        Corruption(text)


@pytest.mark.parametrize("name", sorted(SPATIAL))
def test_spatial_corruptions_refuse_tables(name: str) -> None:
    with pytest.raises(IsthmusError, match=r"images or signals.*\(5, 7\)"):
        Corruption(name)(torch.rand(5, 7), generator())


def test_poisson_refuses_standardised_tables() -> None:
    with pytest.raises(IsthmusError, match="standardised"):
        Corruption("poisson")(torch.randn((5, 7), generator=generator()), generator())


def test_speckle_grows_with_the_signal() -> None:
    x = torch.ones(1, 1, 200, 400)
    x[..., 200:] = 3.0
    noise = Corruption("speckle:0.2")(x, generator()) - x
    assert float(noise[..., :200].std()) == pytest.approx(0.2, rel=0.03)
    assert float(noise[..., 200:].std()) == pytest.approx(0.6, rel=0.03)


def test_rows_are_correlated_within_their_reach_and_not_beyond() -> None:
    noise = Corruption("rows:0.3")(torch.zeros(4, 1, 300, 300), generator())
    power = float((noise**2).mean())
    assert power**0.5 == pytest.approx(0.3, rel=0.03)
    along = [float((noise[..., k:] * noise[..., :-k]).mean()) / power for k in range(1, ROW_REACH + 2)]
    assert along[:ROW_REACH] == pytest.approx([1 - k / (ROW_REACH + 1) for k in range(1, ROW_REACH + 1)], abs=0.02)
    assert along[ROW_REACH] == pytest.approx(0, abs=0.02)
    assert float((noise[..., 1:, :] * noise[..., :-1, :]).mean()) / power == pytest.approx(0, abs=0.02)


def test_corruptions_follow_one_another() -> None:
    x = torch.rand((64, 1, 40, 40), generator=generator())
    noise = Corruption("poisson:30+gaussian:0.1")(x, generator()) - x
    assert float((noise**2).mean()) == pytest.approx(float(x.mean()) / 30 + 0.01, rel=0.03)
    with pytest.raises(IsthmusError, match="gausian"):
        Corruption("poisson:30+gausian:0.1")


def test_salt_and_pepper_are_the_ends_of_the_range() -> None:
    x = torch.full((1, 1, 50, 50), 200.0)
    y = Corruption("salt-and-pepper:0.5", ends=(100.0, 300.0))(x, generator())
    assert y.unique().tolist() == [100.0, 200.0, 300.0]


def test_summaries_are_sentences() -> None:
    for name in corruptions:
        assert corruptions.summary(name).endswith(".")
