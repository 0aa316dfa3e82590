"""Every way of down-sampling, by name: a convolution that leaves ceil(size / factor) positions per axis.

Each entry is a builder ``(num_spatial_dims, in_channels, out_channels, factor, kernel_size) -> nn.Module`` whose
``forward`` maps (N, in_channels, *S) to ``(y, indices)``: y (N, out_channels, *ceil(S / factor)), and for max-pooling
where each maximum was found, which "max-unpool" takes, else None. Any size from 1 on is allowed.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.networks.blocks import Conv
from isthmus.registry import downsamplings

_MAX_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE_POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@downsamplings.register("stride")
class StridedConv(nn.Module):
    """A convolution with a stride: the cheapest, learns its own filter."""

    def __init__(
        self, num_spatial_dims: int, in_channels: int, out_channels: int, factor: int, kernel_size: int
    ) -> None:
        super().__init__()
        # a kernel that is narrower than the stride would never see some positions: take the next odd size
        kernel_size = max(kernel_size, factor | 1)
        self.conv = Conv(num_spatial_dims, in_channels, out_channels, kernel_size, stride=factor)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.conv(x), None


class _Pooling(nn.Module):
    def __init__(
        self, num_spatial_dims: int, in_channels: int, out_channels: int, factor: int, kernel_size: int
    ) -> None:
        super().__init__()
        self.factor = factor
        self.conv = Conv(num_spatial_dims, in_channels, out_channels, kernel_size)


@downsamplings.register("max-pool")
class MaxPool(_Pooling):
    """A convolution, then the maximum of each window; where it was can be handed to max-unpool."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        y, indices = _MAX_POOLS[x.ndim - 2](self.conv(x), self.factor, ceil_mode=True, return_indices=True)
        return y, indices


@downsamplings.register("avg-pool")
class AveragePool(_Pooling):
    """A convolution, then the mean of each window; a window that is cut off by the border counts what is inside."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        y = self.conv(x)
        window = [min(self.factor, n) for n in y.shape[2:]]  # torch refuses a window that is larger than the input
        return _AVERAGE_POOLS[x.ndim - 2](y, window, ceil_mode=True, count_include_pad=False), None
