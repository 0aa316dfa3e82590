"""Codecs with random weights: coding must be exact whatever the weights are, and none of this waits for training."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch

from isthmus.compression.coding import continuous_tone, plain_background
from isthmus.compression.coding.context import Context
from isthmus.compression.coding.exact import SUBLEVEL, UNIT
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.range_coder import Statics
from isthmus.compression.lossy_learning import joined
from isthmus.compression.lossy_network import LossyNetwork, RateNetwork
from isthmus.compression.patches import PatchNetwork
from isthmus.compression.pixel_networks import ContinuousToneNetwork, PlainBackgroundNetwork
from isthmus.networks import build, seeded
from isthmus.spec import NetworkSpec

N = TypeVar("N", bound=torch.nn.Module)


def _scrambled(network: N, seed: int) -> N:
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return network


def levels_model(size: tuple[int, int] = (9, 8), background: int = 0, seed: int = 0) -> CodecModel:
    """For grey images on a plain background."""
    rng = np.random.default_rng(seed)
    context = Context.disk(2.3, 3)
    codebook = -rng.integers(0, 400, (3, 256)).astype(np.int16)
    logs = torch.from_numpy(codebook / np.float32(UNIT))
    network = PlainBackgroundNetwork(2 * len(context.offsets) + 4, 8, logs, background)
    counts = {"entries": 3, "height": size[0] + 1, "width": size[1] + 1, "top": size[0], "left": size[1]}
    tensors = {
        "codebook": codebook,
        **{name: Statics.of(rng.integers(0, n, 50), n).counts for name, n in counts.items()},
        **_scrambled(network, seed).export(plain_background.FEATURE_UNIT, UNIT),
    }
    config = {
        "background": background,
        "window": context.offsets.tolist(),
        "size": list(size),
        "centre": [128 * n for n in size],
    }
    return CodecModel.new("levels", config, tensors)


def tones_model(channels: int = 1, depth: int = 8, seed: int = 0) -> CodecModel:
    """For continuous tones."""
    context = Context.disk(2.3, 2)
    symbols = channels * depth // 8
    network = ContinuousToneNetwork((len(context.offsets) + 1) * channels + 3, 8, 2, symbols)
    config = {"window": context.offsets.tolist(), "channels": channels, "depth": depth}
    tensors = _scrambled(network, seed).export(continuous_tone.FEATURE_UNIT, UNIT, SUBLEVEL)
    return CodecModel.new("tones", config, tensors)


def lossy_model(seed: int = 0) -> CodecModel:
    """With loss, of patches of 4 × 4 grey pixels."""
    with seeded(seed):
        patches = PatchNetwork(1, 4, 6, 4, np.random.default_rng(seed).random((200, 1, 4, 4), np.float32))
    return _lossy(patches, {"channels": 1, "patch": 4, "codes": 6, "hidden": 4}, Context.disk(1.5, 2), 6, seed)


def two_part_model(size: tuple[int, int] = (8, 8), seed: int = 0) -> CodecModel:
    """With loss, of small grey images: a flat code at low qualities, one number for each pixel at high ones."""
    spec = NetworkSpec("conv", (1, *size), latent_dim=6, channels=(4,))
    nowhere = Context(np.zeros((0, 2), np.int32))
    flat = _lossy(build(spec, seed), spec.to_dict(), nowhere, 6, seed)
    with seeded(seed):
        pixels = PatchNetwork(1, 1, 1, 4, np.random.default_rng(seed).random((200, 1, 1, 1), np.float32))
    fine = _lossy(pixels, {"channels": 1, "patch": 1, "codes": 1, "hidden": 4}, Context.disk(2.3, 3), 1, seed)
    return joined((flat, fine), [[0, 0.2], [0, 0.8], [1, 0.3], [1, 0.9]], 0.7)


def _lossy(autoencoder: Any, described: dict, context: Context, codes: int, seed: int) -> CodecModel:
    rate = RateNetwork(context, codes, min(2, codes), 8)
    network = LossyNetwork(autoencoder, codes, _scrambled(rate, seed))
    weights = {k: v for k, v in network.state_dict().items() if not k.startswith("rate.")}
    state = {f"network.{k}": v.contiguous().numpy() for k, v in weights.items()}
    config = {
        "network": described,
        "latents": {"window": context.offsets.tolist(), "channels": codes, "groups": rate.sizes},
        "channels": 1,
        "depth": 8,
    }
    return CodecModel.new("lossy", config, {**state, **rate.export(UNIT, SUBLEVEL)})


MODELS = {
    "levels": levels_model(),
    "levels on white": levels_model(background=255, seed=1),
    "grey": tones_model(),
    "colour": tones_model(3),
    "transparent": tones_model(4),
    "16 bits": tones_model(1, 16),
    "16-bit colour": tones_model(3, 16),
}


def example(name: str, n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Images that the model of that name takes: half smooth, half empty or noise."""
    rng = np.random.default_rng(seed)
    config = MODELS[name].config
    channels, depth = config.get("channels", 1), config.get("depth", 8)
    top = (1 << depth) - 1
    ramp = np.add.outer(np.arange(height), np.arange(width))[None, :, :, None] * (top // 40)
    images = (ramp + rng.integers(0, top // 8, (n, height, width, channels))) % (top + 1)
    images[::3] = rng.integers(0, top + 1, images[::3].shape)
    if "background" in config:
        images[rng.random(images.shape) < 0.6] = config["background"]
        images[1::4] = config["background"]
    return images.astype(np.uint8 if depth == 8 else np.uint16).reshape(
        (n, height, width, channels)[: 4 if channels > 1 else 3]
    )
