"""Running a denoiser over samples of any size: tiles that leave no seams, blind spots, averages over symmetries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.denoising.network import DenoisingNetwork

GRID = 4  # a blind spot every so many values on each axis
_TILE_VALUES = 1 << 19  # of one tile or batch
Result = tuple[Tensor, Tensor]  # the clean samples and the variances of their errors
Slices = tuple[slice, ...]


def clean(network: DenoisingNetwork, x: Tensor) -> Result:
    """Samples (N, C, *S) as the network sees them."""
    guess, spread = network.with_variance(x)
    return guess, spread.exp() * network.deviation**2


def without_itself(network: DenoisingNetwork, x: Tensor, *, rows: int = 0) -> Result:
    """Every value from the others alone: one pass for each grid of blind spots."""
    guess, variance = torch.empty_like(x), torch.empty_like(x)
    for grid in blind_grid(x.ndim - 2, rows):
        hidden, seen = hide(x, grid, rows)
        for whole, part in zip((guess, variance), clean(network, seen), strict=True):
            whole[..., hidden] = part[..., hidden]
    return guess, variance


def averaged(function: Callable[[Tensor], Result], x: Tensor, *, turns: bool) -> Result:
    """The mean over all flips of the axes and, with `turns`, quarter turns of the last two.

    Errors of different turns are not independent: the variance is not divided.
    """
    total: list[Tensor] = []
    axes = range(2, x.ndim)
    choices = [chosen for n in range(len(axes) + 1) for chosen in itertools.combinations(axes, n)]
    ways = list(itertools.product(choices, (False, True) if turns and x.ndim > 3 else (False,)))
    for flip, turn in ways:
        seen = x.flip(flip) if flip else x
        found = function(seen.transpose(-1, -2).contiguous() if turn else seen)
        back = [part.transpose(-1, -2) if turn else part for part in found]
        back = [part.flip(flip) if flip else part for part in back]
        total = [a + b for a, b in zip(total, back, strict=True)] if total else back
    guess, variance = (part / len(ways) for part in total)
    return guess, variance


def tiles(size: Sequence[int], channels: int, step: int, reach: int) -> Iterator[tuple[Slices, Slices, Slices]]:
    """Parts of a large sample: what is read, what is kept of that, and where it goes.

    A part reads `reach` values around what is kept, and begins at a multiple of `step`: the result is that of the
    whole.
    """
    d = len(size)
    side = max(step, int((_TILE_VALUES / channels) ** (1 / d)) // step * step)
    margin = -(-reach // step) * step
    if math.prod(size) * channels <= _TILE_VALUES:
        side = max(size)
    for start in itertools.product(*(range(0, n, side) for n in size)):
        ends = [min(n, a + side) for a, n in zip(start, size, strict=True)]
        low = [max(0, a - margin) for a in start]
        high = [min(n, b + margin) for b, n in zip(ends, size, strict=True)]
        read = tuple(map(slice, low, high))
        kept = tuple(slice(a - b, c - b) for a, b, c in zip(start, low, ends, strict=True))
        yield read, kept, tuple(map(slice, start, ends))


def blind_grid(num_spatial_dims: int, rows: int) -> list[tuple[tuple[int, int], ...]]:
    """Start and step on each axis, for each of the grids of blind spots that together cover everything.

    rows : see `hide`.
    """
    steps = [GRID] * num_spatial_dims
    if rows:
        steps[-1] = 2 * rows + 2
    return [tuple(zip(place, steps, strict=True)) for place in itertools.product(*map(range, steps))]


def hide(x: Tensor, grid: tuple[tuple[int, int], ...], rows: int) -> tuple[Tensor, Tensor]:
    """Where the blind spots of a grid are, bool (*spatial), and the samples with the means of neighbours there.

    rows : how many values along a row are hidden too, on both sides.
    """
    spatial = x.shape[2:]
    hidden = torch.zeros(spatial, dtype=torch.bool, device=x.device)
    hidden[tuple(slice(start, None, step) for start, step in grid)] = True
    covered = hidden
    if rows:
        wide = F.max_pool1d(hidden.float().reshape(-1, 1, spatial[-1]), 2 * rows + 1, 1, rows)
        covered = wide.reshape(spatial).bool()
    known = (~covered).to(x.dtype)
    d = x.ndim - 2
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[d - 1]
    sizes = [3] * (d - 1) + [2 * rows + 3]
    padding = [n // 2 for n in sizes]
    share = pool(known[None, None], sizes, 1, padding)
    mean = pool(x * known, sizes, 1, padding) / share.clamp(min=1e-6)
    return hidden, torch.where(covered, mean, x)
