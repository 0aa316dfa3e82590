"""Every way of up-sampling, by name: up-sample by an integer factor, then convolve.

Each entry is a builder ``(num_spatial_dims, in_channels, out_channels, factor, kernel_size) -> nn.Module`` with

    forward(x, size, indices=None)      (N, in_channels, *S) -> (N, out_channels, *size)

where ceil(size / factor) = S on every axis: the result has factor·S positions, of which the last ones are cut off, so
that any size which was down-sampled comes back exactly. `indices` are those of max-pooling; only "max-unpool" looks
at them.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.errors import IsthmusError
from isthmus.networks.blocks import Conv, convolve, crop, initialise
from isthmus.networks.resample import resample
from isthmus.registry import upsamplings

_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_FEW_CHANNELS = 8  # CPU kernels of transposed convolutions compute 16 output channels at a time, wanted or not


def box_kernel(weight: Tensor, spread: Tensor) -> Tensor:
    """The transposed convolution's kernel that equals nearest up-sampling and then a convolution with `weight`.

    (out, in, k, ...) -> (in, out, k + factor - 1, ...): the flipped kernel convolved with a box of ones, as one product
    with `box_matrix(k, factor, d)`. The stride is `factor`, the padding k // 2. With factor 2 and k = 3 this takes 4/9
    of the multiplications.
    """
    d = weight.ndim - 2
    taps = weight.transpose(0, 1).movedim(1, -1).flatten(1, -2)  # (in, k^d, out): the memory order of fast kernels
    with torch.autocast(weight.device.type, enabled=False):
        products = torch.matmul(spread, taps.contiguous())
    kernel: Tensor = products.unflatten(1, [round(len(spread) ** (1 / d))] * d)
    return kernel.movedim(-1, 1)


def box_matrix(taps: int, factor: int, num_spatial_dims: int) -> Tensor:
    """Zeros and ones, ((taps + factor - 1)^d, taps^d): to which places of the wide kernel each tap adds."""
    planned = torch.empty((taps + factor - 1) ** num_spatial_dims, taps**num_spatial_dims)
    if planned.is_meta:
        return planned
    line = torch.stack([torch.eye(taps + factor - 1, taps).roll(shift, 0) for shift in range(factor)]).sum(0).flip(1)
    return functools.reduce(torch.kron, [line] * num_spatial_dims)


def transposed_convolution(
    x: Tensor, kernel: Tensor, bias: Tensor, factor: int, padding: int, size: Sequence[int]
) -> Tensor:
    """A transposed convolution with stride `factor`, of whose result `size` positions from `padding` on are kept.

    (N, in, *S) * (in, out, *K) -> (N, out, *size).
    """
    if kernel.shape[1] <= _FEW_CHANNELS:
        return _as_convolution(x, kernel.transpose(0, 1), bias, factor, padding, size)
    missing = max(0, factor + 2 * padding - kernel.shape[2])
    convolution = _TRANSPOSED[x.ndim - 2]
    y = convolution(x, kernel, None, stride=factor, padding=padding, output_padding=missing)
    # the bias is added here because its gradient inside the transposed convolution is slow on CPUs
    return crop(y, size) + bias.to(y.dtype).view(-1, *[1] * (x.ndim - 2))


def _as_convolution(x: Tensor, kernel: Tensor, bias: Tensor, factor: int, padding: int, size: Sequence[int]) -> Tensor:
    """The same as one convolution that computes all factor^d outputs of a position, then a rearrangement."""
    d = x.ndim - 2
    taps = max(-(-kernel.shape[2] // factor), -(-padding // factor) + 1)  # per output and axis
    kernel = F.pad(kernel, (0, taps * factor - kernel.shape[2]) * d)
    for axis in range(d):
        kernel = kernel.unflatten(2 + 2 * axis, (taps, factor))  # (out, in, taps, factor, taps, factor, ...)
    tap_axes, phase_axes = range(2, 2 + 2 * d, 2), range(3, 3 + 2 * d, 2)
    kernel = kernel.flip(list(tap_axes)).permute(*phase_axes, 0, 1, *tap_axes).flatten(0, d)
    y = convolve(x, kernel, bias.repeat(factor**d), padding=taps - 1)
    return crop(depth_to_space(y, factor), size, start=padding)


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """Rearrange (N, factor^d · C, *S) -> (N, C, *factor·S); channels are ordered (position in the block, channel)."""
    d = x.ndim - 2
    x = x.movedim(1, -1).unflatten(-1, [factor] * d + [-1])  # (N, *S, *factor, C)
    x = x.permute(0, *(axis for i in range(1, d + 1) for axis in (i, d + i)), -1)  # (N, S1, factor, S2, ..., C)
    for axis in range(1, d + 1):
        x = x.flatten(axis, axis + 1)
    return x.movedim(-1, 1)


class _UpSampling(nn.Module, ABC):
    """Checks sizes; subclasses define `up`."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, size: Sequence[int], indices: Tensor | None = None) -> Tensor:
        if [-(-n // self.factor) for n in size] != list(x.shape[2:]):
            raise IsthmusError(
                f"a size of {tuple(size)} cannot come from {tuple(x.shape[2:])} by a factor of {self.factor}: "
                f"it must be between {tuple(self.factor * (n - 1) + 1 for n in x.shape[2:])} and "
                f"{tuple(self.factor * n for n in x.shape[2:])}"
            )
        return self.up(x, size, indices)

    @abstractmethod
    def up(self, x: Tensor, size: Sequence[int], indices: Tensor | None) -> Tensor:
        """Up-sample and convolve, sizes checked."""


class _ConvAfter(_UpSampling):
    """An up-sampling whose parameters are those of the plain convolution that follows it."""

    def __init__(
        self, num_spatial_dims: int, in_channels: int, out_channels: int, factor: int, kernel_size: int
    ) -> None:
        super().__init__(factor)
        fan_in = in_channels * kernel_size**num_spatial_dims * self.filled_share(factor**num_spatial_dims)
        self.conv = Conv(num_spatial_dims, in_channels, out_channels, kernel_size, fan_in=fan_in)

    def filled_share(self, block: int) -> float:
        """Share of the up-sampled positions that are not zero; `block` is the number of outputs for an input."""
        return 1.0


@upsamplings.register("nearest")
class Nearest(_ConvAfter):
    """Each value repeated, then a convolution, computed as one transposed convolution: fast, and a good default."""

    _spread: Tensor

    def __init__(
        self, num_spatial_dims: int, in_channels: int, out_channels: int, factor: int, kernel_size: int
    ) -> None:
        super().__init__(num_spatial_dims, in_channels, out_channels, factor, kernel_size)
        self.register_buffer("_spread", box_matrix(kernel_size, factor, num_spatial_dims), persistent=False)

    def up(self, x: Tensor, size: Sequence[int], indices: Tensor | None) -> Tensor:
        kernel = box_kernel(self.conv.weight, self._spread)
        return transposed_convolution(x, kernel, self.conv.bias, self.factor, self.conv.padding, size)


class _Interpolation(_ConvAfter):
    method: ClassVar[str]

    def up(self, x: Tensor, size: Sequence[int], indices: Tensor | None) -> Tensor:
        return crop(self.conv(resample(x, self.factor, self.method)), size)


@upsamplings.register("bilinear")
class Bilinear(_Interpolation):
    """Linear interpolation along each axis, then a convolution: smooth."""

    method = "bilinear"


@upsamplings.register("bicubic")
class Bicubic(_Interpolation):
    """Cubic interpolation (Keys 1981, a = -1/2) along each axis, then a convolution: sharper than bilinear."""

    method = "bicubic"


@upsamplings.register("lanczos3")
class Lanczos3(_Interpolation):
    """Lanczos interpolation with a radius of 3 along each axis, then a convolution: sharp."""

    method = "lanczos3"


@upsamplings.register("lanczos5")
class Lanczos5(_Interpolation):
    """Lanczos interpolation with a radius of 5 along each axis, then a convolution: sharpest, with some ringing."""

    method = "lanczos5"


@upsamplings.register("area")
class Area(Nearest):
    """Mean of the input under each output, then a convolution; at an integer factor the same as nearest."""


@upsamplings.register("transposed")
class Transposed(_UpSampling):
    """Transposed convolution whose kernel is a multiple of the factor, which avoids checkerboard patterns.

    The kernel has the smallest multiple of `factor` that is at least `kernel_size` and two times `factor`, so that
    every output is the sum of equally many terms and neighbours overlap (Odena et al. 2016, "Deconvolution and
    checkerboard artifacts", distill.pub).
    """

    def __init__(
        self, num_spatial_dims: int, in_channels: int, out_channels: int, factor: int, kernel_size: int
    ) -> None:
        super().__init__(factor)
        taps = max(2, -(-kernel_size // factor))
        self.padding = -(-(taps - 1) * factor // 2)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *[taps * factor] * num_spatial_dims))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        initialise(self.weight, in_channels * taps**num_spatial_dims)

    def up(self, x: Tensor, size: Sequence[int], indices: Tensor | None) -> Tensor:
        return transposed_convolution(x, self.weight.transpose(0, 1), self.bias, self.factor, self.padding, size)


@upsamplings.register("pixel-shuffle")
class PixelShuffle(_UpSampling):
    """A convolution that computes all pixels of a block as channels, which are then rearranged.

    Shi et al. (2016), arXiv:1609.05158, for any number of dimensions. It starts as a convolution followed by nearest
    up-sampling, so that there are no checkerboard patterns to unlearn (ICNR: Aitken et al. 2017, arXiv:1707.02937).
    """

    def __init__(
        self, num_spatial_dims: int, in_channels: int, out_channels: int, factor: int, kernel_size: int
    ) -> None:
        super().__init__(factor)
        block = factor**num_spatial_dims
        self.conv = Conv(num_spatial_dims, in_channels, block * out_channels, kernel_size)
        with torch.no_grad():
            one = self.conv.weight[:out_channels].clone()
            self.conv.weight.unflatten(0, (block, out_channels)).copy_(one)

    def up(self, x: Tensor, size: Sequence[int], indices: Tensor | None) -> Tensor:
        return crop(depth_to_space(self.conv(x), self.factor), size)


@upsamplings.register("max-unpool")
class MaxUnpool(_ConvAfter):
    """The opposite of max-pooling: each value goes back to where the maximum was, zeros elsewhere; then a convolution.

    `indices` are flat positions in the plane of `size`, as torch's pooling gives them (Zeiler & Fergus 2013,
    arXiv:1311.2901). They may cover the first samples of the batch only; the values of the other samples go to the
    centres of their windows.
    """

    def filled_share(self, block: int) -> float:
        return 1 / block

    def up(self, x: Tensor, size: Sequence[int], indices: Tensor | None) -> Tensor:
        places = self._centres(x, size)
        if indices is not None:
            places = torch.cat([indices.flatten(2), places[indices.shape[0] :]])
        plane = x.new_zeros(*x.shape[:2], math.prod(size)).scatter(2, places, x.flatten(2))
        filled: Tensor = self.conv(plane.unflatten(2, list(size)))
        return filled

    def _centres(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Flat position of the centre of each window, (N, C, prod(S))."""
        places = torch.zeros(1, dtype=torch.int64, device=x.device)
        for n, length in zip(x.shape[2:], size, strict=True):
            centres = (torch.arange(n, device=x.device) * self.factor + (self.factor - 1) // 2).clamp(max=length - 1)
            places = (places[:, None] * length + centres).flatten()
        return places.expand(*x.shape[:2], -1)


@upsamplings.register("zero-insertion")
class ZeroInsertion(_ConvAfter):
    """Zeros between the values, then a convolution, computed as one transposed convolution."""

    def filled_share(self, block: int) -> float:
        return 1 / block

    def up(self, x: Tensor, size: Sequence[int], indices: Tensor | None) -> Tensor:
        kernel = self.conv.weight.flip(list(range(2, x.ndim))).transpose(0, 1)
        return transposed_convolution(x, kernel, self.conv.bias, self.factor, self.conv.padding, size)
