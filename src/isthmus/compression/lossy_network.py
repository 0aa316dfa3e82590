"""An auto-encoder whose code is rounded to whole numbers, how finely, and what these numbers cost in bits.

The quality q runs from 0 to 1. Each number of the code has a gain for every quality before it is rounded, and another
after: Cui et al. 2021, "Asymmetric gained deep image compression with continuous rate adaptation", CVPR. Codes are
rounded straight through for the reconstruction and noisy for the rate: Minnen and Singh 2020, "Channel-wise
autoregressive entropy models for learned image compression", section 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.compression.coding.codes import (
    FEATURE_UNIT,
    MOST_CODE,
    MOST_FEATURE,
    QUALITIES,
    place_features,
    quality_feature,
)
from isthmus.compression.coding.context import Context
from isthmus.compression.patches import PatchNetwork
from isthmus.compression.pixel_networks import RoundedPerceptron, export_all, logistic_nats
from isthmus.networks.autoencoder import AutoEncoderNetwork
from isthmus.share import drawn

_LARGEST = MOST_CODE - 1  # what codes are cut off at: the noise that training adds must stay within what can be coded
_UNITS = (1.0, 2.0, 0.0)  # of the mixtures: see `logistic_nats`
_KNOTS = 7  # qualities with gains of their own; between them the gains' logarithms are interpolated
_COMPONENTS = 2


class RateNetwork(nn.Module):
    """How probable each number of a code is, given the codes above and to the left and the groups before it.

    neighbours (n, k · C), quality, place (n, 4), groups before (n, C) ──▶ hidden ──▶ hidden ──▶ mixtures
    """

    def __init__(self, context: Context, channels: int, groups: int, hidden: int) -> None:
        super().__init__()
        self.context = context
        self.sizes = [len(part) for part in np.array_split(np.arange(channels), groups)]
        inputs = (len(context.offsets) + 1) * channels + 4
        self.groups = nn.ModuleList(RoundedPerceptron(inputs, hidden, _COMPONENTS * size, 1.0) for size in self.sizes)

    def forward(self, codes: Tensor, rounded: Tensor, quality: Tensor) -> Tensor:
        """Nats of each sample (N,); codes, rounded : (N, C, H, W), the noisy and the rounded ones; quality : (N,)."""
        return nats_of(codes, self.mixtures(rounded, quality)).view(len(codes), -1).sum(1)

    def mixtures(self, rounded: Tensor, quality: Tensor) -> list[Tensor]:
        """What each code's probability is made of: logits, means and scales, each (N · H · W, C, components)."""
        features, known = self.features(rounded, quality), rounded.permute(0, 2, 3, 1).reshape(-1, rounded.shape[1])
        found, start = [], 0
        for network, size in zip(self.groups, self.sizes, strict=True):
            found.append(network(with_known(features, known, start)).unflatten(1, (3, size, _COMPONENTS)))
            start += size
        return list(torch.cat(found, 2).unbind(1))

    def features(self, rounded: Tensor, quality: Tensor) -> Tensor:
        """The features of `coding.codes.features`, (N · H · W, k · C + 4), through which the gradient passes."""
        n, _, height, width = rounded.shape
        up, side = self.context.rows, self.context.margin
        padded = nn.functional.pad(_feature(rounded), (side, side, up, 0))
        seen = [
            padded[:, :, up + row : up + row + height, side + column : side + column + width]
            for row, column in self.context.offsets.tolist()
        ]
        row, column = (torch.arange(size, device=rounded.device) for size in (height, width))
        place = place_features(row[:, None], column, width)
        place.insert(0, quality_feature(torch.round(quality * QUALITIES))[:, None, None])
        maps = torch.stack([(part / FEATURE_UNIT).expand(n, height, width) for part in place], 1)
        return torch.cat([*seen, maps], 1).permute(0, 2, 3, 1).reshape(n * height * width, -1)

    def export(self, logit_unit: float, sublevel: float) -> dict[str, np.ndarray]:
        """The tensors of `coding.codes.CodesCoding`: layers "i.0", "i.1" and "i.2" of each group."""
        return export_all(self.groups, FEATURE_UNIT, _UNITS, logit_unit, sublevel)

    def restore(self, tensors: Mapping[str, np.ndarray], logit_unit: float, sublevel: float) -> None:
        """Become the network that `export` was called on, from what it gave."""
        for i, network in enumerate(self.groups):
            assert isinstance(network, RoundedPerceptron)
            network.restore(tensors, str(i), FEATURE_UNIT, _UNITS, logit_unit, sublevel)


def nats_of(codes: Tensor, mixtures: Sequence[Tensor]) -> Tensor:
    """Nats of each code, (N · H · W, C), under the mixtures of a `RateNetwork`; codes : (N, C, H, W)."""
    values = codes.permute(0, 2, 3, 1).reshape(-1, codes.shape[1], 1)
    logits, means, scales = mixtures
    return logistic_nats(values, logits, means, scales, units=_UNITS)


def with_known(features: Tensor, codes: Tensor, count: int) -> Tensor:
    """`coding.codes.with_known` of tensors: features with the first `count` channels of `codes` (n, C), then zeros."""
    known = torch.zeros_like(codes)
    known[:, :count] = _feature(codes[:, :count])
    return torch.cat([features, known], 1)


def _feature(codes: Tensor) -> Tensor:
    return codes.clamp(-MOST_FEATURE, MOST_FEATURE) / FEATURE_UNIT


class LossyNetwork(nn.Module):
    """x ──encoder──▶ y ──· gain(q), round──▶ whole numbers ──/ gain'(q)──▶ decoder ──▶ x'.

    autoencoder : with a flat code, or of patches. rate : for training only. gains : first ones, at qualities 0 and 1.
    """

    def __init__(
        self,
        autoencoder: AutoEncoderNetwork | PatchNetwork,
        channels: int,
        rate: RateNetwork | None = None,
        gains: tuple[float, float] = (2.0, 20.0),
    ) -> None:
        super().__init__()
        self.autoencoder, self.rate = autoencoder, rate
        first, last = map(math.log, gains)
        start = torch.linspace(first, last, _KNOTS, device="cpu")[:, None]  # also in a plan without memory
        self.gains = nn.Parameter(torch.empty(_KNOTS, channels).copy_(start))
        self.inverse_gains = nn.Parameter(torch.empty(_KNOTS, channels).copy_(-start))

    def forward(self, x: Tensor, quality: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The reconstruction of a batch, and the nats of each sample's code (N,)."""
        assert self.rate is not None
        y = self.scaled(x, quality)
        rounded = y + (torch.round(y) - y).detach()
        noise = drawn(torch.rand, y.shape, generator, device=y.device) - 0.5
        nats = self.rate(y + noise, rounded, quality)
        return self.reconstruct(rounded, quality, x.shape[2:]), nats

    def scaled(self, x: Tensor, quality: Tensor) -> Tensor:
        """The code before rounding, (N, C, H, W); H = W = 1 for a flat one."""
        y = self.autoencoder.encode(x)
        y = y[:, :, None, None] if y.ndim == 2 else y
        return (y * _interpolated(self.gains, quality)[:, :, None, None].exp()).clamp(-_LARGEST, _LARGEST)

    def curvature(self, quality: Tensor) -> Tensor:
        """Squared error that a step of one in each number makes by itself, (N, C, 1, 1), in a code of patches."""
        assert isinstance(self.autoencoder, PatchNetwork)
        energy = self.autoencoder.energies() * _interpolated(2 * self.inverse_gains, quality).exp()
        return energy[:, :, None, None]

    def reconstruct(self, rounded: Tensor, quality: Tensor, spatial: tuple[int, ...] | torch.Size) -> Tensor:
        """From whole numbers (N, C, H, W) to samples of that spatial size."""
        y = rounded * _interpolated(self.inverse_gains, quality)[:, :, None, None].exp()
        if isinstance(self.autoencoder, AutoEncoderNetwork):
            return self.autoencoder.decode(y[:, :, 0, 0])
        strengths = self.autoencoder.strengths
        return self.autoencoder.decode(y, spatial, None if strengths is None else _interpolated(strengths, quality))


def _interpolated(knots: Tensor, quality: Tensor) -> Tensor:
    """Rows of `knots` (k, C) at qualities (N,) from 0 to 1, interpolated linearly: (N, C)."""
    place = quality * (len(knots) - 1)
    low = place.long().clamp(0, len(knots) - 2)
    share = (place - low)[:, None]
    return knots[low] * (1 - share) + knots[low + 1] * share
