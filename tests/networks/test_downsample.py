from __future__ import annotations

from typing import Any

import pytest
import torch

from isthmus.networks.downsample import AveragePool, MaxPool, StridedConv
from isthmus.registry import downsamplings


@pytest.mark.parametrize("name", downsamplings.names())
@pytest.mark.parametrize("factor", [2, 3, 5])
def test_sizes_are_rounded_up(name: str, factor: int) -> None:
    module = downsamplings[name](1, 2, 3, factor, 3)
    for size in range(1, 13):
        y, indices = module(torch.rand(2, 2, size))
        assert y.shape == (2, 3, -(-size // factor))
        assert (indices is not None) == (name == "max-pool")


@pytest.mark.parametrize("num_spatial_dims", [1, 2, 3])
def test_pooling_of_windows_that_are_cut_off(num_spatial_dims: int) -> None:
    for shape in ((7, 4, 5)[:num_spatial_dims], (1, 2, 1)[:num_spatial_dims]):
        average, maximum = (cls(num_spatial_dims, 1, 1, 3, 1) for cls in (AveragePool, MaxPool))
        for module in (average, maximum):
            torch.nn.init.ones_(module.conv.weight)
        x = -torch.rand(1, 1, *shape) - 1  # negative: a zero from outside would win the maximum
        for place in torch.cartesian_prod(*[torch.arange(-(-n // 3)) for n in shape]).reshape(-1, num_spatial_dims):
            window = x[0, 0][tuple(slice(3 * i, 3 * i + 3) for i in place.tolist())]
            at = (0, 0, *place.tolist())
            torch.testing.assert_close(average(x)[0][at], window.mean())
            torch.testing.assert_close(maximum(x)[0][at], window.max())


def test_strided_convolution_sees_every_position() -> None:
    module = StridedConv(1, 1, 1, 4, 1)  # a kernel of 1 would skip three of four
    torch.nn.init.ones_(module.conv.weight)
    x = torch.zeros(1, 1, 16).requires_grad_()
    (gradient,) = torch.autograd.grad(module(x)[0].sum(), x)
    assert (gradient[..., :14] > 0).all()


@pytest.mark.parametrize("spatial", [(1,), (1, 1), (5, 1)])
def test_gradients_of_one_position_are_right_in_bfloat16(spatial: tuple[int, ...]) -> None:
    """Where the last axis has one position, torch's own bfloat16 gradient of a strided kernel can be anything."""
    torch.manual_seed(0)
    stage: Any = downsamplings["stride"](len(spatial), 4, 8, 2, 3)
    x = torch.rand(6, 4, *spatial)
    gradients = []
    for enabled in (False, True):
        stage.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            stage(x)[0].float().sum().backward()
        gradients.append(stage.conv.weight.grad.clone())
    torch.testing.assert_close(*gradients, rtol=0.02, atol=0.02)
