"""Encoder, bottleneck and decoder as one module, and how one is built from its specification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.errors import IsthmusError
from isthmus.networks.bottleneck import Bottleneck, Plain
from isthmus.networks.conv import ConvDecoder, ConvEncoder
from isthmus.networks.dense import DenseDecoder, DenseEncoder
from isthmus.networks.neighbour_encoder import NeighbourEncoder
from isthmus.registry import bottlenecks, networks
from isthmus.share import before, count_of
from isthmus.spec import Choice, NetworkSpec

Indices = list[Tensor | None]


@networks.register("dense")
def dense(spec: NetworkSpec) -> tuple[nn.Module, nn.Module]:
    """Fully connected: for tables, and for small images."""
    assert spec.latent_dim is not None
    num_features = spec.sample_shape[0]
    return (
        _dense_encoder(spec),
        DenseDecoder(spec.latent_dim, spec.hidden, num_features, spec.activation, spec.waves),
    )


def _dense_encoder(spec: NetworkSpec) -> nn.Module:
    num_features, code_size = spec.sample_shape[0], _code_size(spec)
    if spec.remembered is None:
        return DenseEncoder(num_features, spec.hidden, code_size, spec.activation, spec.projection)
    assert spec.projection is not None and spec.voters is not None
    return NeighbourEncoder(num_features, code_size, spec.projection, spec.remembered, spec.voters)


@networks.register("conv")
def conv(spec: NetworkSpec) -> tuple[nn.Module, nn.Module]:
    """Convolutional: for signals, images and volumes of any size."""
    return ConvEncoder(spec, _code_size(spec)), ConvDecoder(spec)


class AutoEncoderNetwork(nn.Module):
    """`z = f(x)`, `x' = g(z)`.

        x (N, *sample) ──encoder──▶ h ──bottleneck──▶ z (N, d) or (N, c, *S') ──decoder──▶ x' (N, *sample)

    Any module that maps (N, ...) to (N, d) may be the encoder (for a variational bottleneck to (N, 2 d): means, then
    log-variances), and any that maps (N, d) back the decoder.

    output : "linear"; "sigmoid", where the decoder's result is taken as the logits of probabilities; or "bounded", the
        same for data that lie mostly at the ends of their range, trained by `_BoundedSigmoid`.

    Max-unpooling takes from max-pooling where each maximum was: those positions pass by the code ("what-where
    auto-encoders", Zhao et al. 2015, arXiv:1506.02351). `reconstruct` uses them; `decode`, which has the code alone,
    does without, and puts values in the centres of their windows. So that both work, `forward` in training hands the
    positions to the first half of the batch only. What such a network reconstructs says nothing about the code alone.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, bottleneck: Bottleneck | None = None, output: str = "linear"
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.bottleneck = Plain() if bottleneck is None else bottleneck
        self.output = output

    def encode(self, x: Tensor) -> Tensor:
        """The code of x, deterministic: (N, *sample) -> (N, d), or (N, c, *S') for a spatial code."""
        return self.bottleneck.encode(self.encoder(x))

    def decode(self, z: Tensor, spatial: Sequence[int] | None = None) -> Tensor:
        """The reconstruction from a code alone, (N, *sample).

        A network with a spatial code takes the wanted spatial size as `spatial`; by default it is that of the
        training samples where the code has their size, else the largest that gives such a code.
        """
        return self._decode(z, spatial, None)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor | None]:
        """The reconstruction and the bottleneck's penalty (None where it has none), as in training.

        Random only where a generator is given.
        """
        return self.with_code(x, generator)[:2]

    def with_code(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor | None, Tensor]:
        """The same as a call, and the code."""
        h, indices = self._encode(x)
        z, penalty = self.bottleneck(h, generator)
        if self.training:
            first = before(count_of(len(x), generator) // 2, generator)
            indices = [None if where is None else where[:first] for where in indices]
        rebuilt = self._decode(z, x.shape[2:], indices)
        if rebuilt.shape != x.shape:  # an objective might take it, and compare each number with others
            raise IsthmusError(
                f"in training the decoder returns shape {tuple(rebuilt.shape)} for {tuple(x.shape)}; they must be equal"
            )
        return rebuilt, penalty, z

    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode, deterministic: (N, *sample) -> (N, *sample)."""
        h, indices = self._encode(x)
        return self._decode(self.bottleneck.encode(h), x.shape[2:], indices)

    @property
    def num_parameters(self) -> int:
        """How many numbers training adjusts."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def _encode(self, x: Tensor) -> tuple[Tensor, Indices]:
        if isinstance(self.encoder, ConvEncoder):
            return self.encoder.with_indices(x)
        return self.encoder(x), []

    def _decode(self, z: Tensor, spatial: Sequence[int] | None, indices: Indices | None) -> Tensor:
        ours = isinstance(self.decoder, ConvDecoder)
        x: Tensor = self.decoder(z, spatial, indices or None) if ours else self.decoder(z)
        if self.output == "linear":
            return x
        if self.output == "bounded" and self.training:
            bounded: Tensor = _BoundedSigmoid.apply(x.float())  # type: ignore[no-untyped-call]  # torch does not type it
            return bounded
        return x.float().sigmoid()


class _BoundedSigmoid(torch.autograd.Function):
    """A sigmoid that hands its gradient straight through.

    For the squared error that is the gradient of the cross-entropy, the sigmoid's matching loss (Auer, Herbster and
    Warmuth 1995, "Exponentially many local minima for single neurons"): convex in the logits, never flat where the
    sigmoid saturates, and smallest for the same reconstruction, the mean of what a code stands for.
    """

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.sigmoid()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's CPU generator at a seed for the length of a block, then as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which would seed every GPU too
        yield


def build(spec: NetworkSpec, seed: int) -> AutoEncoderNetwork:
    """The network of a specification, its weights drawn from `seed`; torch's global generators stay as they are."""
    with seeded(seed):
        encoder, decoder = networks[spec.network](spec)
    latent_size = spec.latent_dim or spec.latent_channels
    return AutoEncoderNetwork(
        encoder, decoder, bottleneck_for(spec.bottleneck, latent_size, spec.num_features), spec.output
    )


def bottleneck_for(text: str, latent_size: int | None, num_features: int) -> Bottleneck:
    """The bottleneck of that name, with its number."""
    choice = Choice.parse(text, bottlenecks)
    value = None if choice.low is None else choice.value(choice.low)
    made: Bottleneck = bottlenecks[choice.name](value, latent_size, num_features)
    return made


def _code_size(spec: NetworkSpec) -> int:
    """What the encoder gives along axis 1."""
    latent_size = spec.latent_dim or spec.latent_channels
    assert latent_size is not None
    inputs_per_latent: int = bottlenecks[Choice.parse(spec.bottleneck, bottlenecks).name].inputs_per_latent
    return latent_size * inputs_per_latent
