"""An auto-encoder of images of any size that starts as the best linear one: principal components of patches.

Training turns the components into overlapping ones (a lapped transform: Malvar and Staelin 1989, "The LOT: transform
coding without blocking effects") and learns to repair what rounding leaves behind.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.errors import IsthmusError

_REACH = 4  # pixels that a component reaches beyond its patch
_LARGEST_PATCH, _WIDEST = 64, 256  # of a model from a file
_STEEPNESS = 10.0  # of the logarithms of strengths, beside what is learned: they learn faster
_PACE = 0.15  # how much slower the components learn than the rest


@dataclass(frozen=True)
class PatchSettings:
    """What a stored `PatchNetwork` is made of; see there."""

    channels: int
    patch: int
    codes: int
    hidden: int
    strengths: int = 0

    def __post_init__(self) -> None:
        least = min(self.channels, self.patch, self.codes, self.hidden, self.strengths + 1)
        if not (least >= 1 and self.patch <= _LARGEST_PATCH and max(self.hidden, self.strengths) <= _WIDEST):
            raise IsthmusError(f"a network of patches cannot be made of {vars(self)}")


class PatchNetwork(nn.Module):
    """Patches to components and back, and a small network that cleans the result.

        x (N, C, H, W) ──kernels of patch + 8, step patch──▶ y (N, codes, H / patch, W / patch)
        y ──transposed──▶ x0 ──+ repair(x0)──▶ x' (N, C, H, W)

    patch : side of the patches. patches : float32 (n, channels, patch, patch) to take the principal components of.
    background : the value that codes of 0 stand for; by default the mean of each channel. strengths : number of
    qualities, evenly spread, at which cleaning has a strength of its own: coarse rounding leaves more to clean.
    """

    strengths: nn.Parameter | None

    def __init__(
        self,
        channels: int,
        patch: int,
        codes: int,
        hidden: int,
        patches: np.ndarray | None = None,
        background: float | None = None,
        strengths: int = 0,
    ) -> None:
        super().__init__()
        self.patch = patch
        shape = (codes, channels, patch + 2 * _REACH, patch + 2 * _REACH)
        self.components: Tensor
        self.register_buffer("components", torch.zeros(codes, channels, patch, patch))
        self.mean = nn.Parameter(torch.full((channels,), 0.5))
        if patches is not None:
            self._start(patches, codes, background)
        self.analysis, self.synthesis = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(shape))
        widths = (4 * channels, hidden, hidden, 4 * channels)
        self.repair = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        for layer in self.repair:
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.repair[-1].weight)  # type: ignore[arg-type]
        self.strengths = nn.Parameter(torch.zeros(strengths, sum(widths[1:]))) if strengths else None

    def _start(self, patches: np.ndarray, codes: int, background: float | None) -> None:
        rows = patches.reshape(len(patches), -1).astype(np.float64)
        mean = patches.mean((0, 2, 3))
        if background is not None:
            mean = np.full_like(mean, background)
        rows -= np.repeat(mean, self.patch**2)
        _, vectors = np.linalg.eigh(rows.T @ rows)
        best = vectors[:, ::-1][:, :codes].T.reshape(codes, *patches.shape[1:])
        self.components.copy_(torch.from_numpy(best.copy()))
        self.mean.data = torch.from_numpy(mean.astype(np.float32))

    def encode(self, x: Tensor) -> Tensor:
        """Components of every patch, (N, codes, *self.grid((H, W)))."""
        height, width = x.shape[2:]
        rows, columns = self.grid((height, width))
        pad = (0, columns * self.patch - width, 0, rows * self.patch - height)
        x = F.pad(x - self.mean[:, None, None], pad, mode="replicate")
        return F.conv2d(F.pad(x, (_REACH,) * 4, mode="replicate"), self._kernels(self.analysis), stride=self.patch)

    def grid(self, size: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of codes for images of that height and width: an even number of pixels in each."""
        step = 1 if self.patch % 2 == 0 else 2
        rows, columns = (step * -(-n // (step * self.patch)) for n in size)
        return rows, columns

    def decode(self, y: Tensor, spatial: Sequence[int], strengths: Tensor | None = None) -> Tensor:
        """Images of that height and width. strengths : rows of `strengths`, (N or 1, all channels)."""
        x = self._pixels(y)
        x = x + F.pixel_shuffle(self._repaired(F.pixel_unshuffle(x, 2), strengths), 2) + self.mean[:, None, None]
        return x[:, :, : spatial[0], : spatial[1]]

    def _repaired(self, z: Tensor, strengths: Tensor | None) -> Tensor:
        layers = [layer for layer in self.repair if isinstance(layer, nn.Conv2d)]
        gains: Sequence[Tensor | None] = [None] * len(layers)
        if strengths is not None:
            each = (_STEEPNESS * strengths).exp()[:, :, None, None]
            gains = each.split([layer.out_channels for layer in layers], 1)
        for i, (layer, gain) in enumerate(zip(layers, gains, strict=True)):
            z = F.silu(z) if i else z
            if gain is None:
                z = layer(z)
            elif len(gain) > 1 or layer.bias is None:
                z = layer(z) * gain
            else:  # the same for all samples: the weights are fewer than what they give
                z = F.conv2d(z, layer.weight * gain.movedim(1, 0), layer.bias * gain.flatten(), padding=1)
        return z

    def energies(self) -> Tensor:
        """The sum of squares of what each component adds to an image, (codes,)."""
        energies: Tensor = self._kernels(self.synthesis).square().sum((1, 2, 3))
        return energies

    def _pixels(self, y: Tensor) -> Tensor:
        """The sum of all components: what a transposed convolution gives, as one that makes whole patches of pixels.

        Processors take several times as long for the transposed one.
        """
        kernels, patch = self._kernels(self.synthesis), self.patch  # (codes, C, patch + 8, patch + 8)
        taps = -(-kernels.shape[-1] // patch)  # patches that a component reaches
        room = taps * patch - kernels.shape[-1]
        parts = F.pad(kernels, (0, room, 0, room)).unflatten(3, (taps, patch)).unflatten(2, (taps, patch))
        weight = parts.flip(2, 4).permute(3, 5, 1, 0, 2, 4).flatten(0, 2)  # (patch · patch · C, codes, taps, taps)
        z = F.conv2d(F.pad(y, (taps - 1,) * 4), weight).permute(0, 2, 3, 1)
        x: Tensor = z.unflatten(3, (patch, patch, -1)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        height, width = (n * patch for n in y.shape[2:])
        return x[:, _REACH : _REACH + height, _REACH : _REACH + width].permute(0, 3, 1, 2)

    def _kernels(self, learned: Tensor) -> Tensor:
        return F.pad(self.components, (_REACH,) * 4) + _PACE * learned
