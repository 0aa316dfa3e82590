"""Fully connected encoder and decoder, for tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from isthmus.networks.blocks import CODE_GAIN, HIDDEN_GAIN, OUTPUT_GAIN, linear
from isthmus.registry import activations

_NARROWEST, _WIDEST = 64, 1024


def default_hidden(num_features: int, latent_dim: int) -> tuple[int, ...]:
    """Widths of two hidden layers: (512, 256) for 784 features.

    The first is the largest power of two that is not above the number of features, but from 64 to 1,024; the second
    is half of that. Neither is narrower than the code.
    """
    first = min(max(1 << (num_features.bit_length() - 1), _NARROWEST), _WIDEST)
    return max(first, latent_dim), max(first // 2, latent_dim)


def dense_layers(widths: Sequence[int], activation: str, last_gain: float = HIDDEN_GAIN) -> nn.Sequential:
    """Linear layers with an activation between them and none after the last."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths[:-1]):
        layers += [linear(n_in, n_out), activations[activation]()]
    return nn.Sequential(*layers, linear(widths[-2], widths[-1], last_gain))


class DenseEncoder(nn.Module):
    """(N, num_features) -> (N, code_size): hidden layers with an activation, then a linear layer.

    projection : numbers that a fixed linear layer in front gives; it is filled by whoever trains, and not trained.
    """

    def __init__(
        self,
        num_features: int,
        hidden: Sequence[int],
        code_size: int,
        activation: str = "silu",
        projection: int | None = None,
    ) -> None:
        super().__init__()
        self.projection = None if projection is None else nn.Linear(num_features, projection).requires_grad_(False)
        self.layers = dense_layers([projection or num_features, *hidden, code_size], activation, CODE_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        code: Tensor = self.layers(x if self.projection is None else self.projection(x))
        return code


class DenseDecoder(nn.Module):
    """(N, latent_dim) -> (N, num_features): the encoder mirrored; `hidden` is in the encoder's order.

    waves : see `with_waves`.
    """

    waves: Tensor | None

    def __init__(
        self,
        latent_dim: int,
        hidden: Sequence[int],
        num_features: int,
        activation: str = "silu",
        waves: int | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("waves", directions(latent_dim, waves))
        n_in = latent_dim + 2 * (waves or 0)
        self.layers = dense_layers([n_in, *reversed(hidden), num_features], activation, OUTPUT_GAIN)

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.layers(with_waves(z, self.waves))
        return x


def directions(latent_dim: int, waves: int | None) -> Tensor | None:
    """Random directions for `with_waves`, (latent_dim, waves)."""
    return None if waves is None else torch.empty(latent_dim, waves).normal_()


def with_waves(z: Tensor, waves: Tensor | None) -> Tensor:
    """Codes (N, latent_dim) with sine and cosine along the directions `waves` beside them, if there are any.

    A few numbers can then stand for many different samples: Tancik et al. 2020, "Fourier features let networks learn
    high frequency functions in low dimensional domains", NeurIPS, arXiv:2006.10739.
    """
    if waves is None:
        return z
    phases = z @ waves  # (N, latent_dim) -> (N, waves)
    return torch.cat([z, phases.sin(), phases.cos()], dim=1)
