"""How detectors of images and signals are fitted: networks that guess hidden cells, and banks of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

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
_SAMPLES, _LEAST_STEPS, _LEAST_OF_SEVERAL = 20_000, 600, 300  # of all networks together, and steps of each
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


def learn_judges(
    run: Run, samples: Sequence[np.ndarray], layout: ImageLayout, contaminated: float
) -> tuple[list[ImageJudge], list[np.ndarray], list[np.ndarray], Trained]:
    """Learn from arrays (*spatial, channels).

    contaminated : the share of samples that may be anomalies.

    Returns the judges, and for each the strangeness of the samples that were set aside, and their group; and the run.
    """
    spec, held_out = unet_spec(samples, layout), splits(len(samples), run.seed)
    if run.minutes is not None:
        run = replace(run, minutes=run.minutes / len(held_out))
    judges, scores, groups, runs = [], [], [], list[Trained]()
    for group, chosen in enumerate(held_out):
        fitting = [samples[i] for i in np.setdiff1d(np.arange(len(samples)), chosen)]
        network, trained = _learn(run, fitting, layout, spec, contaminated > 0, (group, len(held_out)))
        judge = _judge(network, fitting, layout, contaminated)
        judges.append(judge)
        runs.append(trained)
        found = [judge.strangeness(x) for x in layout.batches([samples[i] for i in chosen], run.device)]
        scores.append(torch.cat(found).double().cpu().numpy())
        groups.append(np.full(len(chosen), group))
        if trained.signal:
            break
    return judges, scores, groups, reduce(lambda before, after: after.after(before), runs)


def _learn(
    run: Run,
    samples: Sequence[np.ndarray],
    layout: ImageLayout,
    spec: UNetSpec,
    contaminated: bool,
    part: tuple[int, int],
) -> tuple[UNet, Trained]:
    """Train a network. part : the number of this part of the run, and how many there are."""
    number, parts = part
    with seeded(run.seed + number):
        network = spec.build()
    in_best_memory_order(network.to(run.device), spec.num_spatial_dims + 2)
    side = _side(samples, layout)
    fitting = samples if side is None else [sample for sample in samples if _holds(sample, side)]
    feed = CropFeed(fitting, side, layout.scale, 1 if side is None else _stride(fitting, side))
    values = math.prod(side or fitting[0].shape[:-1]) * layout.channels
    batch = min(max(1 << int(math.log2(max(1, _BATCH_VALUES // values))), _LEAST_BATCH), _MOST_BATCH)
    least = _LEAST_STEPS if parts == 1 else _LEAST_OF_SEVERAL
    length = Length(_SAMPLES // parts, least, most_epochs=1_000)
    precision = "bfloat16" if has_fast_bfloat16(run.device) else "float32"
    training = run.spec(length, len(feed), batch, learning_rate=_LEARNING_RATE, precision=precision)
    task = HiddenCellsTask(network, contaminated=contaminated, precision=precision)
    trained = run.train(task, feed, training, np.zeros(0, np.int64), digest(fitting), part=number)
    return network.eval(), trained


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


def _stride(samples: Sequence[np.ndarray], side: Sequence[int]) -> int:
    """From one crop to the next: a third of their side, more where there would be more crops than a run sees."""
    values = sum(math.prod(sample.shape[:-1]) for sample in samples)
    spread: float = (values / _SAMPLES) ** (1 / len(side))
    return max(1, side[0] // 3, math.ceil(spread))


def _holds(sample: np.ndarray, side: Sequence[int]) -> bool:
    return all(n >= length for n, length in zip(sample.shape, side, strict=False))
