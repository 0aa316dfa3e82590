"""Networks that predict pixels, trained with the 8-bit weights and activations that the codec will compute with.

Rounding lets the gradient pass straight through (Jacob et al. 2018, "Quantization and training of neural networks for
efficient integer-arithmetic-only inference", arXiv:1712.05877, section 3). What is exported are `coding.exact.Layer`s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LARGEST_WEIGHT = 127
_LARGEST_ACTIVATION = 6.0  # which the whole number 255 stands for
_STEPS = 255
HIDDEN_UNIT = _STEPS / _LARGEST_ACTIVATION
_PROBABLE = 1e-12
SCALES = (-3.5, 4.5)  # of logistic distributions: the smallest and the largest logarithm
_UNITS = (8.0, 2.0, 1.0)  # of the mixtures: see `logistic_nats`


class RoundedLinear(nn.Module):
    """Fully connected, with weights of 8 bits: each output has its own step. (n, inputs) -> (n, outputs)."""

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.orthogonal_(self.weight, gain)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        step = self._step()
        rounded = torch.round(self.weight / step) * step
        return F.linear(x, self.weight + (rounded - self.weight).detach(), self.bias)

    def _step(self) -> Tensor:
        return (self.weight.detach().abs().amax(1, keepdim=True) / _LARGEST_WEIGHT).clamp(min=1e-8)

    @torch.no_grad()
    def export(
        self, name: str, unit: float, out_unit: float | Tensor, out_start: float | Tensor = 0.0
    ) -> dict[str, np.ndarray]:
        """Tensors of the layer as `coding.exact.Layer` takes them.

        unit : the whole number that stands for an input of 1. out_unit, out_start : the same for the outputs, and
        the whole number that stands for an output of 0.
        """
        step = self._step()
        arrays = {
            "weight": torch.round(self.weight / step).T.to(torch.int8),
            "scale": step[:, 0] * out_unit / unit,
            "bias": self.bias * out_unit + out_start,
        }
        return {f"{name}.{part}": np.ascontiguousarray(array.numpy()) for part, array in arrays.items()}

    @torch.no_grad()
    def restore(
        self,
        tensors: Mapping[str, np.ndarray],
        name: str,
        unit: float,
        out_unit: float | Tensor,
        out_start: float | Tensor = 0.0,
    ) -> None:
        """Become the layer that `export` was called on, from what it gave."""
        weight, scale, bias = (torch.from_numpy(tensors[f"{name}.{part}"]) for part in ("weight", "scale", "bias"))
        self.weight.copy_((weight * (scale * unit / out_unit)).T)
        self.bias.copy_((bias - out_start) / out_unit)


def rounded_relu(x: Tensor) -> Tensor:
    """A ReLU that ends at 6, in 255 steps."""
    x = x.clamp(0, _LARGEST_ACTIVATION)
    return x + (torch.round(x * HIDDEN_UNIT) / HIDDEN_UNIT - x).detach()


class RoundedPerceptron(nn.Module):
    """Two hidden layers to the parts of mixtures: features (n, inputs) -> logits, means and scales, (n, 3 · parts)."""

    def __init__(self, inputs: int, hidden: int, parts: int, gain: float) -> None:
        super().__init__()
        self.first, self.second = RoundedLinear(inputs, hidden, gain), RoundedLinear(hidden, hidden, 1.5)
        self.output = RoundedLinear(hidden, 3 * parts, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.output(rounded_relu(self.second(rounded_relu(self.first(x)))))
        return outputs

    def export(
        self, name: str, unit: float, units: tuple[float, float, float], logit_unit: float, sublevel: float
    ) -> dict[str, np.ndarray]:
        """The layers "name.0", "name.1" and "name.2"; `units` are those of `logistic_nats`."""
        made = self._layers(name, unit, units, logit_unit, sublevel)
        arrays: dict[str, np.ndarray] = {}
        for layer, own, in_unit, out_unit, out_start in made:
            arrays |= layer.export(own, in_unit, out_unit, out_start)
        return arrays

    def restore(
        self,
        tensors: Mapping[str, np.ndarray],
        name: str,
        unit: float,
        units: tuple[float, float, float],
        logit_unit: float,
        sublevel: float,
    ) -> None:
        """Become the network that `export` was called on, from what it gave."""
        made = self._layers(name, unit, units, logit_unit, sublevel)
        for layer, own, in_unit, out_unit, out_start in made:
            layer.restore(tensors, own, in_unit, out_unit, out_start)

    def _layers(
        self, name: str, unit: float, units: tuple[float, float, float], logit_unit: float, sublevel: float
    ) -> list[tuple[RoundedLinear, str, float, float | Tensor, float | Tensor]]:
        """The layers, and what they are exported with."""
        mean_unit, scale_unit, scale_start = units
        parts = len(self.output.bias) // 3
        out_units = torch.tensor([logit_unit, mean_unit * sublevel, scale_unit * sublevel]).repeat_interleave(parts)
        start = torch.tensor([0.0, 0.0, (scale_start - SCALES[0]) * sublevel]).repeat_interleave(parts)
        return [
            (self.first, f"{name}.0", unit, HIDDEN_UNIT, 0.0),
            (self.second, f"{name}.1", HIDDEN_UNIT, HIDDEN_UNIT, 0.0),
            (self.output, f"{name}.2", HIDDEN_UNIT, out_units, start),
        ]


class PlainBackgroundNetwork(nn.Module):
    """For images on a plain background: is a pixel background, and if not, which of 256 levels is it?

    features (n, inputs) ──+ bias of the image's entry──▶ hidden ──▶ hidden ──┬──▶ flag, weight of the codebook
                                                                             └──▶ 256 logits + weight · entry
    """

    def __init__(self, inputs: int, hidden: int, codebook: Tensor, background: int) -> None:
        super().__init__()
        self.background = background
        self.first = RoundedLinear(inputs, hidden, 0.8)
        self.second = RoundedLinear(hidden, hidden, 1.5)
        self.flag = RoundedLinear(hidden, 2, 0.1)
        self.level = RoundedLinear(hidden, 256, 0.1)
        self.entry_bias = nn.Parameter(torch.zeros(len(codebook), hidden))
        self.codebook: Tensor
        self.register_buffer("codebook", codebook, persistent=False)

    def forward(self, x: Tensor, entries: Tensor, symbols: Tensor) -> Tensor:
        """Nats that the symbols, int64 (n,), cost together."""
        h = rounded_relu(self.first(x) + self.entry_bias[entries])
        h = rounded_relu(self.second(h))
        flag, weight = self.flag(h).unbind(1)
        present = symbols != self.background
        nats = F.binary_cross_entropy_with_logits(flag, present.float(), reduction="sum")
        some = present.nonzero().squeeze(1)
        logits = self.level(h[some]) + (1 + weight[some, None]).clamp(0, 4) * self.codebook[entries[some]]
        logits[:, self.background] = -1e4
        return nats + F.cross_entropy(logits, symbols[some], reduction="sum")

    def export(self, unit: float, logit_unit: float) -> dict[str, np.ndarray]:
        """The tensors of `coding.plain_background.PlainBackgroundCoding` that were trained."""
        return {
            **self.first.export("hidden.0", unit, HIDDEN_UNIT),
            **self.second.export("hidden.1", HIDDEN_UNIT, HIDDEN_UNIT),
            **self.flag.export("flag", HIDDEN_UNIT, logit_unit),
            **self.level.export("level", HIDDEN_UNIT, logit_unit),
            "entry_bias": (self.entry_bias.detach() * HIDDEN_UNIT).numpy(),
        }


class ContinuousToneNetwork(nn.Module):
    """For continuous tones: a mixture of logistic distributions for each symbol of a pixel.

    features (n, inputs) ──▶ hidden ──▶ hidden ──▶ logits, means and scales of the components
    """

    def __init__(self, inputs: int, hidden: int, components: int, symbols: int) -> None:
        super().__init__()
        self.symbols = nn.ModuleList(RoundedPerceptron(inputs, hidden, components, 1.5) for _ in range(symbols))

    def forward(self, parts: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """Nats of some pixels: features (n, inputs), centre (n,) and value (n,) for each symbol of a pixel in turn."""
        nats = [self._nats(number, *part) for number, part in enumerate(parts)]
        return sum(nats, torch.zeros((), device=nats[0].device))

    def _nats(self, number: int, x: Tensor, centre: Tensor, symbols: Tensor) -> Tensor:
        """What symbol `number` of the pixels costs; means are relative to `centre`."""
        parts = self.symbols[number](x).unflatten(1, (3, -1)).unbind(1)
        ends = (symbols <= 0)[:, None], (symbols >= 255)[:, None]
        away = (symbols - centre)[:, None]
        return logistic_nats(away, *parts, units=_UNITS, ends=ends).sum()

    def export(self, unit: float, logit_unit: float, sublevel: float) -> dict[str, np.ndarray]:
        """The tensors of `coding.continuous_tone.ContinuousToneCoding`."""
        return export_all(self.symbols, unit, _UNITS, logit_unit, sublevel)


def export_all(
    networks: nn.ModuleList, unit: float, units: tuple[float, float, float], logit_unit: float, sublevel: float
) -> dict[str, np.ndarray]:
    """The layers of `RoundedPerceptron`s, each named by its number."""
    tensors: dict[str, np.ndarray] = {}
    for i, network in enumerate(networks):
        assert isinstance(network, RoundedPerceptron)
        tensors |= network.export(str(i), unit, units, logit_unit, sublevel)
    return tensors


def logistic_nats(
    values: Tensor,
    logits: Tensor,
    means: Tensor,
    scales: Tensor,
    *,
    units: tuple[float, float, float],
    ends: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Nats of values (..., 1) under mixtures of discretised logistic distributions whose parts are (..., k).

    units : what a mean of 1 and a scale of 1 stand for, and the logarithm that a scale of 0 does. ends : which values
    are the lowest and the highest there are, and hold all that lies beyond.
    """
    mean_unit, scale_unit, scale_start = units
    log_scales = (scale_unit * scales + scale_start).clamp(*SCALES)
    slopes = torch.exp(-log_scales)
    away = values - mean_unit * means
    upper, lower = torch.sigmoid((away + 0.5) * slopes), torch.sigmoid((away - 0.5) * slopes)
    if ends is not None:
        upper, lower = torch.where(ends[1], 1.0, upper), torch.where(ends[0], 0.0, lower)
    tail = -away.abs() * slopes - log_scales  # where the difference of the two has no digits left
    likely = torch.where(upper - lower > 1e-5, (upper - lower).clamp(min=_PROBABLE).log(), tail)
    return -torch.logsumexp(F.log_softmax(logits, -1) + likely, -1)


def bits(nats: Tensor, values: int) -> Tensor:
    """Bits per value."""
    return nats / (math.log(2) * values)
