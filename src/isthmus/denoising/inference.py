"""Running a denoiser over samples of any size: tiles that leave no seams, and averages over symmetries."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.scaling import to_dtype
from isthmus.data.tiles import tiles
from isthmus.denoising.blind_spots import Blind, without_itself
from isthmus.denoising.noise import estimate_level
from isthmus.denoising.risk import Judgement, NoiseVariance, still
from isthmus.errors import IsthmusError
from isthmus.networks.unet import UNet, UNetSpec
from isthmus.training.task import in_memory_order

_STEP = 8  # tiles begin at multiples of it, those of blind spots too
Result = tuple[Tensor, Tensor]  # the clean samples and the variances of their errors


@dataclass(frozen=True)
class Cleaner:
    """A trained network over arrays of any size.

    blind : how values that the network must not see are cleaned, if there are any. zero, unit : what 0 and a difference
    of 1 mean to the network, in the arrays' own units. averaging : whether to take the mean over flips, and over
    quarter turns with `turns`. share : the part of what the network finds that is taken away. variance : that of the
    noise, if it is known; samples are then judged one by one.
    """

    network: UNet
    spec: UNetSpec
    blind: Blind | None
    zero: float
    unit: float
    averaging: bool
    turns: bool
    share: float = 1.0
    variance: NoiseVariance | None = None

    def channels_out(self, channels: int) -> int:
        """How many channels come out if so many go in."""
        inside, outside = self.spec.in_channels, self.spec.out_channels
        if channels == inside:
            return outside
        if inside == outside and 1 in (inside, channels):
            return channels
        raise IsthmusError(f"samples have {channels} channels, but the model was trained on {inside}")

    def clean(self, samples: np.ndarray, with_std: bool) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Samples (n, *spatial, channels), tile by tile.

        Returns the clean ones, float32 deviations of their errors, and how much of the noise was taken from each.
        """
        device = next(self.network.parameters()).device
        cleaned = np.empty((*samples.shape[:-1], self.channels_out(samples.shape[-1])), samples.dtype)
        std = np.zeros(cleaned.shape, np.float32) if with_std else None
        judgement = None if self.variance is None else Judgement(self.variance)
        levels = self._levels(samples, device)
        reach = self.network.reach + (_STEP if self.blind is not None else 0)
        for read, kept, place in tiles(samples.shape[1:-1], samples.shape[-1], max(_STEP, self.network.step), reach):
            part = np.moveaxis(samples[(slice(None), *read)], -1, 1)
            part = part - np.float64(self.zero) if self.zero else part
            x = torch.from_numpy(part.astype(np.float32) / np.float32(self.unit)).to(device)
            guess, variance = self._in_part(x, *self._run(x, levels))
            inner, where = (slice(None), slice(None), *kept), (slice(None), *place)
            if judgement is not None:
                quiet = still(x)
                guess, variance = torch.where(quiet, x, guess), variance.masked_fill(quiet, 0.0)
                judgement.add(x[inner], guess[inner], judgement.variance(x)[inner])
            if _is_wide(samples.dtype) and cleaned.shape == samples.shape:  # what is taken away fits float32
                taken = (x[inner].double() - guess[inner].double()) * self.unit
                values = np.moveaxis(samples[where], -1, 1).astype(np.float64) - taken.cpu().numpy()
            else:
                values = (guess[inner].double() * self.unit + self.zero).cpu().numpy()
            cleaned[where] = to_dtype(np.moveaxis(values, 1, -1), cleaned.dtype)
            if std is not None:
                std[where] = np.moveaxis((variance[inner].sqrt() * self.unit).cpu().numpy(), 1, -1)
        shares = np.full(len(samples), 1.0) if judgement is None else judgement.shares()
        for index in np.flatnonzero(shares < 1).tolist():
            self._keep_part(samples[index], cleaned[index], None if std is None else std[index], float(shares[index]))
        return cleaned, std, self.share * shares

    def _levels(self, samples: np.ndarray, device: torch.device) -> Tensor | None:
        """How strong the noise of each sample is, float32 (n,), the same for all of its tiles; None if nobody asks."""
        if self.spec.levels is None:
            return None
        found = [estimate_level(sample) / self.unit for sample in samples]
        return torch.tensor(found, dtype=torch.float32, device=device)

    def _in_part(self, x: Tensor, guess: Tensor, error: Tensor) -> Result:
        """Only a share of what the network takes away is taken away."""
        if self.share == 1:
            return guess, error
        base = x if x.shape[1] == guess.shape[1] else x.mean(1, keepdim=True)
        removed = guess - base
        noise = error + removed**2 if self.variance is None else self.variance(x)
        return base + self.share * removed, _left(self.share, noise, error)

    def _keep_part(self, sample: np.ndarray, cleaned: np.ndarray, std: np.ndarray | None, share: float) -> None:
        """The same of one sample that has less noise than was taken away."""
        removed = cleaned.astype(np.float64) - sample
        if std is not None:
            error = std.astype(np.float64) ** 2
            std[:] = np.sqrt(_left(share, error + removed**2, error))
        cleaned[:] = to_dtype(sample + share * removed, cleaned.dtype)

    @torch.inference_mode()
    def _run(self, x: Tensor, levels: Tensor | None) -> Result:
        """Samples (N, C, *S) as the network sees them: cleaned, and the variance of the error."""
        inside, channels = self.spec.in_channels, x.shape[1]
        if channels != inside:  # each colour by itself, or grey as a colour
            x = x.flatten(0, 1)[:, None] if inside == 1 else x.expand(-1, inside, *x.shape[2:])
        if levels is not None:
            levels = levels.repeat_interleave(len(x) // len(levels))
        x, once = in_memory_order(x), partial(self._once, levels=levels)
        guess, variance = averaged(once, x, turns=self.turns) if self.averaging else once(x)
        if channels != inside:
            guess, variance = (
                part.unflatten(0, (-1, channels))[:, :, 0] if inside == 1 else part.mean(1, keepdim=True)
                for part in (guess, variance)
            )
        return guess, variance

    def _once(self, x: Tensor, levels: Tensor | None) -> Result:
        if self.blind is None:
            return self.network.clean(x, levels)
        return self.blind.mix(x, *without_itself(self.network, x, rows=self.blind.rows))


def _is_wide(dtype: np.dtype) -> bool:
    """Whether a dtype holds numbers that float32 does not."""
    return dtype.itemsize > 2 and dtype != np.float32


def _left(share: float, noise: Any, error: Any) -> Any:
    """The variance of the error where a share of the noise is taken away, from those of the noise and of a whole one.

    What is taken away and what is left then have nothing to do with one another, as where a denoiser is at its best.
    """
    return (1 - share) ** 2 * noise + (2 - share) * share * error


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
