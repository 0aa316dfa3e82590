"""How a denoiser is learned: what kind of training suits what is known of the noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from isthmus.corruptions import ROW_REACH, Corruption
from isthmus.data.scaling import unit_of
from isthmus.denoising.blind_spots import Blind, without_itself
from isthmus.denoising.network import SIZES, DenoisingNetwork, DenoisingSpec
from isthmus.denoising.noise import estimate_deviation, estimate_gains, is_correlated
from isthmus.denoising.tasks import BlindSpotTask, DenoisingTask, ErrorTask, RiskTask
from isthmus.device import in_best_memory_order
from isthmus.errors import IsthmusError
from isthmus.networks import seeded
from isthmus.spec import Choice, parse_corruption
from isthmus.training.crops import CropFeed
from isthmus.training.run import Length, Run, Trained, digest
from isthmus.training.task import in_memory_order

_WHOLE = {1: 1024, 2: 64, 3: 24}  # longest side up to which samples of one size are learned from whole
_CROP = {1: 256, 2: 48, 3: 24}  # side of what is learned from at a time, where they are larger
_BATCH_VALUES, _LEAST_BATCH, _MOST_BATCH = 1 << 15, 4, 64
_LENGTH = Length(samples=100_000, least_steps=1_000)
_MOST_VALIDATION = 500
_LEARNING_RATE = 0.01
_MIX_BINS, _MIX_VALUES = 32, 1 << 22
_KNOWN = {"gaussian", "poisson", "speckle"}  # noises whose variance is a function of the signal
_LOST = {"salt-and-pepper", "masking"}  # noises that destroy some values and leave the others


@dataclass(frozen=True)
class Method:
    """How the noise is learned. noise : its name with levels. task : makes the task of a network.

    blind : how values are cleaned that the network must not see.
    """

    noise: str | None
    task: Callable[..., DenoisingTask]
    blind: Blind | None = None


@dataclass(frozen=True)
class Learned:
    """A trained network and how it is used. flips, turns : whether samples may be turned over, and around."""

    network: DenoisingNetwork
    spec: DenoisingSpec
    trained: Trained
    noise: str | None
    blind: Blind | None
    flips: bool
    turns: bool


def learn_denoiser(
    samples: Sequence[np.ndarray], scale: float, noise: str | None, how: str, targets: int, size: str, run: Run
) -> Learned:
    """Learn to clean.

    samples : arrays (*spatial, channels), which `scale` brings to the user's units; with "pairs" the last `targets`
    channels are clean. how : "clean", "pairs" or "noisy".
    """
    d, channels = samples[0].ndim - 1, samples[0].shape[-1] - targets
    if not 1 <= d <= 3:
        raise IsthmusError(
            f"samples have {d} dimensions beside channels; 1 to 3 can be cleaned: set channel_axis if it is another one"
        )
    _check_levels(noise, samples[0].dtype)
    side = _side(samples, d)
    fitting = [sample for sample in samples if side is None or _holds(sample, side)]
    low, high, centre, deviation = _moments(fitting, scale, channels)
    ends = (0.0, 1.0) if scale != 1 else (low, high)
    widths, blocks = SIZES[size]
    spec = DenoisingSpec(d, channels, targets or channels, widths, blocks, centre, deviation)
    with seeded(run.seed):
        network = spec.build()
    in_best_memory_order(network.to(run.device), d + 2)
    method = _method(fitting, scale, noise, how, targets, run.seed, ends=ends, seen=(low, high))
    flips = side is not None
    turns = flips and how != "pairs" and "rows" not in (method.noise or "")
    feed = CropFeed(fitting, side, scale, max(1, (side or (1,))[0] // 3))
    validation = run.held_out(len(feed), min(_MOST_VALIDATION, len(feed) // 20))
    batch = _batch_size(math.prod(side or fitting[0].shape[:-1]) * channels)
    training = run.spec(_LENGTH, len(feed), batch, n_validation=len(validation), learning_rate=_LEARNING_RATE)
    trained = run.train(method.task(network, flips=flips, turns=turns), feed, training, validation, digest(fitting))
    blind = method.blind
    if blind is not None and blind.noise is not None:
        blind = _with_mix(blind, network, feed, run)
    return Learned(network.cpu(), spec, trained, method.noise, blind, flips, turns)


def _check_levels(noise: str | None, dtype: np.dtype) -> None:
    """Refuse a level in grey values where it is a fraction of the range of integers."""
    unit = unit_of(dtype)
    for part in parse_corruption(noise) if noise is not None and unit != 1 else ():
        if part.name in ("gaussian", "rows") and part.high is not None and part.high > 1:
            raise IsthmusError(
                f"noise '{part}' would be {part.high:g} times the whole range of {dtype}; its level is a fraction of "
                f"that range: {part.name}:{part.high / unit:.3g} is {part.high:g} of {unit:g}"
            )


def _side(samples: Sequence[np.ndarray], d: int) -> tuple[int, ...] | None:
    """Size of the crops: None for whole samples, else one that at least half of the samples hold."""
    shapes = {sample.shape[:-1] for sample in samples}
    if len(shapes) == 1 and max(next(iter(shapes))) <= _WHOLE[d]:
        return None
    middle = np.median([sample.shape[:-1] for sample in samples], axis=0)
    return tuple(int(min(_CROP[d], n)) for n in middle)


def _holds(sample: np.ndarray, side: Sequence[int]) -> bool:
    return all(n >= length for n, length in zip(sample.shape, side, strict=False))


def _moments(samples: Sequence[np.ndarray], scale: float, channels: int) -> tuple[float, float, float, float]:
    """Least, largest, mean and standard deviation of what the network will see, in the user's units."""
    some = samples[:: max(1, len(samples) // 2000)]
    values = np.concatenate([sample[..., :channels].ravel()[: 1 << 22] for sample in some]).astype(np.float64) * scale
    deviation = float(values.std())
    return float(values.min()), float(values.max()), float(values.mean()), deviation if deviation > 0 else 1.0


def _batch_size(values: int) -> int:
    """How many samples of so many values: a power of two."""
    return min(max(1 << int(math.log2(max(1, _BATCH_VALUES // values))), _LEAST_BATCH), _MOST_BATCH)


def _method(
    samples: Sequence[np.ndarray],
    scale: float,
    noise: str | None,
    how: str,
    targets: int,
    seed: int,
    *,
    ends: tuple[float, float],
    seen: tuple[float, float],
) -> Method:
    """What suits what is known. ends : of the data's range. seen : least and largest value."""
    if how == "pairs":
        return Method(noise, partial(ErrorTask, targets=targets))
    if how == "clean":
        assert noise is not None
        return Method(noise, partial(ErrorTask, corruption=Corruption(noise, ends)))
    return _from_noisy(samples, scale, noise, seed, seen)


def _from_noisy(
    samples: Sequence[np.ndarray], scale: float, noise: str | None, seed: int, ends: tuple[float, float]
) -> Method:
    """How noise is learned from noisy samples alone; levels that nobody gave are estimated."""
    if noise is None:
        noise = "rows" if is_correlated(samples, seed) else "gaussian"
    parts = parse_corruption(noise)
    names = {part.name for part in parts}
    if names <= _KNOWN:
        parts = _with_levels(parts, samples, scale, seed)
        return Method(_text(parts), partial(RiskTask, variance=variance_of(parts)))
    if names == {"rows"}:
        level = parts[0].value(0) or scale * estimate_deviation(samples, seed, across_rows=True)
        task = partial(BlindSpotTask, rows=ROW_REACH)
        return Method(_text([Choice("rows", level, level)]), task, Blind(rows=ROW_REACH, noise=level**2))
    if names & {"rows"}:
        raise IsthmusError(f"noise {noise!r} cannot be learned from noisy data alone: 'rows' goes with nothing else")
    unknown = names - _KNOWN - _LOST
    if unknown:
        raise IsthmusError(
            f"noise {min(unknown)!r} cannot be learned from noisy data alone; these can: "
            f"{', '.join(sorted(_KNOWN | _LOST | {'rows'}))}"
        )
    lost = parts[0].name if len(parts) == 1 else None
    return Method(noise, partial(BlindSpotTask, ends=ends), Blind(lost=lost, ends=ends))


def _with_levels(parts: Sequence[Choice], samples: Sequence[np.ndarray], scale: float, seed: int) -> list[Choice]:
    """Noises with levels: those that were given, the others estimated."""
    missing = [part.name for part in parts if part.low is None]
    if not missing:
        return [Choice(part.name, part.value(0), part.value(0)) for part in parts]
    if [part.name for part in parts] == ["gaussian"]:
        found = {"gaussian": scale * estimate_deviation(samples, seed)}
    else:
        slope, offset = (a * b for a, b in zip(estimate_gains(samples, seed), (scale, scale**2), strict=True))
        if "speckle" in missing:
            raise IsthmusError("the level of 'speckle' cannot be estimated; give it, as in 'speckle:0.2'")
        found = {"gaussian": math.sqrt(offset), "poisson": 1 / max(slope, 1e-9)}
    return [Choice(part.name, *[found[part.name] if part.low is None else part.value(0)] * 2) for part in parts]


def variance_of(parts: Sequence[Choice]) -> Callable[[Tensor], Tensor]:
    """The variance of noises with levels, given what was seen, in the user's units."""

    def variance(y: Tensor) -> Tensor:
        total = torch.zeros_like(y)
        for part in parts:
            level = part.value(0)
            if part.name == "gaussian":
                total = total + level**2
            elif part.name == "poisson":
                total = total + y.clamp(min=0) / level
            else:
                total = total + level**2 / (1 + level**2) * y**2  # E[y²] is (1 + level²) x²
        return total

    return variance


def _text(parts: Sequence[Choice]) -> str:
    return "+".join(map(str, parts))


@torch.inference_mode()
def _with_mix(blind: Blind, network: DenoisingNetwork, feed: CropFeed, run: Run) -> Blind:
    """The error of guesses without the value itself, by the guess's level, measured on the training samples."""
    guesses, squares, values = [], [], 0
    order = np.random.default_rng([run.seed, 7]).permutation(len(feed))
    for x in feed.batches(order[i : i + 16] for i in range(0, len(order), 16)):
        x = in_memory_order(x.to(run.device))
        guess = without_itself(network, x, rows=blind.rows)[0]
        guesses.append(guess.flatten().cpu().numpy())
        squares.append(((x - guess) ** 2).flatten().cpu().numpy())
        values += x.numel()
        if values >= _MIX_VALUES:
            break
    level, square = np.concatenate(guesses), np.concatenate(squares)
    levels, variances = [], []
    for part in np.array_split(np.argsort(level, kind="stable"), min(_MIX_BINS, max(1, len(level) // 1000))):
        levels.append(float(level[part].mean()))
        variances.append(max(0.0, float(square[part].mean()) - float(blind.noise or 0)))
    return replace(blind, levels=tuple(levels), variances=tuple(variances))
