"""What a denoiser learns: from clean samples, from pairs, and from noisy samples alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus.corruptions import Corruption
from isthmus.denoising.blind_spots import blind_grid, hide
from isthmus.denoising.risk import NoiseVariance, Removal
from isthmus.networks.unet import UNet
from isthmus.share import drawn, mean, ratio
from isthmus.training.task import Loss, Task, in_memory_order

_VALIDATED = 64  # samples in a batch of the validation
_SPREAD = 0.01  # weight of the variance's loss, whose gradient stays in its own layer
_QUIETEST = 0.03  # deviation of the noise, in deviations of the data, below which samples count alike
_LEAST_VARIANCE = 1e-4  # of noise, in variances of the data, that a deviation is learned for
_STEP = 1e-2  # of the finite difference that measures a divergence, in deviations of the data


class DenoisingTask(Task):
    """The squared error of what is cleaned, and how large the network says it is. Subclasses define `cost`.

    flips, turns : whether samples are turned over, and around, at random.
    """

    network: UNet

    def __init__(self, network: UNet, *, flips: bool, turns: bool) -> None:
        super().__init__(network, validation_batch=_VALIDATED)
        self.flips, self.turns = flips, turns

    def forward(self, batch: Tensor, generator: torch.Generator) -> Loss:
        """The cost of samples (N, channels, *spatial), in variances of the data."""
        x = batch.to(self.device)
        return Loss(self.cost(flipped(x, generator, turn=self.turns) if self.flips else x, generator))

    def validation_loss(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """The cost of samples as they are."""
        return self.cost(batch.to(self.device), generator)

    def cost(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """What samples on the device cost."""
        raise NotImplementedError

    def removal(self, x: Tensor, generator: torch.Generator) -> Removal:
        """What the network takes away from samples on the device; nothing where that cannot be judged."""
        return Removal()


class ErrorTask(DenoisingTask):
    """From clean samples, to which noise is added anew in every step, or from pairs.

    corruption : what adds the noise. targets : for pairs, how many channels at the end of each sample are clean.
    """

    def __init__(
        self,
        network: UNet,
        *,
        flips: bool,
        turns: bool,
        corruption: Corruption | None = None,
        targets: int = 0,
    ) -> None:
        super().__init__(network, flips=flips, turns=turns)
        self.corruption, self.targets = corruption, targets

    def cost(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Samples with more noise, whose errors are larger, count less."""
        noisy, clean = self._pair(x, generator)
        with self.autocast():
            guess, spread = self.network.with_variance(in_memory_order(noisy), self._level(noisy, clean))
        error = ((guess.float() - clean) / self.network.deviation) ** 2
        if noisy.shape != clean.shape:
            return error.mean() + _SPREAD * _likelihood(spread, error).mean()
        power = ((noisy - clean) / self.network.deviation).square().flatten(1).mean(1)
        weight = (power + _QUIETEST**2).rsqrt()  # errors grow about as fast as the noise's deviation
        weight = (weight / mean(weight, generator)).view(-1, *[1] * (x.ndim - 1))
        return (weight * error).mean() + _SPREAD * _likelihood(spread, error).mean()

    def removal(self, x: Tensor, generator: torch.Generator) -> Removal:
        """Judged by the clean samples."""
        noisy, clean = self._pair(x, generator)
        base = noisy if noisy.shape == clean.shape else noisy.mean(1, keepdim=True)
        guess = self.network(in_memory_order(noisy), self._level(noisy, clean))
        noise, removed = (base - clean).double(), (base - guess).double()
        return Removal(float(removed.square().sum()), float((removed * noise).sum()), math.inf, noise.numel())

    def _level(self, noisy: Tensor, clean: Tensor) -> Tensor | None:
        """Deviation of what was added to each sample, (N,), where the network must know."""
        return None if self.network.levels is None else (noisy - clean).square().flatten(1).mean(1).sqrt()

    def _pair(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if self.targets:
            return x[:, : -self.targets], x[:, -self.targets :]
        assert self.corruption is not None
        return self.corruption(x, generator), x


class RiskTask(DenoisingTask):
    """From noisy samples whose noise is known: Stein's unbiased estimate of the risk.

    The mean of (f(y) - y)² + 2 v ∂f/∂y is the squared error against the clean samples (Stein 1981), the derivative
    measured with a random probe (Ramani, Blu and Unser 2008, "Monte-Carlo SURE", IEEE TIP 17(9); for training:
    Soltanayev and Chun 2018, NeurIPS). Where the variance v depends on the signal it is taken at the sample itself (Le
    Montagner, Angelini and Olivo-Marin 2014, IEEE TIP 23(3)). The same probe measures the posterior variance v ∂f/∂y
    (Manor and Michaeli 2024, ICLR), which the network learns to tell.

    variance : of the noise, given what was seen.
    """

    def __init__(self, network: UNet, *, flips: bool, turns: bool, variance: NoiseVariance) -> None:
        super().__init__(network, flips=flips, turns=turns)
        self.variance = variance

    def cost(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The estimated risk, in variances of the data."""
        unit = self.network.deviation
        probe = drawn(torch.randn, x.shape, generator, device=x.device)
        both = torch.cat([x, x + _STEP * unit * probe])
        with self.autocast():
            guesses, spread = self.network.with_variance(in_memory_order(both))
        guess, moved = guesses.float().chunk(2)
        variance, slope = self.variance(x) / unit**2, probe * (moved - guess) / (_STEP * unit)
        risk = ((guess - x) / unit) ** 2 + 2 * variance * slope
        told = spread.chunk(2)[0].exp() / variance.clamp(min=_LEAST_VARIANCE)
        return risk.mean() + _SPREAD * ((told - slope.detach()) ** 2).mean()

    def removal(self, x: Tensor, generator: torch.Generator) -> Removal:
        """Judged by Stein's estimate."""
        step = _STEP * self.network.deviation
        probe = drawn(torch.randn, x.shape, generator, device=x.device)
        guess, moved = self.network(in_memory_order(torch.cat([x, x + step * probe]))).double().chunk(2)
        variance = self.variance(x).double()
        products = variance * probe * (probe - (moved - guess) / step)
        return Removal(float((x - guess).square().sum()), float(products.sum()), float(variance.sum()), x.numel())


class BlindSpotTask(DenoisingTask):
    """From noisy samples whose noise is unknown but independent from place to place, or along rows only.

    What a network says of a value that it does not see cannot be its noise: Batson and Royer 2019, "Noise2Self",
    arXiv:1901.11365; Krull, Buchholz and Jug 2019, "Noise2Void", arXiv:1811.10980. With noise that is correlated along
    rows the neighbours on both sides are hidden too: Broaddus et al. 2020, "Removing structured noise with
    self-supervised blind-spot networks", ISBI.

    rows : see `hide`. ends : values of destroyed places: the median is learned in place of the mean.
    """

    def __init__(
        self,
        network: UNet,
        *,
        flips: bool,
        turns: bool,
        rows: int = 0,
        ends: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(network, flips=flips, turns=turns)
        self.rows, self.ends = rows, ends

    def cost(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The error at the places of one grid, which are hidden."""
        grid = blind_grid(x.shape[2:], self.rows)
        number = int(torch.randint(len(grid), (), generator=generator, device=x.device))
        hidden, seen = hide(x, grid[number], self.rows)
        with self.autocast():
            guess, spread = self.network.with_variance(in_memory_order(seen))
        value = x[..., hidden]
        difference = (guess.float()[..., hidden] - value) / self.network.deviation
        if self.ends is None:
            return difference.square().mean() + _SPREAD * _likelihood(spread[..., hidden], difference.square()).mean()
        intact = (value > self.ends[0]) & (value < self.ends[1])  # what is destroyed says nothing of the error
        costs = _likelihood(spread[..., hidden][intact], difference[intact].square())
        told = ratio(costs.sum(), intact.sum().clamp(min=1), generator)
        return difference.abs().mean() + _SPREAD * told


def flipped(x: Tensor, generator: torch.Generator, *, turn: bool) -> Tensor:
    """A batch turned over along random axes and, where `turn` is set, with its last two axes exchanged."""
    chances = torch.rand(x.ndim - 1, generator=generator, device=x.device).tolist()
    axes = [axis for axis in range(2, x.ndim) if chances[axis - 2] < 0.5]
    x = x.flip(axes) if axes else x
    return x.transpose(-1, -2) if turn and x.ndim > 3 and x.shape[-1] == x.shape[-2] and chances[-1] < 0.5 else x


def _likelihood(log_variance: Tensor, target: Tensor) -> Tensor:
    """Smallest where the variance is the mean of the target, which has no gradient."""
    return log_variance + target.detach() * torch.exp(-log_variance)
