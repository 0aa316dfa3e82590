"""Values that a network must not see when it cleans them: where they are hidden, and how they are mixed in again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.networks.unet import UNet
from isthmus.spec import Spec

GRID = 4  # a blind spot every so many values on each axis


@dataclass(frozen=True)
class Blind(Spec):
    """How values are cleaned without the network seeing them.

    rows : see `hide`. lost : whether only destroyed values are replaced: those at `ends`. levels, variances : the
    error's variance by the guess's level, and variance of the noise, where it is known: how much of the value itself is
    mixed in (Laine et al. 2019, "High-quality self-supervised deep image denoising", section 3).
    """

    rows: int = 0
    lost: str | None = None
    ends: tuple[float, float] = (0.0, 1.0)
    noise: float | None = None
    levels: tuple[float, ...] = ()
    variances: tuple[float, ...] = ()

    def mix(self, seen: Tensor, guess: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """The best mix of a value and of the guess that was made without it."""
        if self.lost is not None:
            destroyed = (seen == 0) if self.lost == "masking" else (seen <= self.ends[0]) | (seen >= self.ends[1])
            return torch.where(destroyed, guess, seen), torch.where(destroyed, variance, torch.zeros_like(variance))
        if self.noise is None:
            return guess, variance
        excess = np.interp(guess.cpu().numpy(), self.levels, self.variances).astype(np.float32)
        own = torch.from_numpy(excess).to(guess.device)
        share = own / (own + self.noise)
        return guess + share * (seen - guess), share * self.noise


def without_itself(network: UNet, x: Tensor, *, rows: int = 0) -> tuple[Tensor, Tensor]:
    """Every value from the others alone: one pass for each grid of blind spots."""
    guess, variance = torch.empty_like(x), torch.empty_like(x)
    for grid in blind_grid(x.shape[2:], rows):
        hidden, seen = hide(x, grid, rows)
        for whole, part in zip((guess, variance), network.clean(seen), strict=True):
            whole[..., hidden] = part[..., hidden]
    return guess, variance


def blind_grid(size: Sequence[int], rows: int) -> list[tuple[tuple[int, int], ...]]:
    """Start and step on each axis, for each of the grids of blind spots that together cover samples of a size.

    rows : see `hide`.
    """
    steps = [GRID] * len(size)
    if rows:
        steps[-1] = 2 * rows + 2
    return [tuple(zip(place, steps, strict=True)) for place in itertools.product(*map(range, map(min, steps, size)))]


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
    padding = [n // 2 for n in reversed(sizes) for _ in range(2)]  # by hand: pools refuse volumes smaller than they are
    share = pool(F.pad(known[None, None], padding), sizes, 1)
    mean = pool(F.pad(x * known, padding), sizes, 1) / share.clamp(min=1e-6)
    return hidden, torch.where(covered, mean, x)
