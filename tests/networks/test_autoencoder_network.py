from __future__ import annotations

import pytest
import torch
from torch import nn

from isthmus.errors import IsthmusError
from isthmus.networks import AutoEncoderNetwork, build, default_channels, default_hidden, wrap
from isthmus.registry import bottlenecks
from isthmus.spec import NetworkSpec


@pytest.mark.parametrize("size", [(28, 28), (23, 23), (259, 180), (101, 7)])
def test_any_image_size_comes_back(size: tuple[int, int]) -> None:
    spec = NetworkSpec("conv", (1, *size), latent_dim=3, channels=(4, 4, 4))
    x = torch.rand(1, 1, *size)
    with torch.inference_mode():
        assert build(spec, 0).reconstruct(x).shape == x.shape


def test_notebooks_network() -> None:
    network = build(NetworkSpec("conv", (1, 28, 28), latent_dim=10, channels=(32, 64, 128)), 0)
    shapes = [tuple(p.shape) for p in network.parameters() if p.ndim > 1]
    assert shapes == [
        (32, 1, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (10, 2048),
        (2048, 10), (64, 128, 3, 3), (32, 64, 3, 3), (1, 32, 3, 3),
    ]  # fmt: skip
    assert network.num_parameters == sum(p.numel() for p in network.parameters()) == 228_235


def test_spatial_code_takes_other_sizes_than_those_of_training() -> None:
    network = build(NetworkSpec("conv", (2, 12, 12), latent_channels=3, channels=(4, 4)), 0)
    x = torch.rand(2, 2, 17, 30)
    z = network.encode(x)
    assert z.shape == (2, 3, 5, 8)
    assert network.reconstruct(x).shape == network.decode(z, spatial=(17, 30)).shape == x.shape
    assert network.decode(z).shape == (2, 2, 20, 32)
    assert network.decode(network.encode(x[..., :12, :12])).shape == (2, 2, 12, 12)
    with pytest.raises(IsthmusError, match="cannot come from"):
        network.decode(z, spatial=(40, 30))


def test_wrong_samples_are_refused_with_both_shapes() -> None:
    flat = build(NetworkSpec("conv", (2, 12, 12), latent_dim=3, channels=(4,)), 0)
    with pytest.raises(IsthmusError, match=r"\(2, 12, 13\); this network takes shape \(2, 12, 12\)"):
        flat.encode(torch.rand(1, 2, 12, 13))
    spatial = build(NetworkSpec("conv", (2, 12, 12), latent_channels=3, channels=(4,)), 0)
    with pytest.raises(IsthmusError, match="takes 2 channels and any 2 spatial sizes"):
        spatial.encode(torch.rand(1, 3, 12, 12))


@pytest.mark.parametrize("bottleneck", bottlenecks.names())
def test_modules_of_your_own(bottleneck: str) -> None:
    wide = 4 * bottlenecks[bottleneck].inputs_per_latent
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(30, wide))
    decoder = nn.Sequential(nn.Linear(4, 30), nn.Unflatten(1, (5, 6)))
    network = wrap(encoder, decoder, bottleneck, (5, 6))
    x = torch.rand(3, 5, 6)
    reconstruction, _ = network(x, torch.Generator().manual_seed(0))
    assert reconstruction.shape == network.reconstruct(x).shape == x.shape
    assert network.encode(x).shape == (3, 4)
    assert isinstance(network, AutoEncoderNetwork)


def test_bottleneck_is_plain_by_default_and_sigmoid_gives_probabilities() -> None:
    network = AutoEncoderNetwork(nn.Linear(5, 2), nn.Linear(2, 5), output="sigmoid")
    x = torch.rand(3, 5)
    torch.testing.assert_close(network.decode(network.encode(x)), network.decoder(network.encoder(x)).sigmoid())
    assert network(x)[1] is None


def test_max_unpooling_positions_reach_the_first_half_of_a_training_batch_only() -> None:
    spec = NetworkSpec("conv", (1, 8, 8), latent_dim=3, channels=(4, 4), downsample="max-pool", upsample="max-unpool")
    network, x = build(spec, 0), torch.rand(4, 1, 8, 8)
    with torch.inference_mode():
        with_positions, code_alone = network.reconstruct(x), network.decode(network.encode(x))
        trained, _ = network(x)
        torch.testing.assert_close(trained[:2], with_positions[:2])
        torch.testing.assert_close(trained[2:], code_alone[2:])
        assert not torch.allclose(with_positions, code_alone)
        torch.testing.assert_close(network.eval()(x)[0], with_positions)


def test_default_sizes() -> None:
    assert default_channels((1, 28, 28)) == default_channels((3, 32, 32)) == (32, 64, 128)
    assert default_channels((1, 8, 8)) == (32, 64)
    assert default_channels((3, 259, 180)) == (32, 64, 128, 256, 256, 256)
    assert default_hidden(784, 10) == (512, 256)
    assert default_hidden(3, 2) == (64, 32)
    assert default_hidden(100_000, 10) == (1024, 512)
    assert default_hidden(30, 100) == (100, 100)


def test_first_reconstructions_are_small_and_the_code_is_not() -> None:
    x = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    network = build(NetworkSpec("conv", (3, 16, 16), latent_dim=8, channels=(16, 32)), 0)
    assert 0.2 < network.encode(x).std() < 2
    assert network.reconstruct(x).std() < 0.5


@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec("dense", (9,), latent_dim=3, hidden=(8,)),
        NetworkSpec("conv", (2, 7, 5), latent_dim=3, channels=(10, 4)),
        NetworkSpec("conv", (2, 7, 5), latent_channels=3, channels=(4,), upsample="bicubic", bottleneck="sparse"),
        NetworkSpec("conv", (2, 7, 5), latent_dim=3, channels=(4,), upsample="pixel-shuffle", bottleneck="quantised"),
    ],
    ids=["dense", "nearest", "bicubic", "pixel-shuffle"],
)
@pytest.mark.filterwarnings("ignore")
def test_exports_to_onnx_with_any_number_of_samples(spec: NetworkSpec) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")

    class Reconstruct(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            z = network.encode(x)
            return z, network.decode(z)

    network = build(spec, 0).eval()
    module = Reconstruct()
    module.network = network
    x = torch.rand(3, *spec.sample_shape)
    program = torch.onnx.export(
        module, (x,), dynamo=True, input_names=["x"], dynamic_shapes=({0: torch.export.Dim("n")},), verbose=False
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for part in (x, x[:1]):
        found = session.run(None, {"x": part.numpy()})
        for array, tensor in zip(found, module(part), strict=True):
            torch.testing.assert_close(torch.from_numpy(array), tensor.detach(), rtol=0, atol=1e-5)


def test_a_bounded_output_is_a_sigmoid_whose_gradient_goes_straight_through_in_training_only() -> None:
    network = build(NetworkSpec("dense", (6,), latent_dim=2, hidden=(8,), output="bounded"), 0)
    linear = build(NetworkSpec("dense", (6,), latent_dim=2, hidden=(8,)), 0)
    x, weights = torch.rand(5, 6), torch.randn(5, 6)
    logits = linear(x)[0]
    assert torch.equal(network.reconstruct(x), logits.sigmoid())

    def gradient(of: torch.Tensor, module: AutoEncoderNetwork) -> torch.Tensor:
        return torch.autograd.grad((of * weights).sum(), next(iter(module.parameters())))[0]

    assert torch.equal(gradient(network.train()(x)[0], network), gradient(linear.train()(x)[0], linear))
    network.eval()
    assert torch.allclose(gradient(network(x)[0], network), gradient(linear(x)[0].sigmoid(), linear))
