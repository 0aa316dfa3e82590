"""How a lossy codec is learned."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.compression.coding.codes import QUALITIES
from isthmus.compression.coding.context import Context
from isthmus.compression.coding.exact import SUBLEVEL, UNIT
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.lossless_learning import USUAL, Fitted, background_of, choose
from isthmus.compression.lossy_network import LossyNetwork, RateNetwork
from isthmus.compression.lossy_tasks import CROP, STRIDE, LossyTrainer
from isthmus.compression.patches import PatchNetwork
from isthmus.data.images import Images
from isthmus.device import in_best_memory_order
from isthmus.networks import build, default_channels, seeded
from isthmus.objectives import Objective
from isthmus.spec import NetworkSpec
from isthmus.training.crops import CropFeed
from isthmus.training.run import Run, new_spec

OBJECTIVES = {"mse": 1.0, "ms-ssim": 0.05}  # what they count beside the squared error
_SMALL = 64  # side up to which images of one size get a flat code
_LEAST_LAMBDA, _LAMBDA_RANGE = 0.05, 300.0
_FLAT = {"codes": 128, "groups": 8, "hidden": 128, "batch_size": 32, "learning_rate": 0.02}
_PATCHES = {
    "patch": 8,
    "radius": 2.3,
    "skew": 3,
    "codes": 64,
    "groups": 3,
    "hidden": 96,
    "repair": 32,
    "batch_size": 8,
    "learning_rate": 0.02,
}
_FINE = {**_PATCHES, "batch_size": 32}  # of small images at high qualities, where a flat code ends
_INK = {**_FINE, "patch": 1, "codes": 1, "groups": 1, "radius": 7.2, "skew": 8, "hidden": 128, "batch_size": 16}
_FINE_LAMBDAS = (8.0, 1000.0)  # of the second auto-encoder, beside the least λ
_LARGEST = 100  # whole number that the largest component is given at the best quality
_MOST_PATCHES = 20_000  # that the principal components are of
_COARSE = 2.9  # rounding step for a λ of 1 where both are optimal at high rates: √(12 / (2 ln 2))
_MEASURED, _PLACES = 256, 40  # images and qualities that say where one part of the dial ends and the next begins


def fit_lossy(images: Images, objective: str, run: Run) -> Fitted:
    """Learn to code images with loss.

    Small images of one size get two auto-encoders: one with a flat code, which needs the fewest bytes where much may be
    lost, and one with a code for every place, which can be as exact as one likes.
    """
    chosen = choose(images, run.seed)
    shapes = {image.shape for image in chosen}
    least = _LEAST_LAMBDA / _roughness(chosen)
    if len(shapes) > 1 or max(chosen[0].shape[:2]) > _SMALL:
        return _fit_part(chosen, _PATCHES, objective, run, (least, _LAMBDA_RANGE * least))
    if run.minutes is not None:
        run = dataclasses.replace(run, minutes=run.minutes / 2)
    flat = _fit_part(chosen, _FLAT, objective, run, (least, _LAMBDA_RANGE * least))
    if flat.trainer.interrupted:
        return flat
    low, high = _FINE_LAMBDAS
    background = background_of(np.stack(chosen))
    recipe = _FINE if background is None else _INK
    fine = _fit_part(chosen, recipe, objective, run, (low * least, high * least), background)
    return dataclasses.replace(fine, model=_together(flat.model, fine.model, chosen), before=flat.trainer)


def _fit_part(
    images: Sequence[np.ndarray],
    recipe: Mapping[str, Any],
    objective: str,
    run: Run,
    lambdas: tuple[float, float],
    background: float | None = None,
) -> Fitted:
    depth, channels = 8 * images[0].dtype.itemsize, (*images[0].shape, 1)[2]
    flat = "patch" not in recipe
    sizes = np.array([image.shape[:2] for image in images])
    whole = bool((sizes == sizes[0]).all()) and sizes.max() <= _SMALL
    side = None if whole else (min(CROP, int(sizes[:, 0].min())), min(CROP, int(sizes[:, 1].min())))
    shape = (channels, *map(int, sizes[0]))
    context = Context(np.zeros((0, 2), np.int32)) if flat else Context.disk(recipe["radius"], recipe["skew"])
    codes = min(recipe["codes"], math.prod(shape) if flat else channels * recipe["patch"] ** 2)
    with seeded(run.seed):
        rate = RateNetwork(context, codes, recipe["groups"], recipe["hidden"])
        if flat:
            spec = NetworkSpec("conv", shape, latent_dim=codes, channels=default_channels(shape))
            described = spec.to_dict()
            network = LossyNetwork(build(spec, run.seed), codes, rate)
        else:
            patch, repair = recipe["patch"], recipe["repair"]
            described = {"channels": channels, "patch": patch, "codes": codes, "hidden": repair}
            some = _patches(images, patch, run.seed)
            if background is not None:
                background /= np.iinfo(images[0].dtype).max
            patches = PatchNetwork(channels, patch, codes, repair, some, background)
            lambdas = _representable(lambdas, patches, some)
            first, last = (math.sqrt(value) / _COARSE for value in lambdas)
            network = LossyNetwork(patches, codes, rate, (first, last))
    in_best_memory_order(network.to(run.device), 4)
    planes = [image.reshape(*image.shape[:2], channels) for image in images]
    feed = CropFeed(planes, side, 1 / np.iinfo(images[0].dtype).max, STRIDE)
    training, validation = new_spec(USUAL, run, len(feed), recipe["batch_size"], recipe["learning_rate"])
    trainer = LossyTrainer(network, feed, training, run.device, validation=validation, **run.options)
    trainer.lambdas = lambdas
    trainer.distortion = Objective({objective: OBJECTIVES[objective]})
    trainer.run()
    network.cpu()
    weights = {k: v for k, v in network.state_dict().items() if not k.startswith("rate.")}
    state = {f"network.{name}": tensor.contiguous().numpy() for name, tensor in weights.items()}
    config = {
        "network": described,
        "latents": {"window": context.offsets.tolist(), "channels": codes, "groups": rate.sizes},
        "channels": channels,
        "depth": depth,
        "lambdas": list(trainer.lambdas),
    }
    model = CodecModel.new("lossy", config, {**state, **rate.export(UNIT, SUBLEVEL)})
    return Fitted(model, training, trainer)


def _together(flat: CodecModel, fine: CodecModel, images: Sequence[np.ndarray]) -> CodecModel:
    """One model of two: the dial holds the qualities of both that no other beats in bytes and error at once."""
    some = np.stack(images[:: max(1, len(images) // _MEASURED)])
    places = np.round(np.linspace(0, QUALITIES, _PLACES)) / QUALITIES
    points = [
        (*_measured(model.coding, some, place), number, float(place))
        for number, model in enumerate((flat, fine))
        for place in places
    ]
    dial: list[list[float]] = []
    least = math.inf
    for _, error, number, place in sorted(points):
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
