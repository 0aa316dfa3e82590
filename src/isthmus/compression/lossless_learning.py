"""How a codec's model is learned from images: which kind suits them, and its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from isthmus.compression.coding import continuous_tone, plain_background
from isthmus.compression.coding.context import Context
from isthmus.compression.coding.exact import SUBLEVEL, UNIT
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.range_coder import Statics
from isthmus.compression.lossless_tasks import (
    ContinuousToneFeed,
    ContinuousToneTrainer,
    PlainBackgroundFeed,
    PlainBackgroundTrainer,
    learn_codebook,
)
from isthmus.compression.pixel_networks import ContinuousToneNetwork, PlainBackgroundNetwork
from isthmus.data.images import Images
from isthmus.errors import IsthmusError
from isthmus.networks import seeded
from isthmus.spec import TrainingSpec
from isthmus.training.run import Run, Usual, new_spec

_MOST_VALUES = 1 << 27  # of the images that are learned from
_PLAIN = 0.25  # share of the commonest value from which on it counts as background
_LEAST_SIMILAR = 64  # images of one shape, for a model of images on a plain background
USUAL = Usual(samples=300_000, least_epochs=3, least_steps=600, validation=1_000)
_LEVELS = {"radius": 7.2, "skew": 8, "hidden": 192, "entries": 128, "batch_size": 8, "learning_rate": 0.02}
_TONES = {"radius": 4.9, "skew": 3, "hidden": 96, "components": 3, "batch_size": 16, "learning_rate": 0.02}


@dataclass(frozen=True)
class Fitted:
    """A trained model, its training's settings and the trainer; the trainer of its first part, if it has two."""

    model: CodecModel
    spec: TrainingSpec
    trainer: Any
    before: Any = None

    @property
    def history(self) -> list[dict[str, Any]]:
        """The losses of all training."""
        return [*([] if self.before is None else self.before.position.history), *self.trainer.position.history]

    @property
    def seconds(self) -> float:
        """Time of all training."""
        return self.trainer.position.seconds + (0.0 if self.before is None else self.before.position.seconds)


def fit_lossless(images: Images, run: Run) -> Fitted:
    """Learn to code images without loss."""
    chosen = choose(images, run.seed)
    one = chosen[0]
    same = all(image.shape == one.shape for image in chosen)
    if one.dtype == np.uint8 and one.ndim == 2 and same and len(chosen) >= _LEAST_SIMILAR:
        stack = np.stack(chosen)
        background = background_of(stack)
        if background is not None:
            return _fit_plain_background(stack, int(background), run)
    return _fit_continuous_tone(chosen, run)


def background_of(images: np.ndarray) -> float | None:
    """The commonest value, where it is so common that it counts as background."""
    counts = np.bincount(images.ravel())
    return float(counts.argmax()) if counts.max() >= _PLAIN * images.size else None


def choose(images: Images, seed: int) -> list[np.ndarray]:
    """Images to learn from, of the commonest dtype and number of channels: all of them, or a random part."""
    if len(images) == 0:
        raise IsthmusError(f"{images.name} holds 0 images; at least 1 is needed")
    order = np.random.default_rng([seed, 4]).permutation(len(images))
    groups: dict[tuple, list[tuple[int, np.ndarray]]] = {}
    values = 0
    for index in order.tolist():
        image = images[index]
        if image.dtype == np.bool_:
            image = image.astype(np.uint8)
        if image.dtype not in (np.uint8, np.uint16):
            raise IsthmusError(
                f"{images.location(index)} is {image.dtype}; a codec takes uint8, uint16 and bool: scale and round "
                f"measurements to one of these first"
            )
        channels = (*image.shape, 1)[2]
        groups.setdefault((image.dtype.str, channels), []).append((index, image))
        values += image.size
        if values >= _MOST_VALUES:
            break
    known = {key: found for key, found in groups.items() if key[1] in (1, 3, 4)}
    if not known:
        raise IsthmusError(f"{images.name} has images of {max(groups)[1]} channels; a codec takes 1, 3 or 4")
    found = max(known.values(), key=lambda group: sum(image.size for _, image in group))
    return [image for _, image in sorted(found, key=lambda pair: pair[0])]


def _fit_plain_background(images: np.ndarray, background: int, run: Run) -> Fitted:
    context = Context.disk(_LEVELS["radius"], int(_LEVELS["skew"]))
    codebook, entries = learn_codebook(images, background, int(_LEVELS["entries"]), run.seed)
    with seeded(run.seed):
        inputs = 2 * len(context.offsets) + 4
        logs = torch.from_numpy(codebook.astype(np.float32) / UNIT)
        network = PlainBackgroundNetwork(inputs, int(_LEVELS["hidden"]), logs, background)
    feed = PlainBackgroundFeed(images, background, context, codebook, entries)
    spec, validation = new_spec(USUAL, run, len(feed), int(_LEVELS["batch_size"]), _LEVELS["learning_rate"])
    trainer = PlainBackgroundTrainer(
        network.to(run.device), feed, spec, run.device, validation=validation, **run.options
    )
    trainer.run()
    boxes, size = plain_background.find_boxes(images, background), images.shape[1:]
    tensors = {
        "codebook": codebook,
        "entries": entries.counts,
        "height": Statics.of(boxes[:, 2], size[0] + 1).counts,
        "width": Statics.of(boxes[:, 3], size[1] + 1).counts,
        **network.cpu().export(plain_background.FEATURE_UNIT, UNIT),
    }
    centre, places = _usual_places(images, background, context, codebook, entries)
    tensors |= places
    config = {
        "background": background,
        "window": context.offsets.tolist(),
        "size": list(map(int, size)),
        "centre": centre,
    }
    return Fitted(CodecModel.new("levels", config, tensors), spec, trainer)


def _usual_places(
    images: np.ndarray, background: int, context: Context, codebook: np.ndarray, entries: Statics
) -> tuple[list[int], dict[str, np.ndarray]]:
    """The centre of mass that best says where contents lie, and how often they lie how far from it."""
    parts = [
        plain_background.prepare(part, background, context, codebook, entries)
        for part in np.array_split(images, max(1, len(images) // 512))
    ]
    within = np.concatenate([plain_background.centres(part, background) for part in parts])
    boxes = np.concatenate([part.boxes for part in parts])
    filled = boxes[:, 2] > 0
    centre, places = [], {}
    for axis, name in enumerate(("top", "left")):
        whole = 256 * boxes[filled, axis] + within[filled, axis]
        centre.append(int(np.median(whole)) if filled.any() else 0)
        away = (boxes[:, axis] - ((centre[axis] - within[:, axis] + 128) >> 8)) % images.shape[1 + axis]
        places[name] = Statics.of(away, images.shape[1 + axis]).counts
    return centre, places


def _fit_continuous_tone(images: Sequence[np.ndarray], run: Run) -> Fitted:
    depth, channels = 8 * images[0].dtype.itemsize, (*images[0].shape, 1)[2]
    context = Context.disk(_TONES["radius"], int(_TONES["skew"]))
    symbols = channels * depth // 8
    inputs = (len(context.offsets) + 1) * channels + 3
    with seeded(run.seed):
        network = ContinuousToneNetwork(inputs, int(_TONES["hidden"]), int(_TONES["components"]), symbols)
    feed = ContinuousToneFeed(images, context, symbols)
    spec, validation = new_spec(USUAL, run, len(feed), int(_TONES["batch_size"]), _TONES["learning_rate"])
    trainer = ContinuousToneTrainer(
        network.to(run.device), feed, spec, run.device, validation=validation, **run.options
    )
    trainer.run()
    config = {"window": context.offsets.tolist(), "channels": channels, "depth": depth}
    tensors = network.cpu().export(continuous_tone.FEATURE_UNIT, UNIT, SUBLEVEL)
    return Fitted(CodecModel.new("tones", config, tensors), spec, trainer)
