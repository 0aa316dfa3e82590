"""Parts of images and signals that a network must guess from what is around them.

    sample ──hide──▶ a quarter of its cells is replaced by the mean of what is around ──network──▶ a guess of these

Every value is guessed once for each size of cells, without the network having seen it (Zavrtanik, Kristan and Skocaj
2021, "Reconstruction by inpainting for visual anomaly detection").
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.networks.unet import UNet

SIZES = {1: (4, 8, 16), 2: (2, 4, 8), 3: (2, 4)}  # of cells, by the number of axes


def cell_sizes(shape: Sequence[int]) -> tuple[int, ...]:
    """The sizes of cells that fit samples of a shape: on the shortest axis there are to be three."""
    fitting = tuple(size for size in SIZES[len(shape)] if 3 * size <= min(shape))
    return fitting or SIZES[len(shape)][:1]


def colouring(shape: Sequence[int], size: int, start: Sequence[int], device: torch.device) -> Tensor:
    """Cells in 2^d colours, as a chessboard has two, so that each has others around it: int64 (*shape).

    start : how far the first cell begins before the first value, on each axis.
    """
    colours = torch.zeros(tuple(shape), dtype=torch.int64, device=device)
    for axis, (n, first) in enumerate(zip(shape, start, strict=True)):
        odd = (torch.arange(n, device=device) + first) // size % 2
        colours = 2 * colours + odd.view(-1, *[1] * (len(shape) - 1 - axis))
    return colours


def hide(x: Tensor, hidden: Tensor, size: int) -> Tensor:
    """Samples (N, C, *S) with the mean of what is around it in place of what is hidden, bool (*S)."""
    known = (~hidden).to(x.dtype)
    mean = _averaged(x * known, size) / _averaged(known[None, None], size).clamp(min=1e-6)
    return torch.where(hidden, mean, x)


def _averaged(x: Tensor, reach: int) -> Tensor:
    """The mean of so many values on both sides, on each axis; zeros outside."""
    for axis in range(2, x.ndim):
        lines = x.movedim(axis, -1)
        means = F.avg_pool1d(lines.flatten(0, -2)[:, None], 2 * reach + 1, 1, reach)
        x = means.view(lines.shape).movedim(-1, axis)
    return x


def guessed(network: UNet, x: Tensor, size: int, start: Sequence[int] | None = None) -> Tensor:
    """Samples (N, C, *S) as the network guesses each cell from the others: one pass for each colour."""
    shape = x.shape[2:]
    colours, guess = colouring(shape, size, start or [0] * len(shape), x.device), torch.empty_like(x)
    for colour in range(2 ** len(shape)):
        hidden = colours == colour
        guess = torch.where(hidden, network(hide(x, hidden, size)), guess)
    return guess


def guesses(network: UNet, x: Tensor, *, thorough: bool) -> list[Tensor]:
    """Samples (N, C, *S) guessed with cells of one size.

    thorough : of every size that fits, and each twice, half a cell apart, so that the borders of cells do not show.
    """
    sizes, d = cell_sizes(x.shape[2:]), x.ndim - 2
    if not thorough:
        return [guessed(network, x, sizes[len(sizes) // 2])]
    return [guessed(network, x, size, [start] * d) for size in sizes for start in (0, size // 2)]
