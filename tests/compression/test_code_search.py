"""Codes that are searched for cost less than the nearest ones, in bits and error together, and read like any others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from isthmus import Codec
from isthmus.compression.code_search import ROUNDS
from isthmus.compression.coding.context import Context
from isthmus.compression.coding.exact import SUBLEVEL, UNIT
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.lossy_network import RateNetwork
from isthmus.compression.patches import PatchNetwork


@pytest.mark.parametrize("patch", [1, 3, 4, 8])
def test_patches_of_pixels_are_what_a_transposed_convolution_gives(patch: int) -> None:
    generator = torch.Generator().manual_seed(patch)
    network = PatchNetwork(3, patch, 5, 4)
    for tensor in (network.components, network.synthesis.data):
        tensor.normal_(generator=generator)
    y = torch.randn((2, 5, 4, 6), generator=generator)
    with torch.no_grad():
        kernels = F.pad(network.components, (4,) * 4) + 0.15 * network.synthesis
        expected = F.conv_transpose2d(y, kernels, stride=patch, padding=4) + network.mean[:, None, None]
        torch.testing.assert_close(network.decode(y, expected.shape[2:]), expected)  # the repair begins as nothing


def test_a_rate_network_comes_back_from_what_it_exports() -> None:
    torch.manual_seed(0)
    context = Context.disk(2.3, 3)
    rate, back = (RateNetwork(context, 7, 3, 16) for _ in range(2))
    back.restore(rate.export(UNIT, SUBLEVEL), UNIT, SUBLEVEL)
    codes, quality = torch.randint(-9, 10, (2, 7, 6, 5)).float(), torch.tensor([0.2, 0.9])
    with torch.no_grad():
        torch.testing.assert_close(back(codes, codes, quality), rate(codes, codes, quality))


@pytest.fixture(scope="module")
def model() -> tuple[CodecModel, np.ndarray]:
    """A codec of photographs, and some that it has not seen."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    waves = 60 * np.sin(x / rng.uniform(3, 15, (12, 1, 1)) + y / rng.uniform(3, 15, (12, 1, 1)))
    pixels = (128 + waves + rng.normal(0, 6, (12, 96, 96))).clip(0, 255).astype(np.uint8)
    return Codec("lossy", epochs=30, random_state=0).fit(pixels[:10]).model_, pixels[10:]


@pytest.mark.parametrize(("place", "most"), [(0.1, 0.999), (0.5, 0.995), (0.9, 0.995)])
def test_what_is_searched_for_costs_less(
    model: tuple[CodecModel, np.ndarray], place: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    (codec, images), costs = model, []
    coding: Any = codec.coding
    low, high = codec.config["lambdas"]
    for rounds in (0, ROUNDS):
        monkeypatch.setattr("isthmus.compression.code_search.ROUNDS", rounds)
        data, check = coding.encode(images, place)
        back = coding.decode(data, images.shape, check)
        error = float(((back.astype(float) - images) ** 2).mean()) / 255**2
        costs.append(8 * len(data) / images.size + low * (high / low) ** place * error)
        assert coding.encode(images, place) == (data, check)
    assert costs[1] < most * costs[0]


def test_models_for_another_aim_or_an_unknown_one_take_the_nearest(
    model: tuple[CodecModel, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, images = model
    coding: Any = codec.coding
    monkeypatch.setattr("isthmus.compression.code_search.ROUNDS", 0)
    nearest = coding.encode(images, 0.5)
    monkeypatch.undo()
    assert coding.encode(images, 0.5) != nearest
    unknown = {key: value for key, value in codec.config.items() if key != "objective"}
    for config in (unknown, {**unknown, "objective": "ms-ssim"}):
        coding = CodecModel(codec.kind, config, codec.tensors).coding
        assert coding.encode(images, 0.5) == nearest


def test_small_images_are_never_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when they are compressed nor while it is measured which of two networks is better: that takes long."""
    monkeypatch.setattr("isthmus.compression.code_search.CodeSearch.of", lambda *anything: pytest.fail("a search"))
    images = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    codec = Codec("lossy", epochs=1, random_state=0).fit(images)
    for quality in (1, 100):
        assert codec.decompress(codec.compress(images, quality=quality)).shape == images.shape
