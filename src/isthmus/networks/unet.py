"""An auto-encoder with a spatial code, skip connections, and an output that is the input minus what is wrong.

A flat code caps what is cleaned at its own reconstruction error. Here the code keeps the places, every stage of the
encoder hands its result to the decoder's stage of the same size (Ronneberger et al. 2015, "U-Net", arXiv:1505.04597),
and the network learns what to change, not the picture (Zhang et al. 2017, "Beyond a Gaussian denoiser",
arXiv:1608.03981).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.errors import IsthmusError
from isthmus.networks.blocks import Conv
from isthmus.networks.upsample import depth_to_space
from isthmus.registry import downsamplings, upsamplings
from isthmus.spec import MOST_STAGES, Spec, check_sizes

FOLD = 2  # blocks of 2 × 2 pixels become channels first: a quarter of the work for the same width
SizeName = Literal["small", "medium", "large"]
SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {  # widths and blocks
    "small": ((32, 64), (1, 2)),
    "medium": ((48, 96), (1, 2)),
    "large": ((64, 128, 192), (2, 2, 3)),
}
_QUIET = 0.1  # of the last convolution of a block: at first a block hands on what it gets
_FIRST = -4.0  # first logarithm of a variance
_SEEN = 0.2  # size of the noise that layers see which are told its level
_LEAST_LEVEL = 0.05  # beside the largest: weaker noise counts as that
_FLOOR = -14.0  # least logarithm of a variance in scaled units


@dataclass(frozen=True)
class UNetSpec(Spec):
    """What a `UNet` is made of; see there."""

    num_spatial_dims: int
    in_channels: int
    out_channels: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    centre: float = 0.0
    deviation: float = 1.0
    levels: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "num_spatial_dims", "in_channels", "out_channels", "widths", "blocks")
        if self.num_spatial_dims > 3:
            raise IsthmusError(f"num_spatial_dims (={self.num_spatial_dims}) must be 1, 2 or 3")
        if not 1 <= len(self.widths) == len(self.blocks) <= MOST_STAGES:
            raise IsthmusError(
                f"widths (={self.widths}) and blocks (={self.blocks}) must name the same stages, 1 to {MOST_STAGES}"
            )
        if self.levels is not None and not 0 <= self.levels[0] < self.levels[1] < math.inf:
            raise IsthmusError(f"levels (={self.levels}) must be two deviations, the lower one first")

    def build(self) -> UNet:
        """The network, its weights drawn from torch's generator."""
        return UNet(**self.to_dict())


class ResidualBlock(nn.Module):
    """x + conv(silu(conv(x)))."""

    def __init__(self, num_spatial_dims: int, channels: int) -> None:
        super().__init__()
        self.first = Conv(num_spatial_dims, channels, channels, 3)
        self.second = Conv(num_spatial_dims, channels, channels, 3, gain=_QUIET)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(F.silu(self.first(x)))
        return x + change


class UNet(nn.Module):
    """x (N, in_channels, *S) ──▶ clean x' (N, out_channels, *S), and the logarithm of the variance of its error.

        fold ─▶ conv ─▶ blocks ─────────────── + ─▶ blocks ─▶ conv ─▶ unfold ─▶ x - noise
                          └▶ half ─▶ blocks ─── + ─▶ double ┘
                                       └▶ half ─▶ blocks ─▶ double ┘

    widths : channels of each stage, finest first. blocks : residual blocks of each stage and of each way back.
    centre, deviation : of the samples; the layers see and give standardised values.
    levels : least and largest deviation of the noise, where `forward` is told it: the layers then see noise of one size
        and give noise of that size, whatever its level is.
    Where out_channels is not in_channels, the noise is taken from the mean of the channels.
    """

    centre: Tensor
    deviation: Tensor

    def __init__(
        self,
        num_spatial_dims: int,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        centre: float = 0.0,
        deviation: float = 1.0,
        levels: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.levels = levels
        d, fold = num_spatial_dims, FOLD**num_spatial_dims
        self.register_buffer("centre", torch.tensor(centre))
        self.register_buffer("deviation", torch.tensor(deviation))
        self.out_channels = out_channels
        self.step = FOLD * 2 ** (len(widths) - 1)  # sizes are filled up to a multiple of it
        self.reach = _reach(blocks)
        self.head = Conv(d, fold * in_channels, widths[0], 3, gain=1.0)
        self.encoder = nn.ModuleList(_blocks(d, w, n) for w, n in zip(widths, blocks, strict=True))
        self.decoder = nn.ModuleList(_blocks(d, w, n) for w, n in zip(widths[:-1], blocks[:-1], strict=True))
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(downsamplings["stride"](d, a, b, 2, 3) for a, b in pairs)
        self.up = nn.ModuleList(upsamplings["nearest"](d, b, a, 2, 3) for a, b in pairs)
        self.tail = Conv(d, widths[0], fold * out_channels, 3, gain=_QUIET)
        self.spread = Conv(d, widths[0], fold * out_channels, 3, gain=_QUIET)
        nn.init.constant_(self.spread.bias, _FIRST)

    def forward(self, x: Tensor, level: Tensor | None = None) -> Tensor:
        """The clean samples. level : deviation of the noise of each, (N,), in their units, where `levels` are set."""
        size = self._size(x, level)
        return self._finish(x, self.tail(self._features(x, size)), size)

    def with_variance(self, x: Tensor, level: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The clean samples, and the logarithm of the variance of their error in deviations of the data.

        The gradient of the latter stays in its own layer.
        """
        size = self._size(x, level)
        h = self._features(x, size)
        noise, spread = self.tail(h), self._unfold(x, self.spread(h.detach())).float()
        if size is not None:
            spread = F.logsigmoid(spread) + 2 * size.log()  # what is cleaned is no further off than what was noisy
        return self._finish(x, noise, size), spread.clamp(_FLOOR, -_FLOOR)

    def clean(self, x: Tensor, level: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The clean samples and the variances of their errors, both in the units of x."""
        guess, spread = self.with_variance(x, level)
        return guess, spread.exp() * self.deviation**2

    def _size(self, x: Tensor, level: Tensor | None) -> Tensor | None:
        """How large the noise is in deviations of the data, of a shape that goes with x."""
        if self.levels is None:
            return None
        assert level is not None, "this network must be told the level of the noise"
        low, high = self.levels
        size = level.clamp(max(low, _LEAST_LEVEL * high), high) / self.deviation
        return size.view(-1, *[1] * (x.ndim - 1))

    def _features(self, x: Tensor, size: Tensor | None) -> Tensor:
        z = (_filled(x, self.step) - self.centre) / self.deviation
        h: Tensor = self.head(_fold(z if size is None else z * (_SEEN / size)))
        skips = []
        for blocks, down in zip(self.encoder, self.down, strict=False):
            h = blocks(h)
            skips.append(h)
            h = down(h)[0]
        h = self.encoder[-1](h)
        for up, blocks in zip(reversed(self.up), reversed(self.decoder), strict=True):
            skip = skips.pop()
            h = blocks(up(h, skip.shape[2:]) + skip)
        return h

    def _finish(self, x: Tensor, noise: Tensor, size: Tensor | None) -> Tensor:
        base = x if x.shape[1] == self.out_channels else x.mean(1, keepdim=True)
        unit = self.deviation if size is None else self.deviation * size
        return base - unit * self._unfold(x, noise).float()

    def _unfold(self, x: Tensor, y: Tensor) -> Tensor:
        y = depth_to_space(y, FOLD)
        for axis, size in enumerate(x.shape[2:], start=2):
            y = y.narrow(axis, 0, size)
        return y

    @property
    def num_parameters(self) -> int:
        """How many numbers training adjusts."""
        return sum(p.numel() for p in self.parameters())


def _blocks(num_spatial_dims: int, channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(num_spatial_dims, channels) for _ in range(count)))


def _reach(blocks: Sequence[int]) -> int:
    """Pixels from which an output can depend on the input, on each side: what tiles must overlap."""
    reach: int = 3 * FOLD + FOLD * 2 ** len(blocks)
    for stage, count in enumerate(blocks):
        last = stage == len(blocks) - 1
        layers = 2 * count * (1 if last else 2) + (0 if last else 3)  # blocks there and back, down, up
        reach += FOLD * 2**stage * layers
    return reach


def _filled(x: Tensor, step: int) -> Tensor:
    """Samples whose sizes are multiples of `step`; the last values are repeated."""
    missing = [-n % step for n in x.shape[2:]]
    if not any(missing):
        return x
    return F.pad(x, [pad for n in reversed(missing) for pad in (0, n)], mode="replicate")


def _fold(x: Tensor) -> Tensor:
    """(N, C, *S) -> (N, FOLD^d · C, *S / FOLD); channels are ordered (position in the block, channel)."""
    d = x.ndim - 2
    x = x.movedim(1, -1)  # (N, *S, C)
    for axis in range(d):
        x = x.unflatten(1 + 2 * axis, (-1, FOLD))  # (N, S1 / FOLD, FOLD, S2 / FOLD, FOLD, C)
    places, phases = range(1, 1 + 2 * d, 2), range(2, 2 + 2 * d, 2)
    return x.permute(0, *places, *phases, -1).flatten(d + 1).movedim(-1, 1)
