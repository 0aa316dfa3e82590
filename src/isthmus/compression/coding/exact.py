"""Networks whose results are the same integers on every machine, and the probabilities made of them.

A sum of products of 8-bit weights and 8-bit activations is exact in float32, in any order of summation, as long as it
stays below 2^24: every intermediate result is a whole number that float32 holds. So matrix products may be split,
threaded, fused and vectorised at will. What follows them are single operations of IEEE 754 on exact numbers (multiply,
add, round, compare), which every processor rounds alike, and look-ups in tables that are part of the model.
Integer networks for entropy coding: Ballé, Johnston and Minnen 2019, "Integer networks for data compression with
latent-variable models", ICLR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from isthmus.errors import IsthmusError

ACTIVATION = 255  # largest activation of a hidden layer
UNIT = 64  # logits and logarithms of scales are whole numbers of 1/64
SUBLEVEL = 16  # means of mixtures are whole numbers of 1/16 grey level
COUNT = 1 << 15  # of the most probable symbol; 256 of them are below 2^24
_EXACT = 1 << 24  # float32 holds all integers up to here
_OUTPUT = (1 << 15) - 1  # largest output of a last layer
_WIDEST, _MOST_COMPONENTS = 1 << 14, 128  # of a layer, and of a mixture, whose counts must stay below 2^24
_LONGEST = 1 << 16  # of a table


class Layer:
    """`round((x @ weight) * scale + bias)`, clipped; x holds whole numbers of at most 255, or `largest_input`.

    weight : int8 (inputs, outputs). scale, bias : float32 (outputs,).
    """

    def __init__(
        self, weight: np.ndarray, scale: np.ndarray, bias: np.ndarray, largest_input: int = ACTIVATION
    ) -> None:
        inputs, outputs = weight.shape
        if max(inputs, outputs) > _WIDEST:
            raise IsthmusError(f"a layer of the codec has {inputs} inputs and {outputs} outputs; at most {_WIDEST}")
        if weight.dtype != np.int8 or scale.shape != (outputs,) or bias.shape != (outputs,):
            raise IsthmusError(f"a layer of the codec is damaged: weight {weight.shape}, scale {scale.shape}")
        if not (np.isfinite(scale).all() and np.isfinite(bias).all()):
            raise IsthmusError("a layer of the codec is damaged: it has scales that are not finite")
        largest = int(np.abs(weight.astype(np.int64)).sum(0).max(initial=0)) * largest_input
        if largest >= _EXACT:
            raise IsthmusError(f"a layer with {inputs} inputs can reach {largest:,}, which must stay below {_EXACT:,}")
        self.weight, self.scale, self.bias = weight, scale.astype(np.float32), bias.astype(np.float32)
        self._matrix = weight.astype(np.float32)

    def __call__(self, x: np.ndarray, extra: np.ndarray | None = None, *, hidden: bool = True) -> np.ndarray:
        """Float32 whole numbers (n, inputs) -> (n, outputs); `extra` (n, outputs) is added to the bias."""
        y = x @ self._matrix
        y *= self.scale
        y += self.bias
        if extra is not None:
            y += extra
        np.rint(y, out=y)
        return np.clip(y, 0 if hidden else -_OUTPUT, ACTIVATION if hidden else _OUTPUT, out=y)


def layers(tensors: Mapping[str, np.ndarray]) -> dict[str, Layer]:
    """All layers among some tensors, in the order of their names; "x.weight", "x.scale" and "x.bias" make "x"."""
    names = sorted(name.removesuffix(".weight") for name in tensors if name.endswith(".weight"))
    return {name: layer(tensors, name) for name in names}


def check_chain(chain: Sequence[Layer], inputs: int, outputs: int | None = None) -> None:
    """IsthmusError where layers do not follow one another, or do not take or give as many numbers as they should.

    outputs : None for those of mixtures, which are three for each component.
    """
    if not chain:
        raise IsthmusError("the codec is damaged: it lacks layers")
    for one in chain:
        if len(one.weight) != inputs:
            raise IsthmusError(f"the codec is damaged: a layer takes {len(one.weight)} inputs where there are {inputs}")
        inputs = len(one.bias)
    if (outputs is None and (inputs % 3 or not 3 <= inputs <= 3 * _MOST_COMPONENTS)) or outputs not in (None, inputs):
        raise IsthmusError(f"the codec is damaged: its last layer has {inputs} outputs")


def layer(tensors: Mapping[str, np.ndarray], name: str, largest_input: int = ACTIVATION) -> Layer:
    """The layer of that name."""
    return Layer(tensors[f"{name}.weight"], tensors[f"{name}.scale"], tensors[f"{name}.bias"], largest_input)


@dataclass(frozen=True)
class Tables:
    """What turns outputs into probabilities. Stored in the model: exp() differs in its last bit between machines.

    exp : int32 (t,), exp(-i / 64), the largest being 2^15. logistic : int32 (2 t + 1,), the logistic function of
    (i - t) / 64. inverse_scale : float32 (s,), of the scales that output 0, 1, ... of a mixture stand for, in units
    of the argument of `logistic` per 1/16 level.
    """

    exp: np.ndarray
    logistic: np.ndarray
    inverse_scale: np.ndarray

    def __post_init__(self) -> None:
        exp, logistic, slopes = self.exp, self.logistic, self.inverse_scale
        if not all(table.ndim == 1 and 0 < len(table) <= _LONGEST for table in (exp, logistic, slopes)):
            raise IsthmusError("the tables of the codec are damaged: they are no lists of numbers")
        if not (exp.dtype.kind == logistic.dtype.kind == "i" and slopes.dtype == np.float32):
            raise IsthmusError(f"the tables of the codec are damaged: they are {exp.dtype} and {logistic.dtype}")
        if not (exp.max() == COUNT and exp.min() >= 0 and len(logistic) % 2 and (np.diff(logistic) >= 0).all()):
            raise IsthmusError("the tables of the codec are damaged: they are no exponential and logistic functions")
        if not (logistic[0] >= 0 and logistic[-1] <= COUNT and np.isfinite(slopes).all() and slopes.min() >= 0):
            raise IsthmusError("the tables of the codec are damaged: they hold numbers that are out of range")

    @cached_property
    def positive(self) -> np.ndarray:
        """exp as float32, at least 1: counts of a softmax."""
        positive: np.ndarray = np.maximum(self.exp, 1).astype(np.float32)
        return positive

    @classmethod
    def make(cls) -> Tables:
        """The tables of a new model."""
        steps = np.arange(12 * UNIT)
        wide = np.arange(-12 * UNIT, 12 * UNIT + 1)
        log_scales = np.arange(8 * SUBLEVEL + 1) / SUBLEVEL - 3.5  # natural logarithms, of grey levels
        return cls(
            exp=np.maximum(np.rint(COUNT * np.exp(-steps / UNIT)), 0).astype(np.int32),
            logistic=np.rint(COUNT / (1 + np.exp(-wide / UNIT))).astype(np.int32),
            inverse_scale=(UNIT / SUBLEVEL * np.exp(-log_scales)).astype(np.float32),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The tables by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def softmax(self, logits: np.ndarray) -> np.ndarray:
        """Counts, float32 (n, symbols), in proportion to exp(logits / 64); each is at least 1."""
        below = logits.max(1, keepdims=True) - logits
        np.minimum(below, len(self.exp) - 1, out=below)
        counts: np.ndarray = self.positive.take(below.astype(np.intp))
        return counts

    def mixture(self, outputs: np.ndarray, centre: np.ndarray) -> Mixture:
        """The mixtures of logistic distributions that outputs (n, 3 k) stand for, around `centre` (n,).

        outputs : logits of the k components, their means in 1/16 level above `centre`, the numbers of their scales.
        """
        k = outputs.shape[1] // 3
        weights = self.softmax(outputs[:, :k])
        weights = 1 + np.floor(weights * (252 / COUNT) / (weights.sum(1, keepdims=True) / COUNT))
        means = outputs[:, k : 2 * k] + SUBLEVEL * centre[:, None]
        numbers = np.clip(outputs[:, 2 * k :], 0, len(self.inverse_scale) - 1).astype(np.intp)
        return Mixture(self.logistic, weights, means, self.inverse_scale[numbers])


@dataclass(frozen=True)
class Mixture:
    """Distributions over 256 levels, each a mixture of k discretised logistic distributions; all arrays (n, k).

    A level is coded as two digits of 4 bits. Salimans et al. 2017, "PixelCNN++", arXiv:1701.05517, section 2.1.
    """

    logistic: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    slopes: np.ndarray

    def digits(self, levels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The upper and the lower digits of levels (n,), each with its counts."""
        high, low = np.divmod(levels, 16)
        return [(high, self.high()), (low, self.low(high))]

    def high(self) -> np.ndarray:
        """Counts of the upper digits, float32 (n, 16)."""
        edges = np.broadcast_to(np.arange(0, 257, 16), (len(self.means), 17))
        return np.diff(self._below(edges), axis=1) + 16

    def low(self, high: np.ndarray) -> np.ndarray:
        """Counts of the lower digits, float32 (n, 16), given the upper ones (n,)."""
        return np.diff(self._below(16 * high[:, None] + np.arange(17)), axis=1) + 1

    def _below(self, edges: np.ndarray) -> np.ndarray:
        """How much lies below levels (n, m), whole numbers in float32."""
        middle = len(self.logistic) // 2
        positions = (edges * SUBLEVEL - SUBLEVEL // 2).astype(np.float32)
        positions[edges == 0], positions[edges == 256] = -(1 << 22), 1 << 22
        total = np.zeros(edges.shape, np.float32)
        for mean, slope, weight in zip(self.means.T, self.slopes.T, self.weights.T, strict=True):
            steps = positions - mean[:, None]
            steps *= slope[:, None]
            np.clip(np.rint(steps, out=steps), -middle, middle, out=steps)
            total += self.logistic[steps.astype(np.intp) + middle] * weight[:, None]
        return total
