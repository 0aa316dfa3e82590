"""Convolutions by whichever way is fastest are the same convolutions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from isthmus.networks.blocks import convolve

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 2), (3, 2), (5, 3), (3, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_one_and_more_channels(d: int, channels: int, kernel: int, stride: int, bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    for sizes in ([8] * d, [5, 7, 1][:d]):
        x = torch.randn(2, channels, *sizes, generator=generator)
        weight = torch.randn(6, channels, *[kernel] * d, generator=generator, requires_grad=True)
        b = torch.randn(6, generator=generator, requires_grad=True) if bias else None
        found = convolve(x, weight, b, stride, kernel // 2)
        expected = CONVOLUTIONS[d](x, weight, b, stride, kernel // 2)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        wanted = [weight] if b is None else [weight, b]
        g = torch.randn(expected.shape, generator=generator)
        for mine, theirs in zip(
            torch.autograd.grad(found, wanted, g), torch.autograd.grad(expected, wanted, g), strict=True
        ):
            torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)


def test_one_channel_with_a_gradient() -> None:
    x = torch.randn(2, 1, 9, 9, requires_grad=True)
    weight = torch.randn(4, 1, 3, 3)
    (found,) = torch.autograd.grad(convolve(x, weight, None, 2, 1).square().sum(), x)
    (expected,) = torch.autograd.grad(F.conv2d(x, weight, None, 2, 1).square().sum(), x)
    torch.testing.assert_close(found, expected)
