"""How long estimators train whose networks have trainers of their own, and with which settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from isthmus.device import choose_device
from isthmus.errors import IsthmusError
from isthmus.spec import TrainingSpec
from isthmus.training.progress import Bar, Listener

_MOST_EPOCHS = 50


@dataclass(frozen=True)
class Run:
    """How to train: `epochs` or `minutes` or neither; what `Trainer` takes beside the network and the data."""

    epochs: int | None
    minutes: float | None
    seed: int
    device: torch.device
    options: Mapping[str, Any]

    @classmethod
    def of(cls, estimator: Any, listeners: Sequence[Listener]) -> Run:
        """The run that an estimator's parameters ask for."""
        epochs, minutes = estimator.epochs, estimator.minutes
        if epochs is not None and minutes is not None:
            raise IsthmusError(f"give epochs (={epochs}) or minutes (={minutes}), not both")
        seed = seed_from(estimator.random_state)
        options = {"listeners": (*listeners, Bar()) if estimator.verbose else listeners}
        return cls(epochs, minutes, seed, choose_device(estimator.device), options)


@dataclass(frozen=True)
class Usual:
    """How long a run is where nobody says it, and how many samples validate at most."""

    samples: int
    least_epochs: int
    least_steps: int
    validation: int


def new_spec(
    usual: Usual, run: Run, samples: int, batch_size: int, learning_rate: float
) -> tuple[TrainingSpec, np.ndarray]:
    """The settings of the run and the samples that validate."""
    held_out = min(usual.validation, samples // 20)
    validation = np.sort(np.random.default_rng([run.seed, 1]).choice(samples, held_out, replace=False))
    batch_size = max(1, min(batch_size, samples - held_out))
    epochs = run.epochs
    if epochs is None and run.minutes is None:
        per_epoch = max(1, (samples - held_out) // batch_size)
        epochs = max(usual.least_epochs, min(_MOST_EPOCHS, math.ceil(usual.samples / samples)))
        epochs = max(epochs, math.ceil(usual.least_steps / per_epoch))
    spec = TrainingSpec(
        objective={},
        epochs=epochs,
        minutes=run.minutes,
        batch_size=batch_size,
        optimizer="muon",
        learning_rate=learning_rate,
        seed=run.seed,
    )
    return spec, validation


def seed_from(random_state: Any) -> int:
    """An integer seed; None draws one from the operating system, never from a global generator."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    try:
        return int(np.uint64(random_state)) & 0x7FFFFFFFFFFFFFFF
    except (TypeError, ValueError, OverflowError) as error:
        raise IsthmusError(
            f"random_state (={random_state!r}) must be None, an integer of at least 0 or a NumPy generator"
        ) from error
