"""Convolution and activation for 1, 2 or 3 spatial dimensions, and how weights start."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.errors import IsthmusError
from isthmus.registry import activations

HIDDEN_GAIN = math.sqrt(2)  # in front of an activation that halves the variance
CODE_GAIN = 1.0  # no activation follows: the code keeps the variance of what it is computed from
OUTPUT_GAIN = 0.3  # the first reconstructions are near zero, so that early gradients say what to add

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def initialise(weight: Tensor, fan_in: float, gain: float = HIDDEN_GAIN) -> None:
    """Draw weights from a normal distribution of standard deviation gain / sqrt(fan_in); biases start at zero.

    `fan_in` is the number of values that add up to one output. With the gain of sqrt(2) a stack of layers keeps the
    variance of its input (He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852, section 2.2); layers
    that no activation follows take CODE_GAIN or OUTPUT_GAIN.
    """
    nn.init.normal_(weight, std=gain / math.sqrt(fan_in))


@torch.no_grad()
def as_output(module: nn.Module) -> nn.Module:
    """Scale the weights of a hidden layer to those of an output layer, in place; returns the module."""
    for parameter in module.parameters():
        parameter.mul_(OUTPUT_GAIN / HIDDEN_GAIN)
    return module


def linear(in_features: int, out_features: int, gain: float = HIDDEN_GAIN) -> nn.Linear:
    """A fully connected layer, (N, in_features) -> (N, out_features), initialised as above."""
    layer = nn.Linear(in_features, out_features)
    initialise(layer.weight, in_features, gain)
    nn.init.zeros_(layer.bias)
    return layer


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, padding: int = 0) -> Tensor:
    """torch's conv1d, conv2d or conv3d, whichever fits: (N, in, *S) * (out, in, *K) -> (N, out, *T).

    On CPUs the bfloat16 gradient of a strided kernel is uninitialised memory where the last axis has one position (seen
    with torch 2.13), so that such layers compute in float32. Samples of one channel go through a matrix product there,
    several times faster: torch's strided convolutions of these reach a hundredth of what a CPU can do.
    """
    exporting = torch.compiler.is_compiling()
    if stride > 1 and x.device.type == "cpu" and weight.shape[1] == 1 and not (x.requires_grad or exporting):
        return _convolve_grey(x, weight, bias, stride, padding)
    if stride > 1 and x.shape[-1] == 1 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            return convolve(x.float(), weight, bias, stride, padding)
    return _CONVOLUTIONS[weight.ndim - 2](x, weight, bias, stride=stride, padding=padding)


def _convolve_grey(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """`convolve` as a product of the kernel and what it sees at every position; for inputs without a gradient."""
    d, kernel = x.ndim - 2, weight.shape[2:]
    x = F.pad(x.movedim(1, -1), (0, 0, *[padding] * (2 * d))).contiguous()  # (N, *S, in)
    sizes = [(n - k) // stride + 1 for n, k in zip(x.shape[1:-1], kernel, strict=True)]
    steps = x.stride()[1:-1]
    patches = x.as_strided(
        (len(x), *sizes, *kernel, x.shape[-1]), (x.stride(0), *(stride * step for step in steps), *steps, 1)
    )
    matrix = weight.movedim(1, -1).flatten(1).t().contiguous()  # (prod(K) · in, out): torch's gradient likes that order
    return F.linear(patches.flatten(d + 1), matrix.t(), bias).movedim(-1, 1)


class Conv(nn.Module):
    """A convolution over 1, 2 or 3 spatial dimensions whose output has ceil(size / stride) positions per axis.

    (N, in_channels, *S) -> (N, out_channels, *ceil(S / stride)), zeros outside.
    `kernel_size` must be odd; `fan_in` is for layers whose input is mostly zeros (see `initialise`).
    """

    def __init__(
        self,
        num_spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        gain: float = HIDDEN_GAIN,
        fan_in: float | None = None,
    ) -> None:
        super().__init__()
        if num_spatial_dims not in _CONVOLUTIONS:
            raise IsthmusError(f"num_spatial_dims (={num_spatial_dims}) must be 1, 2 or 3")
        if kernel_size % 2 == 0:
            raise IsthmusError(f"kernel_size (={kernel_size}) must be odd, so that sizes are kept")
        self.stride, self.padding = stride, kernel_size // 2
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *[kernel_size] * num_spatial_dims))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        initialise(self.weight, fan_in or in_channels * kernel_size**num_spatial_dims, gain)

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.weight, self.bias, self.stride, self.padding)

    def extra_repr(self) -> str:
        out_channels, in_channels, *kernel = self.weight.shape
        return f"{in_channels}, {out_channels}, kernel_size={kernel}, stride={self.stride}"


def crop(x: Tensor, size: Sequence[int], start: int = 0) -> Tensor:
    """The part of (N, C, *S) that begins at `start` on every spatial axis and has the given size: a view."""
    for axis, length in enumerate(size, start=2):
        if start or x.shape[axis] != length:
            x = x.narrow(axis, start, length)
    return x


@activations.register("silu")
def silu() -> nn.Module:
    """x * sigmoid(x): smooth, and a good default (Elfwing et al. 2017, arXiv:1702.03118)."""
    return nn.SiLU()


@activations.register("relu")
def relu() -> nn.Module:
    """max(0, x): the cheapest."""
    return nn.ReLU()


@activations.register("gelu")
def gelu() -> nn.Module:
    """x * Φ(x), Φ the normal distribution (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return nn.GELU()


@activations.register("elu")
def elu() -> nn.Module:
    """x above zero, exp(x) - 1 below (Clevert et al. 2015, arXiv:1511.07289)."""
    return nn.ELU()


@activations.register("leaky-relu")
def leaky_relu() -> nn.Module:
    """x above zero, 0.01 x below (Maas et al. 2013)."""
    return nn.LeakyReLU()


@activations.register("tanh")
def tanh() -> nn.Module:
    """Hyperbolic tangent: bounded by -1 and 1."""
    return nn.Tanh()


@activations.register("softplus")
def softplus() -> nn.Module:
    """log(1 + exp(x)): smooth and always positive."""
    return nn.Softplus()


@activations.register("identity")
def identity() -> nn.Module:
    """No activation: a linear auto-encoder, which learns what PCA learns."""
    return nn.Identity()
