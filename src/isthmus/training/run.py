"""One way to run: how long, from which seed, where, who follows, and where it is kept; for every estimator alike."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from isthmus import __version__
from isthmus.data.base import evenly_spread
from isthmus.data.sources import Source
from isthmus.device import choose_device
from isthmus.errors import IsthmusError
from isthmus.remote.paths import as_path
from isthmus.spec import TrainingSpec, to_json
from isthmus.training.checkpoint import Checkpoint
from isthmus.training.distributed import ALONE, World, check_gpus, join
from isthmus.training.launch import restarts
from isthmus.training.loop import Trainer
from isthmus.training.progress import Listener, shown
from isthmus.training.task import Feed, Task

_LEAST_SHARE = 0.2  # of the minutes that remain for training however long its preparation took
_PROBES = 8  # samples that tell data from other data
_NOT_WHAT = ("device", "verbose", "random_state")  # parameters that do not say what is learned; the seed is in the spec


@dataclass(frozen=True)
class Length:
    """How long a run is by default: about so many samples, in 1 to 50 epochs, and enough steps to learn."""

    samples: int
    least_steps: int
    least_epochs: int = 1
    most_epochs: int = 50

    def epochs(self, n_samples: int, steps_per_epoch: int) -> int:
        """The number of passes over `n_samples`."""
        epochs = max(self.least_epochs, min(self.most_epochs, math.ceil(self.samples / n_samples)))
        return max(epochs, math.ceil(self.least_steps / max(1, steps_per_epoch)))


@dataclass(frozen=True)
class Trained:
    """The outcome of a run.

    spec : its settings. history : its losses in order. seconds : time of training, all sittings together. signal : the
    number of the signal that ended it early, 0 if none did. follows : whether another one of several processes writes
    what was learned.
    """

    spec: TrainingSpec
    history: list[dict[str, Any]]
    seconds: float
    signal: int
    follows: bool = False

    def after(self, before: Trained) -> Trained:
        """This run as the continuation of another one."""
        return replace(self, history=[*before.history, *self.history], seconds=before.seconds + self.seconds)


@dataclass(frozen=True)
class Run:
    """One call of `fit`.

    epochs, minutes : its length; None for both leaves it to the estimator. settings : the estimator's parameters as
    JSON, which a run that is resumed must share. checkpoint : file that the run is kept in. resume : whether to
    continue from it. started : when `fit` was called. world : the processes that run it together.
    """

    epochs: int | None
    minutes: float | None
    seed: int
    device: torch.device
    settings: str
    listeners: tuple[Listener, ...] = ()
    checkpoint: Path | None = None
    resume: bool = False
    checkpoint_seconds: float = 15.0
    started: float = 0.0
    world: World = ALONE

    @classmethod
    def of(
        cls,
        estimator: Any,
        *,
        listeners: Sequence[Listener] = (),
        checkpoint: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = 15.0,
    ) -> Self:
        """The run that an estimator's parameters and the options of `fit` ask for."""
        if resume and checkpoint is None:
            raise IsthmusError("resume=True needs checkpoint=, the file to continue from")
        if estimator.epochs is not None and estimator.minutes is not None:
            raise IsthmusError(f"give epochs (={estimator.epochs}) or minutes (={estimator.minutes}), not both")
        params = {k: v for k, v in sorted(estimator.get_params(deep=False).items()) if k not in _NOT_WHAT}
        started, device, world = time.perf_counter(), choose_device(estimator.device), join()
        check_gpus(device)
        path = None if checkpoint is None else as_path(checkpoint)
        resume = resume or (path is not None and path.exists() and restarts() > 0)
        seed, resumes = world.agreed((seed_from(estimator.random_state), resume))
        settings = json.dumps(to_json(params), default=str)
        world.insist("settings or a version", f"{__version__} {settings}")
        if not world.leads:
            followers: tuple[Listener, ...] = ()
        else:
            followers = (*listeners, shown()) if estimator.verbose else tuple(listeners)
        return cls(
            estimator.epochs,
            estimator.minutes,
            seed,
            device,
            settings,
            followers,
            path,
            resumes,
            checkpoint_seconds,
            started,
            world,
        )

    def held_out(self, n_samples: int, count: int) -> np.ndarray:
        """Sorted numbers of the samples that validate, int64 (count,)."""
        return np.sort(np.random.default_rng([self.seed, 1]).choice(n_samples, count, replace=False, shuffle=False))

    def spec(
        self, length: Length, n_samples: int, batch_size: int, *, n_validation: int = 0, **settings: Any
    ) -> TrainingSpec:
        """The settings of a run over `n_samples`, of which some validate; `settings` as in `TrainingSpec`."""
        n_train = n_samples - n_validation
        batch_size = max(1, min(batch_size, n_train))
        epochs = self.epochs
        if epochs is None and self.minutes is None:
            epochs = length.epochs(n_samples, n_train // batch_size)
        settings = {"objective": {}, "optimizer": "muon"} | settings
        return TrainingSpec(epochs=epochs, minutes=self.minutes, batch_size=batch_size, seed=self.seed, **settings)

    def train(
        self,
        task: Task,
        feed: Feed,
        spec: TrainingSpec,
        validation: np.ndarray,
        data: str,
        *,
        part: int = 0,
        part_name: str = "",
        preparing: bool = False,
    ) -> Trained:
        """Train a task to the end of the run, or of what the checkpoint left of it.

        data : digest of the data, from `digest`. part : number of a part, of a run of several; each has a file of its
        own. part_name : what listeners are told. preparing : whether the time since `fit` was called counts as part
        of the minutes.
        """
        preparation = 0.0
        if preparing and spec.minutes is not None:
            preparation = min(time.perf_counter() - self.started, (1 - _LEAST_SHARE) * 60 * spec.minutes)
            preparation = self.world.agreed(preparation)
        self.world.insist("data", data)
        trainer = Trainer(
            task,
            feed,
            spec,
            validation=validation,
            listeners=self.listeners,
            checkpoint=self._checkpoint(data, part),
            part=part_name,
            preparation=preparation,
            world=self.world,
        )
        trainer.run()
        position = trainer.position
        seconds = position.seconds + position.preparation
        return Trained(spec, position.history, seconds, trainer.signal, not self.world.leads)

    def _checkpoint(self, data: str, part: int) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        path, later = checkpoint_path(self.checkpoint, part), part + 1
        # a run may end before its second part begins
        resume = self.world.agreed(self.resume and (part == 0 or path.exists()))
        while self.world.leads and not self.resume and checkpoint_path(self.checkpoint, later).is_file():
            checkpoint_path(self.checkpoint, later).unlink()  # of a run that this one replaces
            later += 1
        fingerprint = hashlib.sha256(f"{self.settings} {data}".encode()).hexdigest()
        return Checkpoint(path, self.checkpoint_seconds, fingerprint, resume, json.loads(self.settings))


def checkpoint_path(path: Path, part: int) -> Path:
    """The file of one part of a run: the first has the name that was given, the second NAME-2, and so on."""
    return path if part == 0 else path.with_stem(f"{path.stem}-{part + 1}")


def digest(samples: Source | Sequence[np.ndarray] | np.ndarray) -> str:
    """A digest that identifies data: the number of samples, and a few whole ones with dtype and shape."""
    found = hashlib.sha256(str(len(samples)).encode())
    for index in evenly_spread(len(samples), _PROBES).tolist():
        sample = np.ascontiguousarray(samples[index])
        found.update(f"{sample.dtype.str} {sample.shape}".encode())
        found.update(sample.tobytes())
    return found.hexdigest()


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
