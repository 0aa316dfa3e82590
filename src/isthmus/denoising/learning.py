"""How a denoiser is trained: which training suits what is known of the noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from isthmus.corruptions import ROW_REACH, Corruption
from isthmus.data.scaling import unit_of
from isthmus.denoising.blind_spots import Blind, without_itself
from isthmus.denoising.noise import estimate_deviation, estimate_gains, is_correlated
from isthmus.denoising.risk import KNOWN, NoiseVariance, Removal, clipped_ends, power_of_details
from isthmus.denoising.tasks import BlindSpotTask, DenoisingTask, ErrorTask, RiskTask
from isthmus.device import in_best_memory_order
from isthmus.errors import IsthmusError
from isthmus.networks import seeded
from isthmus.networks.unet import SIZES, UNet, UNetSpec
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
_PROBES, _FAR_ABOVE = 16, 9.0  # samples, and variances of their details, that levels are compared with
_MOST_JUDGED = 1 << 19  # values, by which it is measured whether taking away helps
_LOST = {"salt-and-pepper", "masking"}  # noises that destroy some values and leave the others


@dataclass(frozen=True)
class Method:
    """How the noise is learned. noise : its name with levels. task : makes the task of a network.

    blind : how values are cleaned that the network must not see. variance : of the noise, where it is known.
    """

    noise: str | None
    task: Callable[..., DenoisingTask]
    blind: Blind | None = None
    variance: NoiseVariance | None = None


@dataclass(frozen=True)
class Learned:
    """A trained network and how it is used.

    variance : that of the noise, where it is known. share : the part of what the network finds that is better taken
    away. flips, turns : whether samples may be flipped, and turned by quarters.
    """

    network: UNet
    spec: UNetSpec
    trained: Trained
    noise: str | None
    blind: Blind | None
    variance: NoiseVariance | None
    share: float
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
            f"samples of shape {samples[0].shape[:-1]} have {d} dimensions beside channels; 1 to 3 can be cleaned"
        )
    _check_levels(noise, samples[0].dtype)
    side = _side(samples, d)
    fitting = [sample for sample in samples if side is None or _holds(sample, side)]
    low, high, centre, deviation = _moments(fitting, scale, channels)
    ends = (0.0, 1.0) if scale != 1 else (low, high)
    widths, blocks = SIZES[size]
    levels = _levels(noise) if side is not None and how == "clean" else None
    spec = UNetSpec(d, channels, targets or channels, widths, blocks, centre, deviation, levels)
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
    task = method.task(network, flips=flips, turns=turns)
    trained = run.train(task, feed, training, validation, digest(fitting))
    rounded = scale if samples[0].dtype.kind in "iu" else 0.0
    share = _removal(task, feed, validation, run).share(rounded)
    blind = method.blind
    if blind is not None and blind.noise is not None:
        blind = _with_mix(blind, network, feed, run)
    return Learned(network.cpu(), spec, trained, method.noise, blind, method.variance, share, flips, turns)


def _check_levels(noise: str | None, dtype: np.dtype) -> None:
    """Refuse a level in grey values where it is a fraction of the range of integers."""
    unit = unit_of(dtype)
    for part in parse_corruption(noise) if noise is not None and unit != 1 else ():
        if part.name in ("gaussian", "rows") and part.high is not None and part.high > 1:
            raise IsthmusError(
                f"noise '{part}' would be {part.high:g} times the whole range of {dtype}; its level is a fraction of "
                f"that range: {part.name}:{part.high / unit:.3g} is {part.high:g} of {unit:g}"
            )


def _levels(noise: str | None) -> tuple[float, float] | None:
    """Least and largest level of noise that is the same everywhere in a sample, where it must be seen there."""
    parts = [] if noise is None else list(parse_corruption(noise))
    low, high = (parts[0].low, parts[0].high) if [part.name for part in parts] == ["gaussian"] else (None, None)
    return None if low is None or high is None or low == high else (low, high)


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
        parts = parse_corruption(noise)
        known = {part.name for part in parts} <= KNOWN and all(part.low is not None for part in parts)
        variance = NoiseVariance.of(parts) if known else None
        return Method(noise, partial(ErrorTask, corruption=Corruption(noise, ends)), variance=variance)
    return _from_noisy(samples, scale, noise, seed, seen)


def _from_noisy(
    samples: Sequence[np.ndarray], scale: float, noise: str | None, seed: int, ends: tuple[float, float]
) -> Method:
    """How noise is learned from noisy samples alone; levels that nobody gave are estimated."""
    if noise is None:
        noise = "rows" if is_correlated(samples, seed) else "gaussian"
    parts = parse_corruption(noise)
    names = {part.name for part in parts}
    if names <= KNOWN:
        text, variance = _with_levels(parts, samples, scale, seed)
        return Method(text, partial(RiskTask, variance=variance), variance=variance)
    if names == {"rows"}:
        level = parts[0].value(0) or _found(scale * estimate_deviation(samples, seed, across_rows=True))
        task = partial(BlindSpotTask, rows=ROW_REACH)
        return Method(str(Choice("rows", level, level)), task, Blind(rows=ROW_REACH, noise=level**2))
    if names & {"rows"}:
        raise IsthmusError(f"noise {noise!r} cannot be learned from noisy data alone: 'rows' goes with nothing else")
    unknown = names - KNOWN - _LOST
    if unknown:
        raise IsthmusError(
            f"noise {min(unknown)!r} cannot be learned from noisy data alone; these can: "
            f"{', '.join(sorted(KNOWN | _LOST | {'rows'}))}"
        )
    lost = parts[0].name if len(parts) == 1 else None
    return Method(noise, partial(BlindSpotTask, ends=ends), Blind(lost=lost, ends=ends))


def _with_levels(
    parts: Sequence[Choice], samples: Sequence[np.ndarray], scale: float, seed: int
) -> tuple[str, NoiseVariance]:
    """Noises with levels, those that were given and the others estimated, in words and as the variance."""
    missing = [part.name for part in parts if part.low is None]
    if "speckle" in missing:
        raise IsthmusError("the level of 'speckle' cannot be estimated; give it, as in 'speckle:0.2'")
    missing_variance = 0.0  # below that of the levels, where darkness has a value above 0
    found: dict[str, float] = {}
    if missing and [part.name for part in parts] == ["gaussian"]:
        found = {"gaussian": _found(scale * estimate_deviation(samples, seed))}
    elif missing:
        slope, offset = (a * b for a, b in zip(estimate_gains(samples, seed), (scale, scale**2), strict=True))
        if "gaussian" in missing and (slope == 0 or offset <= 0):  # one of the two is all there is
            parts = [part for part in parts if part.name == ("gaussian" if slope == 0 else "poisson")]
        if any(part.name == "poisson" for part in parts):
            found["poisson"] = 1 / _found(slope, "noise that grows with the signal")
            missing_variance = min(0.0, offset) if "poisson" in missing else 0.0
        found["gaussian"] = math.sqrt(max(0.0, offset))
    parts = [Choice(part.name, *[found[part.name] if part.low is None else part.value(0)] * 2) for part in parts]
    variance = NoiseVariance.of(parts)
    low, high = clipped_ends(samples, scale)
    variance = replace(variance, offset=variance.offset + missing_variance, low=low, high=high)
    if not missing:
        _check_level(variance, parts, samples, scale)
    above = f" above {-missing_variance / variance.slope:g}" if missing_variance else ""
    return "+".join(map(str, parts)) + above, variance


def _check_level(variance: NoiseVariance, parts: Sequence[Choice], samples: Sequence[np.ndarray], scale: float) -> None:
    """Refuse levels that were given and that are far above the finest details of the data, which hold the noise too."""
    given = held = 0.0
    for sample in samples[:: max(1, len(samples) // _PROBES)]:
        x = torch.from_numpy(np.moveaxis(sample, -1, 0)[None].astype(np.float32) * np.float32(scale))
        power, count = power_of_details(x)
        given += float(variance(x).mean(dtype=torch.float64))
        held += float(power) / count if count else math.inf
    if given > _FAR_ABOVE * held:
        raise IsthmusError(
            f"noise '{'+'.join(map(str, parts))}' has a deviation of {math.sqrt(given / held):.3g} times what the "
            f"finest details of the data have; levels are in units of {_unit(scale)}; leave the level "
            f"out to have it estimated"
        )


def _unit(scale: float) -> str:
    return "the data" if scale == 1 else f"the data's range, of {1 / scale:g}"


def _found(level: float, what: str = "noise") -> float:
    """An estimated level of noise, which must not be zero."""
    if not level > 0:
        raise IsthmusError(
            f"no {what} was found in the data, in what is neither constant nor clipped; if there is some, give its "
            f"level, as in noise='gaussian:0.1' with learn_from='noisy'"
        )
    return level


@torch.no_grad()
def _removal(task: DenoisingTask, feed: CropFeed, validation: np.ndarray, run: Run) -> Removal:
    """What the network takes away from samples, those of the validation first."""
    rng = np.random.default_rng([run.seed, 8])
    others = np.setdiff1d(np.arange(len(feed)), validation)
    order = np.concatenate([rng.permutation(validation), rng.permutation(others)])
    generator = torch.Generator(run.device).manual_seed(run.seed)
    total, values = Removal(), 0
    for x in feed.batches(order[i : i + 16] for i in range(0, len(order), 16)):
        total += task.removal(x.to(run.device), generator)
        values += x.numel()
        if values >= _MOST_JUDGED:
            break
    return total


@torch.inference_mode()
def _with_mix(blind: Blind, network: UNet, feed: CropFeed, run: Run) -> Blind:
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
