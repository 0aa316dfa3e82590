"""What training sees is what coding sees: the same features, and bits that are those of real archives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.compression import lossy_network
from isthmus.compression.coding import codes as coding
from isthmus.compression.coding.context import Canvas, Context
from isthmus.compression.coding.exact import SUBLEVEL, UNIT, Tables
from isthmus.compression.lossy_network import LossyNetwork, RateNetwork
from isthmus.compression.patches import PatchNetwork

CONTEXTS = [Context(np.zeros((0, 2), np.int32)), Context.disk(1.5, 2), Context.disk(2.3, 3), Context.disk(7.2, 8)]


def random_codes(n: int, height: int, width: int, channels: int, seed: int, spread: float = 60.0) -> np.ndarray:
    """Whole numbers within ±126, (n, height, width, channels)."""
    values = np.random.default_rng(seed).normal(0, spread, (n, height, width, channels))
    return np.rint(values).clip(-126, 126).astype(np.int16)


@settings(max_examples=100, deadline=None)
@given(
    context=st.sampled_from(CONTEXTS),
    n=st.integers(1, 3),
    height=st.integers(1, 11),
    width=st.integers(1, 13),
    channels=st.integers(1, 5),
    quality=st.integers(0, coding.QUALITIES),
    seed=st.integers(0, 10**6),
)
def test_features_are_the_same_in_training_and_in_coding(
    context: Context, n: int, height: int, width: int, channels: int, quality: int, seed: int
) -> None:
    grids = random_codes(n, height, width, channels, seed)
    canvas = Canvas(np.broadcast_to((height, width), (n, 2)), channels, context, 0)
    for number, grid in enumerate(grids):
        canvas.view(number)[...] = grid
    wave = canvas.wave()
    coded = coding.features(canvas, wave, quality)
    values = canvas.values[wave.positions]
    back = np.lexsort((wave.column, wave.row, wave.image))  # from the order of coding to rows of pixels

    rate = RateNetwork(context, channels, 1, 4)
    tensor = torch.from_numpy(grids.astype(np.float32)).permute(0, 3, 1, 2)
    trained = rate.features(tensor, torch.full((n,), quality / coding.QUALITIES))
    known = tensor.permute(0, 2, 3, 1).reshape(-1, channels)
    for count in range(channels):
        ours = lossy_network.with_known(trained, known, count).numpy() * coding.FEATURE_UNIT
        np.testing.assert_array_equal(ours, coding.with_known(coded, values, count)[back])


def test_what_cleans_has_a_strength_for_each_quality() -> None:
    """A quality for all images, as when they are read, gives what one for each gives, as in training."""
    patches = np.random.default_rng(0).random((300, 3, 4, 4), np.float32)
    plain, network = (PatchNetwork(3, 4, 6, 5, patches, strengths=count) for count in (0, 3))
    assert plain.strengths is None and network.strengths is not None
    codes = torch.from_numpy(random_codes(2, 6, 5, 6, 0, 2.0).astype(np.float32)).permute(0, 3, 1, 2)
    quality = torch.tensor([0.3, 0.3])
    whole, simple = LossyNetwork(network, 6), LossyNetwork(plain, 6)
    expected = simple.reconstruct(codes, quality, (23, 18))
    torch.testing.assert_close(whole.reconstruct(codes, quality, (23, 18)), expected)  # it starts as nothing
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    each = network.decode(codes, (23, 18), network.strengths[[0, 0]])
    torch.testing.assert_close(network.decode(codes, (23, 18), network.strengths[[0]]), each)
    assert (network.decode(codes, (23, 18), network.strengths[[2]]) - each).abs().max() > 1e-3
    torch.testing.assert_close(
        whole.reconstruct(codes, quality[:1], (23, 18)), whole.reconstruct(codes, quality, (23, 18))
    )


@pytest.mark.parametrize(("context", "channels", "groups"), [(CONTEXTS[0], 8, 3), (CONTEXTS[2], 5, 2)])
def test_the_rate_of_training_is_what_coding_takes(context: Context, channels: int, groups: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rate = RateNetwork(context, channels, groups, 16)
    for parameter in rate.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    grids = random_codes(6, 12, 10, channels, 0, spread=2.0)
    tensor = torch.from_numpy(grids.astype(np.float32)).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = float(rate(tensor, tensor, torch.full((6,), 0.6)).sum()) / math.log(2) / 8
    config = {"window": context.offsets.tolist(), "channels": channels, "groups": rate.sizes}
    data = coding.CodesCoding(config, rate.export(UNIT, SUBLEVEL), Tables.make()).encode(grids, round(0.6 * 255))
    assert len(data) == pytest.approx(expected, rel=0.02)
