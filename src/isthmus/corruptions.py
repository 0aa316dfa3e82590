"""What is done to X before f sees it: corruptions by name.

Several at once are joined with a plus, in the order in which they happen: ``"poisson:30+gaussian:0.05"``.

A corruption is one function ``(x, level, generator) -> corrupted x`` on scaled samples, (N, C, *spatial) or
(N, features). `level` is a tensor of shape (N,), so that every sample can have its own, or one number; its default in
the signature is the default of the command line.

Nothing is clipped to the range of the data: clipped noise has a mean other than zero near black and white, and a
network that learns to undo it learns that bias.
"""

from __future__ import annotations

import inspect

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from isthmus.errors import IsthmusError
from isthmus.registry import corruptions
from isthmus.share import drawn, own, whole
from isthmus.spec import Choice, parse_corruption

_FRACTIONS = {"salt-and-pepper", "masking", "block-masking"}  # their level is a share: at most 1
ROW_REACH = 3  # positions along a row within which "rows" is correlated
_BLOCK = 4  # blocks are a quarter as long as the shortest side


@corruptions.register("gaussian")
def gaussian(x: Tensor, level: Tensor | float = 0.1, generator: Generator | None = None) -> Tensor:
    """Gaussian noise; the level is its standard deviation in scaled units."""
    return x + _broadcast(level, x) * _normal(x, generator)


@corruptions.register("poisson")
def poisson(x: Tensor, level: Tensor | float = 30.0, generator: Generator | None = None) -> Tensor:
    """Photon noise; the level is the expected count at full brightness: Poisson(x · level) / level."""
    if x.ndim == 2 and bool((x < 0).any()):
        raise IsthmusError(
            "corruption 'poisson' is the noise of counts and needs values of at least 0, but this table has been "
            "standardised; take 'gaussian' or 'masking'"
        )
    peak = _broadcast(level, x)
    rates = whole(x.float().clamp(min=0) * peak, generator)  # how many random numbers a count takes depends on its rate
    return own(torch.poisson(rates, generator), generator).to(x.dtype) / peak


@corruptions.register("speckle")
def speckle(x: Tensor, level: Tensor | float = 0.2, generator: Generator | None = None) -> Tensor:
    """Noise that grows with the signal (radar, ultrasound, lasers): x · (1 + level · n), n standard normal."""
    return x + _broadcast(level, x) * x * _normal(x, generator)


@corruptions.register("rows")
def rows(x: Tensor, level: Tensor | float = 0.1, generator: Generator | None = None) -> Tensor:
    """Gaussian noise that is correlated along rows (the last axis), as scanners have it; the level is its deviation.

    A moving sum over ROW_REACH + 1 positions: values further apart than ROW_REACH are independent.
    """
    _spatial(x, "rows")
    shape = (*x.shape[:-1], x.shape[-1] + ROW_REACH)
    wide = drawn(torch.randn, shape, generator, device=x.device, dtype=x.dtype)
    noisy: Tensor = x + _broadcast(level, x) * wide.unfold(-1, ROW_REACH + 1, 1).sum(-1) / (ROW_REACH + 1) ** 0.5
    return noisy


@corruptions.register("salt-and-pepper")
def salt_and_pepper(x: Tensor, level: Tensor | float = 0.1, generator: Generator | None = None) -> Tensor:
    """Dead pixels; the level is the fraction set to 0 or 1, each half of the time, all channels together."""
    chance, fraction = _uniform(_one_channel(x), x, generator), _broadcast(level, x)
    return torch.where(chance < fraction, (chance < fraction / 2).to(x.dtype), x)


@corruptions.register("masking")
def masking(x: Tensor, level: Tensor | float = 0.3, generator: Generator | None = None) -> Tensor:
    """Missing values; the level is the fraction of pixels (all channels together) or table cells set to 0.

    Zero is the column's mean in a standardised table.
    """
    return x * (_uniform(_one_channel(x), x, generator) >= _broadcast(level, x))


@corruptions.register("block-masking")
def block_masking(x: Tensor, level: Tensor | float = 0.3, generator: Generator | None = None) -> Tensor:
    """Missing regions; the level is the expected fraction of the area that random square blocks set to 0.

    Every pixel is covered with the same probability, those at the border too. DropBlock (Ghiasi et al. 2018) with the
    rate solved exactly: a pixel stays if none of the block positions that reach it is drawn.
    """
    spatial = _spatial(x, "block-masking")
    side = max(1, round(min(spatial) / _BLOCK))
    positions = side ** len(spatial)  # of blocks that cover one pixel
    rate = 1 - (1 - _broadcast(level, x)) ** (1 / positions)
    begins = _uniform((len(x), 1, *(size + side - 1 for size in spatial)), x, generator) < rate
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(spatial) - 1]
    return x * (1 - pool(begins.to(x.dtype), side, stride=1))


@corruptions.register("blur")
def blur(x: Tensor, level: Tensor | float = 1.0, generator: Generator | None = None) -> Tensor:
    """Gaussian blur; the level is the standard deviation of the kernel in pixels.

    Near the border the kernel's weights inside the image are scaled to a sum of 1.
    """
    sigma = torch.as_tensor(level, dtype=x.dtype, device=x.device).reshape(-1, 1, 1).clamp(min=1e-3)
    with torch.autocast(x.device.type, enabled=False):
        for axis, size in enumerate(_spatial(x, "blur"), start=2):
            place = torch.arange(size, device=x.device, dtype=x.dtype)
            distance = (place[:, None] - place) / sigma  # (size, size) / (N, 1, 1) -> (N, size, size)
            weights = torch.softmax(-(distance**2) / 2, dim=-1)
            rows = x.movedim(axis, -1)
            x = (rows.flatten(1, -2) @ weights.mT).view(rows.shape).movedim(-1, axis)
    return x


class Corruption:
    """Named corruptions, one after the other, whose levels are drawn anew for each sample.

    choice : ``"gaussian"`` (default level), ``"gaussian:0.3"`` (that level), ``"gaussian:0-0.6"`` (uniform between
        the two) or several with a plus between them. Raises IsthmusError for unknown names and impossible levels.
    ends : the ends of the data's range, which salt and pepper are.
    """

    def __init__(self, choice: str | Choice, ends: tuple[float, float] = (0.0, 1.0)) -> None:
        self._stages = [_Stage(part) for part in parse_corruption(choice)]
        self._ends = ends

    def __call__(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """The samples, each corrupted at a level of its own; `x` itself is left alone."""
        low, high = self._ends
        for stage in self._stages:
            if stage.name == "salt-and-pepper" and self._ends != (0.0, 1.0):
                x = low + (high - low) * stage((x - low) / (high - low), generator)
            else:
                x = stage(x, generator)
        return x


class _Stage:
    """One corruption."""

    def __init__(self, choice: Choice) -> None:
        self.name, self._function = choice.name, corruptions[choice.name]
        default = inspect.signature(self._function).parameters["level"].default
        self._low = default if choice.low is None else choice.low
        self._high = default if choice.high is None else choice.high
        if choice.name in _FRACTIONS and self._high > 1:
            raise IsthmusError(f"corruption '{choice}' has a fraction of {self._high:g}; it must be at most 1")
        if choice.name == "poisson" and self._low <= 0:
            raise IsthmusError(f"corruption '{choice}' has a count of {self._low:g}; it must be above 0")

    def __call__(self, x: Tensor, generator: Generator | None) -> Tensor:
        level = torch.full((len(x),), float(self._low), device=x.device)
        if self._high > self._low:
            level += (self._high - self._low) * drawn(torch.rand, (len(x),), generator, device=x.device)
        return self._function(x, level, generator)


def _broadcast(level: Tensor | float, x: Tensor) -> Tensor:
    """One number, or one for each sample, in a shape that multiplies `x`."""
    level = torch.as_tensor(level, dtype=x.dtype, device=x.device)
    return level.reshape(-1, *[1] * (x.ndim - 1))


def _uniform(shape: tuple[int, ...], x: Tensor, generator: Generator | None) -> Tensor:
    return drawn(torch.rand, shape, generator, device=x.device)


def _normal(x: Tensor, generator: Generator | None) -> Tensor:
    return drawn(torch.randn, x.shape, generator, device=x.device, dtype=x.dtype)


def _one_channel(x: Tensor) -> tuple[int, ...]:
    """Shape of one decision per pixel, or per cell of a table."""
    return tuple(x.shape) if x.ndim == 2 else (len(x), 1, *x.shape[2:])


def _spatial(x: Tensor, name: str) -> tuple[int, ...]:
    if not 3 <= x.ndim <= 5:
        raise IsthmusError(
            f"corruption {name!r} needs images or signals of shape (N, channels, *spatial), not {tuple(x.shape)}; "
            f"for tables take 'gaussian' or 'masking'"
        )
    return tuple(x.shape[2:])
