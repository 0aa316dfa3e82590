"""How a lossy codec is learned."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from isthmus.coding.exact import SUBLEVEL, UNIT
from isthmus.coding.model import CodecModel
from isthmus.coding.window import Window
from isthmus.data.images import Images
from isthmus.estimators.codec_fit import Fitted, Run, choose, new_spec
from isthmus.networks import build, default_channels, seeded
from isthmus.networks.latents import LossyNetwork, RateNetwork
from isthmus.networks.patches import PatchNetwork
from isthmus.objectives import Objective
from isthmus.spec import NetworkSpec
from isthmus.training.device import in_best_memory_order
from isthmus.training.lossy import CROP, CropFeed, LossyTrainer

OBJECTIVES = {"mse": 1.0, "ms-ssim": 0.05}  # what they count beside the squared error
_SMALL = 64  # side up to which images of one size get a flat code
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
_LARGEST = 100  # whole number that the largest component is given at the best quality
_MOST_PATCHES = 20_000  # that the principal components are of
_COARSE = 2.9  # rounding step for a λ of 1 where both are optimal at high rates: √(12 / (2 ln 2))
_LEAST_LAMBDA, _LAMBDA_RANGE = 0.05, 300.0


def fit_lossy(images: Images, objective: str, run: Run) -> Fitted:
    """Learn to code images with loss."""
    chosen = choose(images, run.seed)
    depth, channels = 8 * chosen[0].dtype.itemsize, (*chosen[0].shape, 1)[2]
    sizes = np.array([image.shape[:2] for image in chosen])
    flat = bool((sizes == sizes[0]).all()) and sizes.max() <= _SMALL
    recipe = _FLAT if flat else _PATCHES
    side = None if flat else tuple(int(n) for n in np.minimum(CROP, sizes.min(0)))
    shape = (channels, *map(int, sizes[0])) if flat else (channels, *side)  # type: ignore[misc]
    window = Window(np.zeros((0, 2), np.int32)) if flat else Window.disk(recipe["radius"], int(recipe["skew"]))
    least = _LEAST_LAMBDA / _roughness(chosen)
    lambdas = (least, _LAMBDA_RANGE * least)
    codes = min(int(recipe["codes"]), math.prod(shape) if flat else channels * int(recipe["patch"]) ** 2)
    with seeded(run.seed):
        rate = RateNetwork(window.offsets, codes, int(recipe["groups"]), int(recipe["hidden"]))
        if flat:
            spec = NetworkSpec("conv", shape, latent_dim=codes, channels=default_channels(shape))
            described = spec.to_dict()
            network = LossyNetwork(build(spec, run.seed), codes, rate)
        else:
            patch, repair = int(recipe["patch"]), int(recipe["repair"])
            described = {"channels": channels, "patch": patch, "codes": codes, "hidden": repair}
            some = _patches(chosen, patch, run.seed)
            patches = PatchNetwork(channels, patch, codes, repair, some)
            lambdas = _representable(lambdas, patches, some)
            first, last = (math.sqrt(value) / _COARSE for value in lambdas)
            network = LossyNetwork(patches, codes, rate, (first, last))
    in_best_memory_order(network.to(run.device), 4)
    feed = CropFeed(chosen, None if flat else side)  # type: ignore[arg-type]
    training, validation = new_spec(recipe, len(feed), run)
    trainer = LossyTrainer(network, feed, training, run.device, validation=validation, **run.options)
    trainer.lambdas = lambdas
    trainer.distortion = Objective({objective: OBJECTIVES[objective]})
    trainer.run()
    network.cpu()
    weights = {k: v for k, v in network.state_dict().items() if not k.startswith("rate.")}
    state = {f"network.{name}": tensor.contiguous().numpy() for name, tensor in weights.items()}
    config = {
        "network": described,
        "latents": {"window": window.offsets.tolist(), "channels": codes, "groups": rate.sizes},
        "channels": channels,
        "depth": depth,
        "lambdas": list(trainer.lambdas),
    }
    model = CodecModel.new("lossy", config, {**state, **rate.export(UNIT, SUBLEVEL)})
    return Fitted(model, training, trainer)


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
