"""What may happen to a sample without making it another one: augmentations by name.

An augmentation is one function ``(x, generator) -> changed x`` on scaled samples, (N, C, *spatial) or (N, features).
A code that tells a sample and its changed self from all others has to hold what matters: see `estimators/tasks.py`.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from isthmus.errors import IsthmusError
from isthmus.registry import augmentations
from isthmus.share import count_of, drawn, whole

_TURN, _ZOOM, _SHEAR, _SHIFT = 0.26, 0.12, 0.1, 0.08  # radians (15°), shares of the size
_EXCHANGED = 0.3  # share of the cells of a row


@augmentations.register("warp")
def warp(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Turned by up to 15°, zoomed by up to 12 %, sheared and shifted a little: for images, signals and volumes."""
    if x.ndim < 3:
        raise IsthmusError("augmentation 'warp' moves pixels; rows of a table have none: take 'exchange'")
    if x.ndim == 3:  # a signal: as an image of one row, which is neither turned nor sheared
        return _moved(x.unsqueeze(2), generator, turn=0.0, shear=0.0).squeeze(2)
    return _moved(x, generator, turn=_TURN, shear=_SHEAR)


@augmentations.register("exchange")
def exchange(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Three in ten values of a row come from other rows: Bahri et al. 2022, "SCARF", ICLR, arXiv:2106.15147."""
    if x.ndim > 2:
        raise IsthmusError("augmentation 'exchange' swaps cells of tables; for images take 'warp'")
    chance = drawn(torch.rand, x.shape, generator, device=x.device)
    rows = drawn(partial(torch.randint, count_of(len(x), generator)), x.shape, generator, device=x.device)
    return torch.where(chance < _EXCHANGED, whole(x, generator).gather(0, rows), x)


def _moved(x: Tensor, generator: Generator | None, *, turn: float, shear: float) -> Tensor:
    """Every sample (C, *spatial) under an affine map of its own."""
    n, d = len(x), x.ndim - 2

    def uniform(*shape: int) -> Tensor:
        return 2 * drawn(torch.rand, (n, *shape), generator, device=x.device) - 1

    # The exponential of an antisymmetric matrix is a rotation; a little of everything else makes zoom and shear.
    spin = torch.triu(uniform(d, d), 1) * turn
    zoom = torch.diag_embed(1 + _ZOOM * uniform(1).expand(n, d))
    linear = torch.linalg.matrix_exp(spin - spin.mT) @ (zoom + torch.triu(uniform(d, d), 1) * shear)
    affine = torch.cat([linear, 2 * _SHIFT * uniform(d, 1)], dim=2)  # the grid runs from -1 to 1
    grid = F.affine_grid(affine, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)
