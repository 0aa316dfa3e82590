"""Where there is noise, how much, and whether removing it helps: a denoiser judges itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.errors import IsthmusError
from isthmus.spec import Choice, Spec

KNOWN = {"gaussian", "poisson", "speckle"}  # noises whose variance is a function of the signal
_STILL = {1: 9, 2: 5, 3: 3}  # side of what is constant because nothing was recorded there
_AT_END = 0.005  # share of the values at an end of the data from which on it is where they were clipped
_GOOD = 0.9  # share of what is taken away that may all the same be taken away wholly
_USELESS = 0.1  # share below which nothing is taken away
_MARGIN = 1.1  # of the noise's power, that may be taken away
_CORRELATED = 8.0  # how much more power correlated noise may have than its finest details tell
_SPREADS = 5.0  # standard deviations by which a mean of squares may be off


@dataclass(frozen=True)
class NoiseVariance(Spec):
    """The variance of noise, given what was seen: offset + slope · y + square · y², at least 0.

    low, high : the ends at which values were clipped, where they were; what is there has no noise of its own, and
    neither has what is constant.
    """

    offset: float = 0.0
    slope: float = 0.0
    square: float = 0.0
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, parts: Sequence[Choice]) -> NoiseVariance:
        """That of noises with levels, of ranges the highest; pedestals, which `noise.estimate_gains` finds, aside."""
        offset = slope = square = 0.0
        for part in parts:
            low, high = part.low, part.high
            assert low is not None and high is not None
            if part.name == "gaussian":
                offset += high**2
            elif part.name == "poisson":
                if low <= 0:
                    raise IsthmusError(f"noise '{part}' has a count of {low:g}; it must be above 0")
                slope += 1 / low
            else:
                square += high**2 / (1 + high**2)  # E[y²] is (1 + level²) x²
        return cls(offset, slope, square)

    def __call__(self, y: Tensor) -> Tensor:
        """The variance at every value of samples (N, C, *S)."""
        total = torch.full_like(y, self.offset)
        if self.slope:
            total = total + y.clamp(min=0) * self.slope
        if self.square:
            total = total + self.square * y**2
        if self.offset < 0:
            total = total.clamp(min=0)
        quiet = still(y)
        margin = 1e-6 * ((self.high or 0.0) - (self.low or 0.0))
        if self.low is not None:
            quiet = quiet | (y <= self.low + abs(margin))
        if self.high is not None:
            quiet = quiet | (y >= self.high - abs(margin))
        return total.masked_fill(quiet, 0.0)


def clipped_ends(samples: Sequence[np.ndarray], scale: float) -> tuple[float | None, float | None]:
    """The least and the largest value of the data, in the user's units, where so many values are there."""
    some = [sample[:: max(1, sample.size >> 22)] for sample in samples[:: max(1, len(samples) // 2000)]]
    size = sum(sample.size for sample in some)
    found = []
    for end in (min(sample.min() for sample in some), max(sample.max() for sample in some)):
        count = sum(np.count_nonzero(sample == end) for sample in some)
        found.append(float(end) * scale if count > _AT_END * size else None)
    return found[0], found[1]


def still(x: Tensor) -> Tensor:
    """Where samples (N, C, *S) are constant over some neighbours on every side: black borders, silence; bool."""
    d = x.ndim - 2
    sides = [min(_STILL[d], n) for n in x.shape[2:]]
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[d - 1]
    constant = (pool(x, sides, 1) == -pool(-x, sides, 1)).to(x.dtype)  # by the first place of a window
    if not constant.any():
        return torch.zeros_like(x, dtype=torch.bool)
    around = F.pad(constant, [side - 1 for side in reversed(sides) for _ in range(2)])
    return pool(around, sides, 1).bool()


@dataclass(frozen=True)
class Removal:
    """Sums over values of what a network takes away: its squares, products with the noise, and squares of the noise.

    The error of y - t · removed is that of y plus t² · squares - 2 t · products.
    """

    squares: float = 0.0
    products: float = 0.0
    noise: float = 0.0
    values: int = 0

    def __add__(self, other: Removal) -> Removal:
        return Removal(
            self.squares + other.squares,
            self.products + other.products,
            self.noise + other.noise,
            self.values + other.values,
        )

    def share(self, unit: float = 0.0) -> float:
        """How much of it to take away, 0 to 1: what makes the error least, but never more than the power of the noise.

        A network that has learned its noisy samples by heart takes away more than there is, and its risk seems small.
        unit : the rounding step of results, 0 for none; the gain must be more than rounding loses.
        """
        if self.squares == 0:
            return 1.0
        best = min(self.products, self.noise) / self.squares
        share = 1.0 if best >= _GOOD else 0.0 if best <= _USELESS else best
        gained = 2 * share * self.products - share**2 * self.squares
        return share if gained >= self.values * (unit / 2) ** 2 else 0.0


def power_of_details(x: Tensor) -> tuple[Tensor, int]:
    """Squares of the finest diagonal details of samples (N, C, *S), float64 (N,), and how many there are.

    White noise has the same power there as everywhere; a smooth signal has next to none.
    """
    d = x.ndim - 2
    if d == 1:
        fine = x.diff(n=2, dim=-1) / math.sqrt(6)
    else:
        fine = x
        for axis in range(2, x.ndim):
            fine = fine.diff(dim=axis) / math.sqrt(2)
    return fine.double().square().flatten(1).sum(1), fine[0].numel()


@dataclass
class Judgement:
    """Whether what is taken away from samples, cleaned part by part, can be their noise.

    variance : of the noise that the network has learned.
    """

    variance: NoiseVariance
    removed: float | Tensor = 0.0
    expected: float | Tensor = 0.0
    details: float | Tensor = 0.0
    count: int = 0
    count_of_details: int = 0

    def add(self, x: Tensor, guess: Tensor, expected: Tensor) -> None:
        """A part of the samples (N, C, *S), the same cleaned, and the variance of the noise there."""
        self.removed = self.removed + (x - guess).double().square().flatten(1).sum(1).cpu()
        self.expected = self.expected + expected.double().flatten(1).sum(1).cpu()
        details, count = power_of_details(x)
        self.details = self.details + details.cpu()
        self.count, self.count_of_details = self.count + guess[0].numel(), self.count_of_details + count

    def shares(self) -> np.ndarray:
        """The part of what the network finds that is to be taken away from each sample, 0 to 1; float64 (n,)."""
        removed = torch.as_tensor(self.removed)
        expected = torch.as_tensor(self.expected)
        if self.count_of_details:
            details = torch.as_tensor(self.details) * (self.count / self.count_of_details)
            slack = _MARGIN + _SPREADS * math.sqrt(2 / self.count_of_details)
            limit = torch.minimum(_CORRELATED * slack * details, slack * torch.maximum(expected, details))
        else:
            limit = (_MARGIN + _SPREADS * math.sqrt(2 / self.count)) * expected
        shares: np.ndarray = torch.where(removed > limit, limit / removed, 1.0).numpy()
        return np.where(shares > _USELESS, shares, 0.0)


def caution(share: float) -> str:
    """Why a denoiser takes away less than its network would."""
    what = "nothing" if share == 0 else f"only {share:.0%} of it"
    return f"what the network would take away is not all noise, by the estimated risk: {what} is taken; train longer"
