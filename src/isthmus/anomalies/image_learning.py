"""How detectors of images and signals are fitted: networks that guess hidden cells, and banks of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from isthmus.anomalies.image_features import distances, edge_features
from isthmus.anomalies.image_judge import ImageJudge, statistics
from isthmus.anomalies.image_layout import ImageLayout
from isthmus.anomalies.image_tasks import HiddenCellsTask
from isthmus.data.base import evenly_spread
from isthmus.device import has_fast_bfloat16, in_best_memory_order
from isthmus.errors import IsthmusError
from isthmus.networks import seeded
from isthmus.networks.unet import SIZES, UNet, UNetSpec
from isthmus.training.crops import CropFeed
from isthmus.training.run import Length, Run, Trained, digest

_WHOLE = {1: 1024, 2: 64, 3: 24}  # longest side up to which samples of one size are learned from whole
_CROP = {1: 256, 2: 48, 3: 24}  # side of what is learned from at a time, where they are larger
_BATCH_VALUES, _LEAST_BATCH, _MOST_BATCH = 1 << 15, 4, 32
_LENGTH = Length(samples=20_000, least_steps=600, most_epochs=1_000)
_LEARNING_RATE = 0.01
_SIZE = "small"
_FOLDS, _MANY = 4, 400  # samples from which a part of them is set aside; with fewer, each is set aside in turn
_CALIBRATION, _MOST_CALIBRATION = 0.2, 1_000
_MOST_IN_BANK = 10_000
_MEASURED = 500  # samples by which the two statistics are brought to one scale
_LEAST_SPREAD = 0.02


def splits(n: int, seed: int) -> list[np.ndarray]:
    """Which samples are set aside for calibration, sorted, for each network."""
    order = np.random.default_rng([seed, 5]).permutation(n)
    if n >= _MANY:
        return [np.sort(order[: min(_MOST_CALIBRATION, int(_CALIBRATION * n))])]
    return [np.sort(part) for part in np.array_split(order, min(_FOLDS, n))]


def learn_judge(
    run: Run,
    samples: Sequence[np.ndarray],
    layout: ImageLayout,
    spec: UNetSpec,
    contaminated: float,
    part: int,
) -> tuple[ImageJudge, Trained]:
    """Learn from arrays (*spatial, channels), as one part of a run.

    contaminated : the share of samples that may be anomalies.
    """
    with seeded(run.seed + part):
        network = spec.build()
    in_best_memory_order(network.to(run.device), spec.num_spatial_dims + 2)
    side = _side(samples, layout)
    fitting = samples if side is None else [sample for sample in samples if _holds(sample, side)]
    feed = CropFeed(fitting, side, layout.scale, max(1, (side or (1,))[0] // 3))
    values = math.prod(side or fitting[0].shape[:-1]) * layout.channels
    batch = min(max(1 << int(math.log2(max(1, _BATCH_VALUES // values))), _LEAST_BATCH), _MOST_BATCH)
    precision = "bfloat16" if has_fast_bfloat16(run.device) else "float32"
    training = run.spec(_LENGTH, len(feed), batch, learning_rate=_LEARNING_RATE, precision=precision)
    task = HiddenCellsTask(network, contaminated=contaminated > 0, precision=precision)
    none = np.zeros(0, np.int64)
    trained = run.train(task, feed, training, none, digest(fitting), part=part)
    network.eval()
    return _judge(network, samples, layout, contaminated), trained


def unet_spec(samples: Sequence[np.ndarray], layout: ImageLayout) -> UNetSpec:
    """What networks for samples are made of."""
    some = samples[:: max(1, len(samples) // 2000)]
    values = np.concatenate([sample.ravel()[: 1 << 22] for sample in some]).astype(np.float64) * layout.scale
    deviation = float(values.std())
    if not deviation > 0:
        raise IsthmusError(f"all {len(samples)} samples are the same constant, {values[0] / layout.scale:g}")
    channels = layout.channels
    return UNetSpec(layout.num_spatial_dims, channels, channels, *SIZES[_SIZE], float(values.mean()), deviation)


@torch.inference_mode()
def _judge(network: UNet, samples: Sequence[np.ndarray], layout: ImageLayout, contaminated: float) -> ImageJudge:
    bank, device = None, next(network.parameters()).device
    if layout.shape is not None:
        chosen = evenly_spread(len(samples), _MOST_IN_BANK).tolist()
        bank = torch.cat([edge_features(x) for x in layout.batches([samples[i] for i in chosen], device)])
        if contaminated:  # what lies far from all others is no example of the normal
            kept = distances(bank, bank, skip=1).argsort()[: max(2, round((1 - contaminated) * len(bank)))]
            bank = bank[kept.sort().values]
        bank = bank.half().float()  # as it is kept on disk: a model that was loaded says the same
    chosen = evenly_spread(len(samples), _MEASURED).tolist()
    batches = layout.batches([samples[i] for i in chosen], device)
    found = torch.cat([statistics(network, bank, x, skip=1) for x in batches])
    centre = found.median(0).values
    spread = 1.4826 * (found - centre).abs().median(0).values
    return ImageJudge(network, bank, centre, spread.clamp(min=_LEAST_SPREAD))


def _side(samples: Sequence[np.ndarray], layout: ImageLayout) -> tuple[int, ...] | None:
    """Size of the crops that are learned from: one that at least half of the samples hold; None for whole samples."""
    d = layout.num_spatial_dims
    if layout.shape is not None and max(samples[0].shape[:-1]) <= _WHOLE[d]:
        return None
    middle = np.median([sample.shape[:-1] for sample in samples], axis=0)
    return tuple(int(min(_CROP[d], n)) for n in middle)


def _holds(sample: np.ndarray, side: Sequence[int]) -> bool:
    return all(n >= length for n, length in zip(sample.shape, side, strict=False))
