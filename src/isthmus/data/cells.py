"""What networks see of the cells of a table: blocks of columns of one type, as torch tensors, and the way back.

Each block turns some columns of a float64 matrix (`TableSchema.encode`) into features and a network's outputs for these
features into values again, and says what an error costs. Costs are relative: 1 is what the column's own mean or
frequencies would cost, so that no kind of column drowns another.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.data.columns import Column

_LEAST_ENTROPY = 0.1  # nats: of columns that nearly always hold one value


class Block(ABC):
    """Columns of one type. width : number of features and of outputs. columns : their positions in the matrix, (c,)."""

    width: int

    def __init__(self, places: Sequence[int], columns: Sequence[Column]) -> None:
        self.columns = torch.tensor(places)
        self.owner = torch.empty(0, dtype=torch.long)  # (width,): the column of each feature, counted in the block

    @abstractmethod
    def features(self, values: Tensor) -> Tensor:
        """Values (n, c), NaN where missing, as float32 features (n, width), 0 where missing."""

    @abstractmethod
    def values(self, outputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Outputs (n, width) as values (n, c): the likeliest, or with a generator, values drawn."""

    @abstractmethod
    def losses(self, outputs: Tensor, features: Tensor) -> Tensor:
        """The loss of outputs against the true features: (n, c)."""

    def log_likelihood(self, outputs: Tensor, features: Tensor, deviation: Tensor) -> Tensor:
        """Log-likelihood, in nats, of the true features given a network's outputs: (n, c).

        Errors of numbers and dates are taken to be normally distributed; categories have their own probabilities.
        deviation : standard deviation of the network's errors, (width,).
        """
        nats = -0.5 * ((outputs - features) / deviation) ** 2 - deviation.log() - 0.5 * math.log(2 * math.pi)
        return torch.zeros((len(nats), len(self.columns))).index_add_(1, self.owner, nats)


def _sinh(x: Tensor) -> Tensor:
    """The hyperbolic sine; onnxruntime has none of float64."""
    return (x.exp() - (-x).exp()) / 2 if torch.compiler.is_exporting() else torch.sinh(x)


class Numbers(Block):
    """One standardised feature a column; of columns with heavy tails, of their signed logarithm."""

    def __init__(self, places: Sequence[int], columns: Sequence[Column]) -> None:
        super().__init__(places, columns)
        settings = [column.settings for column in columns]
        self.width = len(columns)
        self.owner = torch.arange(self.width)
        self._mean = torch.tensor([s["mean"] for s in settings], dtype=torch.float64)
        self._scale = torch.tensor([s["scale"] for s in settings], dtype=torch.float64)
        self.is_bent = torch.tensor(["width" in s for s in settings])
        self._centre = torch.tensor([s.get("centre", 0.0) for s in settings], dtype=torch.float64)
        self._stretch = torch.tensor([s.get("width", 1.0) for s in settings], dtype=torch.float64)

    def features(self, values: Tensor) -> Tensor:
        bent = torch.arcsinh((values - self._centre) / self._stretch)
        x = (torch.where(self.is_bent, bent, values) - self._mean) / self._scale
        return x.nan_to_num(0.0).float()

    def values(self, outputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        x = outputs.double() * self._scale + self._mean
        return torch.where(self.is_bent, _sinh(x.clamp(-80, 80)) * self._stretch + self._centre, x)

    def losses(self, outputs: Tensor, features: Tensor) -> Tensor:
        return (outputs - features) ** 2


class Categories(Block):
    """A feature for each value that is told apart, and one for all others; outputs are logits."""

    def __init__(self, places: Sequence[int], columns: Sequence[Column]) -> None:
        super().__init__(places, columns)
        sizes = [len(column.settings["counts"]) for column in columns]  # the last one: other values
        starts = np.cumsum([0, *sizes])
        self.width = int(starts[-1])
        self.owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        self._starts = torch.tensor(starts[:-1])
        slots = np.full((len(sizes), max(sizes)), self.width)  # one beyond the outputs: never likely
        for j, size in enumerate(sizes):
            slots[j, :size] = np.arange(starts[j], starts[j + 1])
        self._slots = torch.tensor(slots)
        known = slots.copy()
        known[np.arange(len(sizes)), np.array(sizes) - 1] = self.width  # "other" is no value that could be given back
        self._known = torch.tensor(known)
        self._entropy = torch.tensor([_entropy(column.settings["counts"]) for column in columns])

    def features(self, values: Tensor) -> Tensor:
        seen = ~values.isnan()
        x = torch.zeros((values.shape[0], self.width))  # a size that ONNX may leave open, as len() may not
        places = self._starts + values.nan_to_num(0.0).long()
        return x.scatter_add_(1, places, seen.float())

    def values(self, outputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        logits = _spread(outputs, self._known)
        if generator is not None:  # Gumbel's trick: the largest of logits and such noise is a draw
            uniform = torch.rand(logits.shape, generator=generator).clamp(1e-12, 1 - 1e-7)
            logits = logits - torch.log(-torch.log(uniform))
        return logits.argmax(2).double()

    def losses(self, outputs: Tensor, features: Tensor) -> Tensor:
        return -self._nats(outputs, features) / self._entropy

    def log_likelihood(self, outputs: Tensor, features: Tensor, deviation: Tensor) -> Tensor:
        return self._nats(outputs, features)

    def _nats(self, outputs: Tensor, features: Tensor) -> Tensor:
        """The logarithm of the probability of what is right, (n, c)."""
        logits, right = _spread(outputs, self._slots), _spread(features, self._slots, 0.0)
        return (F.log_softmax(logits, 2).clamp(min=-1e4) * right).sum(2)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Probabilities of the known values, (n, c, largest number of values); 0 beyond a column's own."""
        return _spread(outputs, self._known).softmax(2)


class Dates(Block):
    """The standardised time, then sine and cosine of each period."""

    def __init__(self, places: Sequence[int], columns: Sequence[Column]) -> None:
        super().__init__(places, columns)
        settings = [column.settings for column in columns]
        self._mean = torch.tensor([s["mean"] for s in settings], dtype=torch.float64)
        self._scale = torch.tensor([s["scale"] for s in settings], dtype=torch.float64)
        cycles = [(j, length) for j, s in enumerate(settings) for length in s["lengths"]]
        self._of = torch.tensor([j for j, _ in cycles], dtype=torch.long)
        self._lengths = torch.tensor([length for _, length in cycles], dtype=torch.float64)
        self._circle = torch.tensor(2 * math.pi, dtype=torch.float64)  # of a Python number, ONNX keeps 32 bits
        self.width = len(columns) + 2 * len(cycles)
        self.owner = torch.cat([torch.arange(len(columns)), self._of, self._of])

    def features(self, values: Tensor) -> Tensor:
        angle = self._circle * values[:, self._of] / self._lengths
        x = torch.cat([(values - self._mean) / self._scale, angle.sin(), angle.cos()], 1)
        return x.nan_to_num(0.0).float()

    def values(self, outputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        count, cycles = len(self._mean), len(self._lengths)
        time = outputs[:, :count].double() * self._scale + self._mean
        sine, cosine = outputs[:, count : count + cycles].double(), outputs[:, count + cycles :].double()
        phase = torch.atan2(sine, cosine) / (2 * math.pi)
        for i in torch.argsort(self._lengths, descending=True).tolist():  # the nearest time of each phase
            j, length = self._of[i], self._lengths[i]
            gap = phase[:, i] - time[:, j] / length
            time[:, j] += (gap - torch.round(gap)) * length
        return time

    def losses(self, outputs: Tensor, features: Tensor) -> Tensor:
        count = len(self._mean)
        errors = (outputs - features) ** 2
        periods = torch.zeros((errors.shape[0], count), dtype=errors.dtype)
        periods.index_add_(1, self.owner[count:], errors[:, count:])
        share = 1 + torch.zeros(count).index_add_(0, self._of, torch.ones(len(self._of)))
        return (errors[:, :count] + periods) / share  # a sine and a cosine together vary by 1


BLOCKS: dict[str, type[Block]] = {"numbers": Numbers, "categories": Categories, "dates": Dates}


def _spread(x: Tensor, slots: Tensor, beyond: float = -1e9) -> Tensor:
    """Features (n, width) by column, (n, c, slots); `beyond` where a column has fewer."""
    padded = torch.cat([x, x.new_full((x.shape[0], 1), beyond)], 1)
    return padded[:, slots]


def _entropy(counts: Sequence[int]) -> float:
    """Nats of a value with these frequencies."""
    shares = np.array([n for n in counts if n], float) / max(sum(counts), 1)
    return max(float(-(shares * np.log(shares)).sum()), _LEAST_ENTROPY)
