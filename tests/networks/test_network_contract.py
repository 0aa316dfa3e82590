"""What every network promises, over all names in the registries."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from isthmus.errors import IsthmusError
from isthmus.networks import AutoEncoderNetwork, build
from isthmus.registry import activations, bottlenecks, downsamplings, upsamplings
from isthmus.spec import NetworkSpec

CODES = {"flat": {"latent_dim": 4}, "spatial": {"latent_channels": 4}}
SIZES: dict[int, list[tuple[int, ...]]] = {1: [(11,), (1,)], 2: [(7, 5), (1, 6)], 3: [(5, 3, 2), (1, 4, 7)]}
SAMPLINGS = [(down, up) for down, up in product(downsamplings, upsamplings) if up != "max-unpool" or down == "max-pool"]


def conv_spec(spatial: tuple[int, ...], code: str = "flat", **changes: Any) -> NetworkSpec:
    fields: dict[str, Any] = {"channels": (3, 4), **CODES[code], **changes}
    return NetworkSpec("conv", (2, *spatial), **fields)


def check(spec: NetworkSpec) -> None:
    """The contract: shapes, finite values, gradients, determinism, storage, batches of one."""
    network = build(spec, seed=0)
    x = 4 * torch.rand(4, *spec.sample_shape, generator=torch.Generator().manual_seed(1))
    reconstruction, penalty = network(x, torch.Generator().manual_seed(2))
    assert reconstruction.shape == x.shape
    assert reconstruction.isfinite().all()
    loss = (reconstruction - x).square().mean()
    (loss if penalty is None else loss + penalty).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"no gradient for {name}"
        assert parameter.grad.isfinite().all() and parameter.grad.any(), f"useless gradient for {name}"
    network.eval()
    with torch.inference_mode():
        z, rebuilt = network.encode(x), network.reconstruct(x)
        assert z.shape[:2] == (4, 4)
        assert torch.equal(z, network.encode(x))
        assert network.decode(z).shape == rebuilt.shape == x.shape
        assert network.reconstruct(x[:1]).shape == x[:1].shape
        torch.testing.assert_close(network.reconstruct(x[:1]), rebuilt[:1])
        restored = build(spec, seed=1)
        restored.load_state_dict(load(save(network.state_dict())))
        assert torch.equal(restored.eval().reconstruct(x), rebuilt)


@pytest.mark.parametrize("bottleneck", bottlenecks.names())
@pytest.mark.parametrize(("down", "up"), SAMPLINGS)
def test_convolutional(down: str, up: str, bottleneck: str) -> None:
    for spatial, (factor, code) in zip(
        (SIZES[1][0], SIZES[2][0], SIZES[3][0]), ((2, "flat"), (3, "spatial"), (2, "spatial")), strict=True
    ):
        check(conv_spec(spatial, code, factor=factor, downsample=down, upsample=up, bottleneck=bottleneck))


def test_a_decoder_that_is_given_waves_of_a_flat_code() -> None:
    check(conv_spec((7, 5), "flat", waves=6))
    check(NetworkSpec("dense", (12,), latent_dim=4, hidden=(9,), waves=6))
    with pytest.raises(IsthmusError, match=r"waves \(=6\) are features of a flat code"):
        conv_spec((7, 5), "spatial", waves=6)


@pytest.mark.parametrize("num_spatial_dims", [1, 2, 3])
@pytest.mark.parametrize(("down", "up"), SAMPLINGS)
def test_convolutional_sizes(down: str, up: str, num_spatial_dims: int) -> None:
    for spatial, factor, code in product(SIZES[num_spatial_dims], (2, 3), CODES):
        check(conv_spec(spatial, code, factor=factor, downsample=down, upsample=up))


@pytest.mark.parametrize("bottleneck", bottlenecks.names())
@pytest.mark.parametrize("hidden", [(), (6,), (8, 6)])
def test_dense(hidden: tuple[int, ...], bottleneck: str) -> None:
    check(NetworkSpec("dense", (9,), latent_dim=4, hidden=hidden, bottleneck=bottleneck))
    check(conv_spec((7, 5), hidden=hidden, bottleneck=bottleneck))


@pytest.mark.parametrize("activation", activations.names())
@pytest.mark.parametrize("output", ["linear", "sigmoid"])
def test_activation_and_output(activation: str, output: str) -> None:
    check(NetworkSpec("dense", (9,), latent_dim=4, hidden=(6,), activation=activation, output=output))
    check(conv_spec((5, 4), activation=activation, output=output, channels=(8, 8)))


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("up", [name for name in upsamplings if name != "max-unpool"])
def test_kernel_sizes(up: str, kernel_size: int) -> None:
    for factor in (2, 3, 4):
        check(conv_spec((11, 6), upsample=up, factor=factor, kernel_size=kernel_size))


@pytest.mark.parametrize(("down", "up"), SAMPLINGS)
def test_channels_last_and_bfloat16(down: str, up: str) -> None:
    network: AutoEncoderNetwork = build(conv_spec((9, 7), downsample=down, upsample=up), seed=0)
    x = torch.rand(4, 2, 9, 7)
    expected = network.reconstruct(x)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network.reconstruct(x), expected)
    with torch.autocast("cpu", torch.bfloat16):
        reconstruction, _ = network(x)
    reconstruction.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.parameters())


def test_build_is_deterministic_and_leaves_the_global_generator_alone() -> None:
    for spec in (conv_spec((7, 5)), NetworkSpec("dense", (9,), latent_dim=4, hidden=(8,))):
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first = build(spec, seed=5).state_dict()
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(3)
        again, other = build(spec, seed=5).state_dict(), build(spec, seed=6).state_dict()
        assert all(torch.equal(again[name], first[name]) for name in first)
        assert any(not torch.equal(other[name], first[name]) for name in first)


def test_training_is_random_only_where_a_generator_is_given() -> None:
    network = build(conv_spec((7, 5), bottleneck="variational"), seed=0)
    x = torch.rand(3, 2, 7, 5)
    before = torch.get_rng_state()

    def run(seed: int | None) -> torch.Tensor:
        return network(x, None if seed is None else torch.Generator().manual_seed(seed))[0]

    assert torch.equal(run(None), run(None))
    assert torch.equal(run(None), network.reconstruct(x))
    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("up", upsamplings.names())
def test_upsampling_in_one_sample_does_not_see_the_others(up: str) -> None:
    module = upsamplings[up](2, 3, 2, 2, 3)
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(module(x, (7, 8))[1:], module(x[1:], (7, 8)))
