"""How a codec's model is learned from images: which kind suits them, and its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from isthmus.compression.coding import continuous_tone, plain_background
from isthmus.compression.coding.context import Context
from isthmus.compression.coding.exact import SUBLEVEL, UNIT
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.range_coder import Statics
from isthmus.compression.lossless_tasks import (
    ContinuousToneFeed,
    ContinuousToneTask,
    PlainBackgroundFeed,
    PlainBackgroundTask,
    learn_codebook,
)
from isthmus.compression.pixel_networks import ContinuousToneNetwork, PlainBackgroundNetwork
from isthmus.data.sources import Source
from isthmus.errors import IsthmusError
from isthmus.networks import seeded
from isthmus.training.run import Length, Run, Trained, digest
from isthmus.training.selection import commonest_kind
from isthmus.training.task import Feed, Task

_MOST_VALUES = 1 << 27  # of the images that are learned from
_PLAIN = 0.25  # share of the commonest value from which on it counts as background
_LEAST_SIMILAR = 64  # images of one shape, for a model of images on a plain background
_CHANNELS = (1, 3, 4)
LENGTH = Length(samples=300_000, least_steps=600, least_epochs=3)
MOST_VALIDATION = 1_000


@dataclass(frozen=True)
class PlainBackgroundSettings:
    """Of a model of images on a plain background. radius, skew : of the context. entries : of the codebook."""

    radius: float = 7.2
    skew: int = 8
    hidden: int = 192
    entries: int = 128
    batch_size: int = 8
    learning_rate: float = 0.02


@dataclass(frozen=True)
class ContinuousToneSettings:
    """Of a model of continuous-tone images. radius, skew : of the context. components : of the mixtures."""

    radius: float = 4.9
    skew: int = 3
    hidden: int = 96
    components: int = 3
    batch_size: int = 16
    learning_rate: float = 0.02


_PLAIN_BACKGROUND, _CONTINUOUS_TONE = PlainBackgroundSettings(), ContinuousToneSettings()


@dataclass(frozen=True)
class Learned:
    """A trained model and its run."""

    model: CodecModel
    trained: Trained


def learn_lossless(images: Source, run: Run) -> Learned:
    """Learn to code images without loss."""
    chosen = choose(images, run.seed)
    one = chosen[0]
    same = all(image.shape == one.shape for image in chosen)
    if one.dtype == np.uint8 and one.ndim == 2 and same and len(chosen) >= _LEAST_SIMILAR:
        stack = np.stack(chosen)
        background = background_of(stack)
        if background is not None:
            return _learn_plain_background(stack, int(background), run)
    return _learn_continuous_tone(chosen, run)


def background_of(images: np.ndarray) -> float | None:
    """The commonest value, where it is so common that it counts as background."""
    counts = np.bincount(images.ravel())
    return float(counts.argmax()) if counts.max() >= _PLAIN * images.size else None


def choose(images: Source, seed: int) -> list[np.ndarray]:
    """Images to learn from, of the commonest dtype and number of channels: all of them, or a random part."""
    if len(images) == 0:
        raise IsthmusError(f"{images.name} holds 0 images; at least 1 is needed")

    def read(index: int) -> np.ndarray:
        image = images[index]
        if image.dtype == np.bool_:
            image = image.astype(np.uint8)
        if image.dtype not in (np.uint8, np.uint16):
            raise IsthmusError(
                f"{images.location(index)} is {image.dtype}; a codec takes uint8, uint16 and bool: scale and round "
                f"measurements to one of these first"
            )
        return image

    chosen = commonest_kind(len(images), read, _kind, seed=seed, most_values=_MOST_VALUES)
    if not chosen:
        raise IsthmusError(f"{images.name} has images of {images[0].shape[2]} channels; a codec takes 1, 3 or 4")
    return chosen


def _kind(image: np.ndarray) -> tuple[str, int] | None:
    """What images that are learned together share; None for those that no codec takes."""
    channels = (*image.shape, 1)[2]
    return (image.dtype.str, channels) if channels in _CHANNELS else None


def train_part(
    task: Task,
    feed: Feed,
    images: Sequence[np.ndarray] | np.ndarray,
    run: Run,
    batch_size: int,
    learning_rate: float,
    part: int = 0,
    part_name: str = "",
) -> Trained:
    """Train one model of a codec. part, part_name : its number and its name, where there are two."""
    validation = run.held_out(len(feed), min(MOST_VALIDATION, len(feed) // 20))
    spec = run.spec(LENGTH, len(feed), batch_size, n_validation=len(validation), learning_rate=learning_rate)
    return run.train(task, feed, spec, validation, digest(images), part=part, part_name=part_name)


def _learn_plain_background(images: np.ndarray, background: int, run: Run) -> Learned:
    context = Context.disk(_PLAIN_BACKGROUND.radius, _PLAIN_BACKGROUND.skew)
    codebook, entries = learn_codebook(images, background, _PLAIN_BACKGROUND.entries, run.seed)
    with seeded(run.seed):
        inputs = 2 * len(context.offsets) + 4
        logs = torch.from_numpy(codebook.astype(np.float32) / UNIT)
        network = PlainBackgroundNetwork(inputs, _PLAIN_BACKGROUND.hidden, logs, background)
    feed = PlainBackgroundFeed(images, background, context, codebook, entries)
    task = PlainBackgroundTask(network.to(run.device))
    trained = train_part(task, feed, images, run, _PLAIN_BACKGROUND.batch_size, _PLAIN_BACKGROUND.learning_rate)
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
    return Learned(CodecModel.new("levels", config, tensors), trained)


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


def _learn_continuous_tone(images: Sequence[np.ndarray], run: Run) -> Learned:
    depth, channels = 8 * images[0].dtype.itemsize, (*images[0].shape, 1)[2]
    context = Context.disk(_CONTINUOUS_TONE.radius, _CONTINUOUS_TONE.skew)
    symbols = channels * depth // 8
    inputs = (len(context.offsets) + 1) * channels + 3
    with seeded(run.seed):
        network = ContinuousToneNetwork(inputs, _CONTINUOUS_TONE.hidden, _CONTINUOUS_TONE.components, symbols)
    feed = ContinuousToneFeed(images, context, symbols)
    task = ContinuousToneTask(network.to(run.device), depth)
    trained = train_part(task, feed, images, run, _CONTINUOUS_TONE.batch_size, _CONTINUOUS_TONE.learning_rate)
    config = {"window": context.offsets.tolist(), "channels": channels, "depth": depth}
    tensors = network.cpu().export(continuous_tone.FEATURE_UNIT, UNIT, SUBLEVEL)
    return Learned(CodecModel.new("tones", config, tensors), trained)
