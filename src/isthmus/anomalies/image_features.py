"""What a whole image looks like in a few numbers, without learning: its edges by direction and place."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_FINE, _WIDE = 36, 22  # parts of the longest side: deviations of the blur before edges are taken, and after
_LEAST_BLUR = 0.5
_PLACES = 14  # on the longest side, at which edges are told
_ANGLES = 8  # of edges in images
NEIGHBOURS = 5
_ROWS = 2048  # that are compared at a time


def edge_features(x: Tensor) -> Tensor:
    """Samples (N, C, *S) as rows (N, F) of length 1: how strong edges are, by direction and place.

    Histograms of gradients without hard bins (Dalal and Triggs 2005, "Histograms of oriented gradients"): brightness
    and contrast do not matter, small shifts matter little. Sides must have at least 2 values.
    """
    side, axes = max(x.shape[2:]), tuple(range(2, x.ndim))
    smooth = blurred(x, max(_LEAST_BLUR, side / _FINE))
    slopes = torch.stack(torch.gradient(smooth, dim=axes), -1)  # (N, C, *S, d)
    edges = F.relu(slopes @ _directions(len(axes)).to(x)).movedim(-1, 2).flatten(1, 2)  # (N, C · directions, *S)
    pooled = blurred(edges, max(_LEAST_BLUR, side / _WIDE))
    thinned: Any = (..., *[slice(None, None, max(1, side // _PLACES))] * len(axes))
    return F.normalize(pooled[thinned].flatten(1), dim=1)


def blurred(x: Tensor, deviation: float) -> Tensor:
    """Samples (N, C, *S) convolved with a normal distribution; outside are the values at the border.

    Zeros outside would make edges of the borders of all that is not black, and hide what there is to see.
    """
    radius = math.ceil(3 * deviation)
    places = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (places / deviation) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    for axis in range(2, x.ndim):
        lines = x.movedim(axis, -1)
        wide = F.pad(lines.reshape(-1, 1, lines.shape[-1]), (radius, radius), mode="replicate")
        x = F.conv1d(wide, kernel).view(lines.shape).movedim(-1, axis)
    return x


def distances(bank: Tensor, rows: Tensor, *, skip: int = 0) -> Tensor:
    """The mean distance of rows (n, F) to their five nearest of the bank (m, F): (n,).

    skip : how many of the nearest do not count: 1 where the rows are of the bank themselves.
    """
    squares, found = bank.square().sum(1), []
    for part in rows.split(_ROWS):
        apart = part.square().sum(1)[:, None] + squares - 2 * part @ bank.T
        nearest = apart.topk(min(NEIGHBOURS + skip, len(bank)), largest=False).values
        found.append(nearest[:, min(skip, len(bank) - 1) :].clamp(min=0).sqrt().mean(1))
    return torch.cat(found)


def _directions(d: int) -> Tensor:
    """Unit vectors (d, directions), each with its opposite."""
    if d == 2:
        angles = torch.arange(_ANGLES) * (2 * math.pi / _ANGLES)
        return torch.stack([angles.cos(), angles.sin()])
    return torch.cat([torch.eye(d), -torch.eye(d)], 1)
