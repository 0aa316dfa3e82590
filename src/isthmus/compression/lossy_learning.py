"""How a lossy codec is learned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.compression.coding.codes import QUALITIES
from isthmus.compression.coding.context import Context
from isthmus.compression.coding.exact import SUBLEVEL, UNIT
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.lossless_learning import Learned, background_of, choose, train_part
from isthmus.compression.lossy_network import LossyNetwork, RateNetwork
from isthmus.compression.lossy_tasks import CROP, STRIDE, LossyTask
from isthmus.compression.patches import PatchNetwork
from isthmus.data.sources import Source
from isthmus.device import in_best_memory_order
from isthmus.networks import build, default_channels, seeded
from isthmus.objectives import Objective
from isthmus.spec import NetworkSpec
from isthmus.training.crops import CropFeed
from isthmus.training.run import Run

OBJECTIVES = {"mse": 1.0, "ms-ssim": 0.05}  # what they count beside the squared error
_SMALL = 64  # side up to which images of one size get a flat code
_LEAST_LAMBDA, _LAMBDA_RANGE = 0.05, 300.0


@dataclass(frozen=True)
class FlatSettings:
    """Of an auto-encoder with a flat code. groups : of numbers, each coded with the ones before it known."""

    codes: int = 128
    groups: int = 8
    hidden: int = 128  # of the network of the rate
    batch_size: int = 32
    learning_rate: float = 0.02


@dataclass(frozen=True)
class PatchSettings:
    """Of an auto-encoder of patches.

    patch : their side. radius, skew : of the context. repair : channels of the layers that mend seams. strengths : how
    many they have, see `PatchNetwork`.
    """

    patch: int = 8
    radius: float = 2.3
    skew: int = 3
    codes: int = 64
    groups: int = 3
    hidden: int = 96
    repair: int = 32
    strengths: int = 7
    batch_size: int = 8
    learning_rate: float = 0.02


_FLAT, _PATCHES = FlatSettings(), PatchSettings()
_FINE = replace(_PATCHES, batch_size=32, strengths=0)  # of small images at high qualities, where a flat code ends
_INK = replace(
    _FINE, patch=1, codes=1, groups=1, radius=7.2, skew=8, hidden=128, batch_size=16
)  # on a plain background
_FINE_LAMBDAS = (8.0, 1000.0)  # of the second auto-encoder, beside the least λ
_LARGEST = 100  # whole number that the largest component is given at the best quality
_MOST_PATCHES = 20_000  # that the principal components are of
_COARSE = 2.9  # rounding step for a λ of 1 where both are optimal at high rates: √(12 / (2 ln 2))
_MEASURED, _PLACES = 256, 40  # images and qualities that say where one part of the dial ends and the next begins
_PARTS = "part 1 of 2, few bytes", "part 2 of 2, high qualities"
_LEAST_MEASURED = 16  # images, in runs of a few seconds: a minute of training is worth all of them


def learn_lossy(images: Source, objective: str, run: Run) -> Learned:
    """Learn to code images with loss.

    Small images of one size get two auto-encoders: one with a flat code, which needs the fewest bytes where much may be
    lost, and one with a code for every place, which can be as exact as wanted.
    """
    chosen = choose(images, run.seed)
    shapes = {image.shape for image in chosen}
    least = _LEAST_LAMBDA / _roughness(chosen)
    whole_range = (least, _LAMBDA_RANGE * least)
    if len(shapes) > 1 or max(chosen[0].shape[:2]) > _SMALL:
        return _learn_patches(chosen, _PATCHES, objective, run, whole_range)
    measured = _MEASURED
    if run.minutes is not None:
        measured = min(_MEASURED, max(_LEAST_MEASURED, int(_MEASURED * run.minutes)))
        run = replace(run, minutes=run.minutes / 2)
    flat = _learn_flat(chosen, _FLAT, objective, run, whole_range)
    if flat.trained.signal:
        return flat
    low, high = _FINE_LAMBDAS
    background = background_of(np.stack(chosen))
    settings = _FINE if background is None else _INK
    fine = _learn_patches(chosen, settings, objective, run, (low * least, high * least), background, number=1)
    some = np.stack(chosen[:: max(1, len(chosen) // measured)])
    return Learned(_together(flat.model, fine.model, some), fine.trained.after(flat.trained))


def _learn_flat(
    images: Sequence[np.ndarray], settings: FlatSettings, objective: str, run: Run, lambdas: tuple[float, float]
) -> Learned:
    """An auto-encoder with a flat code, for small images of one size."""
    shape = (*images[0].shape, 1)[2], *map(int, images[0].shape[:2])
    codes = min(settings.codes, math.prod(shape))
    nowhere = Context(np.zeros((0, 2), np.int32))
    with seeded(run.seed):
        rate = RateNetwork(nowhere, codes, min(settings.groups, codes), settings.hidden)
        spec = NetworkSpec("conv", shape, latent_dim=codes, channels=default_channels(shape))
        network = LossyNetwork(build(spec, run.seed), codes, rate)
    return _learn(images, network, nowhere, spec.to_dict(), settings, objective, run, lambdas, (0, _PARTS[0]))


def _learn_patches(
    images: Sequence[np.ndarray],
    settings: PatchSettings,
    objective: str,
    run: Run,
    lambdas: tuple[float, float],
    background: float | None = None,
    number: int = 0,
) -> Learned:
    """An auto-encoder with a code for every patch. background : the value of a plain one, if there is one."""
    channels, patch = (*images[0].shape, 1)[2], settings.patch
    codes = min(settings.codes, channels * patch**2)
    context = Context.disk(settings.radius, settings.skew)
    with seeded(run.seed):
        rate = RateNetwork(context, codes, min(settings.groups, codes), settings.hidden)
        described = {
            "channels": channels,
            "patch": patch,
            "codes": codes,
            "hidden": settings.repair,
            "strengths": settings.strengths,
        }
        some = _patches(images, patch, run.seed)
        if background is not None:
            background /= np.iinfo(images[0].dtype).max
        patches = PatchNetwork(channels, patch, codes, settings.repair, some, background, settings.strengths)
        lambdas = _representable(lambdas, patches, some)
        first, last = (math.sqrt(value) / _COARSE for value in lambdas)
        network = LossyNetwork(patches, codes, rate, (first, last))
    part = (number, _PARTS[number] if number else "")
    return _learn(images, network, context, described, settings, objective, run, lambdas, part)


def _learn(
    images: Sequence[np.ndarray],
    network: LossyNetwork,
    context: Context,
    described: Mapping[str, Any],
    settings: FlatSettings | PatchSettings,
    objective: str,
    run: Run,
    lambdas: tuple[float, float],
    part: tuple[int, str],
) -> Learned:
    """Train a network and make a codec's model of it.

    described : its layers, as JSON values. part : of the run, by number and name.
    """
    assert network.rate is not None
    in_best_memory_order(network.to(run.device), 4)
    depth, channels = 8 * images[0].dtype.itemsize, (*images[0].shape, 1)[2]
    planes = [image.reshape(*image.shape[:2], channels) for image in images]
    feed = CropFeed(planes, _crop_side(images), 1 / np.iinfo(images[0].dtype).max, STRIDE)
    task = LossyTask(network, lambdas, Objective({objective: OBJECTIVES[objective]}))
    trained = train_part(task, feed, images, run, settings.batch_size, settings.learning_rate, *part)
    network.cpu()
    weights = {k: v for k, v in network.state_dict().items() if not k.startswith("rate.")}
    state = {f"network.{name}": tensor.contiguous().numpy() for name, tensor in weights.items()}
    config = {
        "network": described,
        "latents": {
            "window": context.offsets.tolist(),
            "channels": sum(network.rate.sizes),
            "groups": network.rate.sizes,
        },
        "channels": channels,
        "depth": depth,
        "lambdas": list(lambdas),
        "objective": objective,
    }
    return Learned(CodecModel.new("lossy", config, {**state, **network.rate.export(UNIT, SUBLEVEL)}), trained)


def _crop_side(images: Sequence[np.ndarray]) -> tuple[int, int] | None:
    """Size of what is learned from at a time: None for small images of one size, which are taken whole."""
    sizes = np.array([image.shape[:2] for image in images])
    if bool((sizes == sizes[0]).all()) and sizes.max() <= _SMALL:
        return None
    return min(CROP, int(sizes[:, 0].min())), min(CROP, int(sizes[:, 1].min()))


def _together(flat: CodecModel, fine: CodecModel, images: np.ndarray) -> CodecModel:
    """One model of two: the dial holds the qualities of both that no other beats in bytes and error at once."""
    places = (np.round(np.linspace(0, QUALITIES, _PLACES)) / QUALITIES).tolist()
    points = [[number, place] for number in (0, 1) for place in places]
    every = joined((flat, fine), points, 0.0).coding  # a dial of all points, which searches no codes, as the result
    found = [(*_measured(every, images, i / (len(points) - 1)), *point) for i, point in enumerate(points)]
    dial: list[list[float]] = []
    least = math.inf
    for _, error, number, place in sorted(found):
        if error < least:
            dial.append([number, place])
            least = error
    return joined((flat, fine), dial, float(2 * places[1]))


def joined(parts: Sequence[CodecModel], dial: list[list[float]], step: float) -> CodecModel:
    """Models with loss, made with the same tables, as one. dial, step : see `lossy_coding.DialCoding`."""
    tables = {name: array for name, array in parts[0].tensors.items() if name.startswith("tables.")}
    tensors = {
        f"{number}/{name}": array
        for number, model in enumerate(parts)
        for name, array in model.tensors.items()
        if name not in tables
    }
    config = {"parts": [part.config for part in parts], "dial": dial, "step": step}
    return CodecModel("lossy", config, {**tensors, **tables})


def _measured(coding: Any, images: np.ndarray, place: float) -> tuple[int, float]:
    data, _ = coding.encode(images, place)
    error = coding.reconstruct(images, place).astype(np.float64) - images
    return len(data), float((error**2).mean())


def _representable(lambdas: tuple[float, float], network: PatchNetwork, patches: np.ndarray) -> tuple[float, float]:
    """As much of the range as leaves the components within ±127 when they are rounded."""
    components = network.components.flatten(1).numpy()
    rows = (patches - network.mean.detach().numpy()[:, None, None]).reshape(len(patches), -1)
    largest = float(np.abs(rows @ components.T).max())
    high = min(lambdas[1], (_COARSE * _LARGEST / max(largest, 1e-9)) ** 2)
    return min(lambdas[0], high / 10), high


def _patches(images: Sequence[np.ndarray], patch: int, seed: int) -> np.ndarray:
    """Random patches in [0, 1], (n, channels, patch, patch); images smaller than one are repeated to its size."""
    rng, found = np.random.default_rng([seed, 5]), []
    for image in images:
        whole = image.reshape(*image.shape[:2], -1)
        whole = np.pad(whole, [(0, max(0, patch - n)) for n in whole.shape[:2]] + [(0, 0)], mode="symmetric")
        count = max(1, _MOST_PATCHES // len(images))
        rows, columns = (rng.integers(0, n - patch + 1, count) for n in whole.shape[:2])
        found += [whole[r : r + patch, c : c + patch].transpose(2, 0, 1) for r, c in zip(rows, columns, strict=True)]
    return np.stack(found).astype(np.float32) / np.iinfo(images[0].dtype).max


def _roughness(images: Sequence[np.ndarray]) -> float:
    """Mean squared difference of neighbouring values, in units of the range: how much there is to code."""
    top = np.iinfo(images[0].dtype).max
    some = images[:: max(1, len(images) // 500)]
    squares = [(np.diff(image.astype(np.float32), axis=1) ** 2).mean() for image in some if image.shape[1] > 1]
    return max(float(np.mean(squares)) / top**2 if squares else 1.0, 1e-6)
