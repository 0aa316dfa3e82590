from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from isthmus.errors import IsthmusError
from isthmus.networks.blocks import HIDDEN_GAIN, Conv, as_output, convolve, crop
from isthmus.networks.downsample import MaxPool
from isthmus.networks.upsample import (
    PixelShuffle,
    Transposed,
    box_kernel,
    box_matrix,
    depth_to_space,
    transposed_convolution,
)
from isthmus.registry import upsamplings

TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(y: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y, inputs, random(*y.shape, seed=9))


@pytest.mark.parametrize("num_spatial_dims", [1, 2, 3])
@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("out_channels", [2, 9])  # two ways of computing it
def test_fused_nearest_equals_upsampling_then_convolution(
    num_spatial_dims: int, factor: int, kernel_size: int, out_channels: int
) -> None:
    shape = (3, 2, 4)[:num_spatial_dims]
    module: Any = upsamplings["nearest"](num_spatial_dims, 2, out_channels, factor, kernel_size).double()
    torch.nn.init.normal_(module.conv.bias)
    x = random(2, 2, *shape).requires_grad_()
    inputs = (x, module.conv.weight, module.conv.bias)
    up = F.interpolate(x, scale_factor=factor, mode="nearest")
    for missing in range(min(factor, 2)):  # the last position may be cut off
        size = [factor * n - missing for n in shape]
        expected = crop(convolve(up, module.conv.weight, module.conv.bias, padding=kernel_size // 2), size)
        found = module(x, size)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradients(found, *inputs), gradients(expected, *inputs))


@settings(max_examples=60, deadline=None)
@given(
    d=st.integers(1, 3),
    factor=st.integers(1, 4),
    taps=st.integers(1, 6),
    padding=st.integers(0, 2),
    channels=st.sampled_from([1, 9]),
)
def test_both_ways_of_computing_a_transposed_convolution(
    d: int, factor: int, taps: int, padding: int, channels: int
) -> None:
    kernel_size = max(taps, 2 * padding + 1)
    x, kernel = random(1, 2, *[3] * d), random(channels, 2, *[kernel_size] * d, seed=1)
    bias = random(channels, seed=2)
    full = TRANSPOSED[d](x, kernel.transpose(0, 1), bias, stride=factor)
    length = min(3 * factor, full.shape[2] - 2 * padding)
    if length >= 1:
        found = transposed_convolution(x, kernel.transpose(0, 1), bias, factor, padding, [length] * d)
        torch.testing.assert_close(found, crop(full, [length] * d, start=padding))


def test_box_kernel_of_a_single_tap_is_a_box() -> None:
    assert torch.equal(box_kernel(torch.ones(1, 1, 1, 1), box_matrix(1, 3, 2)), torch.ones(1, 1, 3, 3))


@pytest.mark.parametrize("num_spatial_dims", [1, 2, 3])
@pytest.mark.parametrize("factor", [2, 3])
def test_zero_insertion_puts_zeros_between(num_spatial_dims: int, factor: int) -> None:
    for out_channels in (2, 9):
        module: Any = upsamplings["zero-insertion"](num_spatial_dims, 3, out_channels, factor, 3).double()
        shape = (3, 4, 2)[:num_spatial_dims]
        x, size = random(2, 3, *shape), [factor * n for n in shape]
        plane = x.new_zeros(2, 3, *size)
        every: tuple[Any, ...] = (..., *[slice(None, None, factor)] * num_spatial_dims)
        plane[every] = x
        torch.testing.assert_close(module(x, size), module.conv(plane))


@pytest.mark.parametrize("num_spatial_dims", [1, 2, 3])
@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_transposed_convolution_covers_every_output_equally(
    num_spatial_dims: int, factor: int, kernel_size: int
) -> None:
    for out_channels in (1, 9):
        module = Transposed(num_spatial_dims, 1, out_channels, factor, kernel_size)
        torch.nn.init.ones_(module.weight)
        shape = (6, 5, 7)[:num_spatial_dims]
        y = module(torch.ones(1, 1, *shape), [factor * n for n in shape])
        inside = y[(..., *[slice(2 * factor, -2 * factor)] * num_spatial_dims)]
        assert inside.numel() > 0
        assert inside.unique().numel() == 1


@pytest.mark.parametrize("num_spatial_dims", [1, 2, 3])
@pytest.mark.parametrize("factor", [2, 3])
def test_pixel_shuffle_starts_as_convolution_then_nearest(num_spatial_dims: int, factor: int) -> None:
    module = PixelShuffle(num_spatial_dims, 3, 2, factor, 3)
    shape = (4, 3, 5)[:num_spatial_dims]
    x, size = torch.rand(2, 3, *shape), [factor * n - 1 for n in shape]
    coarse = convolve(x, module.conv.weight[:2], module.conv.bias[:2], padding=1)
    torch.testing.assert_close(module(x, size), crop(F.interpolate(coarse, scale_factor=factor, mode="nearest"), size))


def test_depth_to_space_is_torchs_pixel_shuffle() -> None:
    x = torch.rand(2, 12, 3, 5)
    grouped = x.unflatten(1, (4, 3)).transpose(1, 2).flatten(1, 2)  # torch has the channel first
    assert torch.equal(depth_to_space(x, 2), F.pixel_shuffle(grouped, 2))


@pytest.mark.parametrize("num_spatial_dims", [1, 2, 3])
@pytest.mark.parametrize("factor", [2, 3])
def test_max_unpool_puts_each_maximum_where_it_was(num_spatial_dims: int, factor: int) -> None:
    shape = (7, 5, 4)[:num_spatial_dims]
    pool = MaxPool(num_spatial_dims, 2, 2, factor, 1)
    unpool: Any = upsamplings["max-unpool"](num_spatial_dims, 2, 2, factor, 1)
    for conv in (pool.conv, unpool.conv):  # both convolutions out of the way
        torch.nn.init.dirac_(conv.weight)
    x = torch.rand(3, 2, *shape)
    maxima, indices = pool(x)
    found = unpool(maxima, shape, indices)
    assert (found != 0).sum() == maxima.numel()
    assert torch.equal(found, torch.where(found != 0, x, 0))
    assert torch.equal(pool(found)[0], maxima)


def test_max_unpool_without_indices_takes_the_centres() -> None:
    module: Any = upsamplings["max-unpool"](1, 1, 1, 3, 1)
    torch.nn.init.ones_(module.conv.weight)
    x = torch.tensor([[[1.0, 2, 3]], [[4, 5, 6]]])
    centres = [0, 1, 0, 0, 2, 0, 3], [0, 4, 0, 0, 5, 0, 6]  # the last window is cut to one position
    assert module(x, (7,)).flatten(1).tolist() == [*centres]
    first_only = torch.tensor([[[2, 3, 6]]])  # indices for the first sample alone
    assert module(x, (7,), first_only).flatten(1).tolist() == [[0, 0, 1, 2, 0, 0, 3], centres[1]]


@pytest.mark.parametrize("name", upsamplings.names())
def test_impossible_sizes_are_refused(name: str) -> None:
    module = upsamplings[name](2, 1, 1, 3, 3)
    with pytest.raises(IsthmusError, match=r"\(9, 6\) cannot come from \(3, 3\).*between \(7, 7\) and \(9, 9\)"):
        module(torch.rand(1, 1, 3, 3), (9, 6))


@pytest.mark.parametrize("name", upsamplings.names())
def test_upsampling_starts_with_about_unit_gain(name: str) -> None:
    torch.manual_seed(0)
    module = upsamplings[name](2, 64, 64, 2, 3)
    x = torch.randn(8, 64, 10, 10)
    variance = module(x, (20, 20))[..., 4:-4, 4:-4].var().item() / HIDDEN_GAIN**2
    # interpolation smooths white noise: less than 1 there; repeated values add up: more than 1
    assert 0.15 < variance < 3
    smaller = as_output(module)(x, (20, 20)).std().item()
    assert smaller < 0.5 * math.sqrt(variance) * HIDDEN_GAIN


def test_conv_refuses_what_does_not_keep_sizes() -> None:
    with pytest.raises(IsthmusError, match=r"kernel_size \(=4\) must be odd"):
        Conv(2, 1, 1, 4)
    with pytest.raises(IsthmusError, match=r"num_spatial_dims \(=4\)"):
        Conv(4, 1, 1, 3)
