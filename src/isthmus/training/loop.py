"""The one training loop, over any task and any feed.

The order of the samples is drawn from (seed, epoch) and every other random number from (seed, step): random numbers are
addresses, not a stream, and so a run that continues from a checkpoint does exactly what the uninterrupted one would
have done.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import evenly_spread
from isthmus.errors import IsthmusError, LostProcessError
from isthmus.imports import collector_paused
from isthmus.networks import load_stored_state, stored_state
from isthmus.registry import optimizers as optimizers_by_name
from isthmus.share import BatchGenerator, Share
from isthmus.spec import TrainingSpec
from isthmus.training.checkpoint import Checkpoint, Position, check_tensors
from isthmus.training.distributed import ALONE, Pulse, World, lost
from isthmus.training.optimizers import learning_rate_factor
from isthmus.training.order import epoch_batches
from isthmus.training.progress import Event, Listener
from isthmus.training.stopping import stop_flag
from isthmus.training.task import Feed, Task

_TICK = 0.25  # seconds between signs of life
_STEPS_BETWEEN_VALIDATIONS = 50  # at least: epochs of a small data set are too short to validate each
_VALIDATION_SHARE = 0.2  # of the minutes, at most, for one validation; it takes fewer samples where they do not last
_ENTRY, _STEPS_IN_ENTRY = 0.02, 10  # share of the run, and steps, from one training loss in the history to the next


class Trainer:
    """Trains a task on the samples of a feed, all but those at `validation` (sorted).

    With a validation set the network ends with the weights of the best validation.

    world : the processes that train it together, each on its share of every batch.

    position : where the run stands. signal : the number of the signal that ended the run, 0 if none did. optimizers :
    with their states.
    """

    def __init__(
        self,
        task: Task,
        feed: Feed,
        spec: TrainingSpec,
        *,
        validation: np.ndarray,
        listeners: Sequence[Listener] = (),
        checkpoint: Checkpoint | None = None,
        part: str = "",
        preparation: float = 0.0,
        schedule: Callable[[float], float] = learning_rate_factor,
        optimizers: list[torch.optim.Optimizer] | None = None,
        world: World = ALONE,
    ) -> None:
        self.task, self.spec, self.position, self.signal = task, spec, Position(preparation), 0
        with collector_paused():  # the first optimizer of a process has torch import its compiler
            self.optimizers = optimizers or optimizers_by_name[spec.optimizer](task, spec)
        self._feed, self._validation, self._listeners = feed, validation, listeners
        self._checkpoint, self._schedule, self._part = checkpoint, schedule, part
        self._batch_size = min(spec.batch_size, len(feed) - len(validation))
        self._batches_per_epoch = (len(feed) - len(validation)) // self._batch_size
        self._full_rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self._parameters = [p for p in task.parameters() if p.requires_grad]
        world.check(task, self._batch_size)
        self._world, self._pulse, self._share = world, Pulse(world, self._parameters), world.share(self._batch_size)
        self._generator = BatchGenerator(task.device)
        self._best: dict[str, Tensor] = {}
        self._loss_sum, self._loss_count = torch.zeros((), device=task.device), 0
        self._saved = 0.0  # when

    def run(self) -> None:
        """Train to the end, or to a signal (`stop_flag`), which sets `signal` and keeps the best weights so far."""
        with stop_flag() as stop:
            self._pulse.watch(stop)
            self._world.align(self.task)
            if self._checkpoint is not None:
                self._restore() if self._checkpoint.resume else self._save()  # from here on the run can be resumed
            self._saved = time.perf_counter()
            self._emit("start")
            while not self.position.finished and not self.signal:
                self._epoch()
            self._pulse.settle()
            self.signal = self._pulse.signal  # one that came after the last step, too
        if self._best:
            load_stored_state(self.task.network, self._best)
        self.task.eval()
        self._emit("end", self.position.history[-1] if self.position.history else None)

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        position = self.position
        if self.spec.minutes is not None:
            return min(1.0, position.seconds / (60 * self.spec.minutes - position.preparation))
        assert self.spec.epochs is not None
        return min(1.0, position.step / (self.spec.epochs * self._batches_per_epoch))

    def _epoch(self) -> None:
        position, pulse = self.position, self._pulse
        self.task.train()
        pulse.restart()
        tick = time.perf_counter()
        for batch in self._feed.batches(self._order()):
            self._step(batch)
            position.batch += 1
            position.step += 1
            position.seconds += pulse.lap()
            now = time.perf_counter()
            if now - tick > _TICK:
                tick = now
                self._emit("tick", self._entry())
            if self.progress >= 1 or pulse.signal:
                break
            if self.progress - position.recorded >= _ENTRY and self._loss_count >= _STEPS_IN_ENTRY:
                self._record(self._entry())
            if self._checkpoint is not None and now - self._saved > self._checkpoint.seconds:
                self._save()
        self.signal = pulse.signal
        if position.batch == self._batches_per_epoch:
            position.epoch, position.batch = position.epoch + 1, 0
        done = self.progress >= 1
        if done or self.signal or position.step - position.validated_step >= _STEPS_BETWEEN_VALIDATIONS:
            self._validate()
        position.seconds += pulse.lap()
        position.finished = done or self._is_stale()
        if self._checkpoint is not None and (position.finished or self.signal):
            self._save()

    def _order(self) -> Iterator[np.ndarray]:
        position = self.position
        seed = [self.spec.seed, position.epoch]
        order = epoch_batches(len(self._feed), self._validation, self._batch_size, seed, position.batch)
        return (_here(indices, self._share) for indices in order)

    def _step(self, batch: Any) -> None:
        factor = self._schedule(self.progress)
        groups = (group for optimizer in self.optimizers for group in optimizer.param_groups)
        for group, rate in zip(groups, self._full_rates, strict=True):
            group["lr"] = rate * factor
        try:
            loss = self._gradients(batch)
        except LostProcessError as error:  # nothing has changed in this step
            if self._checkpoint is not None:
                self._save()
            kept = None if self._checkpoint is None else self._checkpoint.path
            raise lost(self.position.step, kept) from error
        if self.spec.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.spec.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self._loss_sum += loss
        self._loss_count += 1

    def _gradients(self, batch: Any) -> Tensor:
        """Give the parameters the gradients of the whole batch; returns its loss."""
        self._generator.manual_seed(_mix(self.spec.seed, self.position.step))
        self._generator.share = self._share
        loss: Tensor
        loss, penalty = self.task(batch, self._generator)
        total = loss if penalty is None else loss + penalty
        if not total.requires_grad:
            raise IsthmusError("nothing would be learned: the loss depends on no parameter with requires_grad")
        if self._share is None:
            total.backward()
            return loss.detach()
        weight = self._share.weight
        (weight * total).backward()
        return self._pulse.step(weight * loss.detach())

    def _validate(self) -> None:
        position = self.position
        loss = self._validation_loss()
        entry = self._entry() | {"validation_loss": loss}
        if not math.isfinite(entry["loss"]) or (loss is not None and not math.isfinite(loss)):
            raise IsthmusError(
                f"training diverged: the loss is {entry['loss']:.4g} at step {position.step}, that of the validation "
                f"{'none' if loss is None else format(loss, '.4g')}; try a learning_rate below "
                f"{self.spec.learning_rate:g}"
            )
        if loss is not None and (position.best_loss is None or loss < position.best_loss):
            position.best_loss = loss
            self._best = {name: tensor.clone() for name, tensor in stored_state(self.task.network).items()}
            position.validations_without_improvement = 0
        else:
            position.validations_without_improvement += 1
        position.validated_step = position.step
        self._record(entry)

    @torch.no_grad()
    def _validation_loss(self) -> float | None:
        """Mean over the validation samples; None where there are none."""
        device = self.task.device
        if not len(self._validation):
            return None
        if self.position.validation_samples is None:
            self.position.validation_samples = self._affordable()
        samples = self._validation[evenly_spread(len(self._validation), self.position.validation_samples)]
        self.task.eval()
        generator = BatchGenerator(device)
        generator.manual_seed(0)
        parts = np.array_split(samples, -(-len(samples) // self.task.validation_batch))
        shares = [self._world.share(len(part)) for part in parts]
        losses = []
        here = map(_here, parts, shares)
        for batch, share in zip(self._feed.batches(here), shares, strict=True):
            generator.share = share
            weight = float(self._world.leads) if share is None else share.weight
            losses.append(weight * float(self.task.validation_loss(batch, generator)))
        self.task.train()
        return float(np.average(self._pulse.sums(losses), weights=[len(part) for part in parts]))

    def _affordable(self) -> int:
        """How many samples validate: all of them or, in a run of few minutes, what there is time for.

        A sample costs no more in validation than it did in training so far.
        """
        if self.spec.minutes is None:
            return len(self._validation)
        position = self.position
        a_sample = position.seconds / max(1, position.step * self._batch_size)
        count = int(_VALIDATION_SHARE * 60 * self.spec.minutes / max(a_sample, 1e-9))
        return min(len(self._validation), max(1, self._batch_size, count))

    def _record(self, entry: dict[str, Any]) -> None:
        """Add an entry to the history; the next one's loss is the mean of the steps from here on."""
        self.position.history.append(entry)
        self.position.recorded = self.progress
        self._loss_sum.zero_()
        self._loss_count = 0
        self._emit("entry", entry)

    def _is_stale(self) -> bool:
        patience = self.spec.patience
        return patience is not None and bool(self._best) and self.position.validations_without_improvement >= patience

    def _entry(self) -> dict[str, Any]:
        position, told = self.position, 0.0
        if self._loss_count:
            told = float(self._loss_sum) / self._loss_count
        elif position.history:  # no step since the last entry: a validation follows it
            told = position.history[-1]["loss"]
        return {
            "epoch": position.epoch + (position.batch > 0),
            "step": position.step,
            "loss": told,
            "validation_loss": None,
            "learning_rate": self.optimizers[0].param_groups[0]["lr"],
            "samples_per_second": position.step * self._batch_size / max(position.seconds, 1e-9),
            "seconds": position.seconds,
        }

    def _emit(self, kind: str, entry: dict[str, Any] | None = None) -> None:
        event = Event(kind, self.progress, entry or {}, self.position.history, self._part)
        for listener in self._listeners:
            listener(event)

    def _save(self) -> None:
        assert self._checkpoint is not None
        if not self._world.leads:
            return
        tensors = {f"task.{name}": tensor for name, tensor in stored_state(self.task).items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self._best.items()}
        tensors["loss_sum"] = self._loss_sum
        state = {"position": asdict(self.position), "loss_count": self._loss_count}
        self._checkpoint.save(self.spec, tensors, self.optimizers, state)
        self._saved = time.perf_counter()

    def _restore(self) -> None:
        assert self._checkpoint is not None
        with self._world.file(self._checkpoint.path) as path:
            checkpoint = replace(self._checkpoint, path=path)
            tensors, self.position, self._loss_count = checkpoint.load(self.spec, self.optimizers)
        task, best = _below("task.", tensors), _below("best.", tensors)
        with self._checkpoint.trusted():
            check_tensors(task, stored_state(self.task))
            if best or self.position.best_loss is not None:
                check_tensors(best, stored_state(self.task.network))
            check_tensors({"loss_sum": tensors["loss_sum"]}, {"loss_sum": self._loss_sum})
            self._check_position()
        self._loss_sum.copy_(tensors["loss_sum"])
        load_stored_state(self.task, task)
        self._best = {name: tensor.to(self.task.device) for name, tensor in best.items()}

    def _check_position(self) -> None:
        """Refuse a place where this run cannot stand, with a ValueError."""
        position, minutes = self.position, self.spec.minutes
        if position.batch > self._batches_per_epoch:  # equal: the epoch is over, and the next has not begun
            raise ValueError(f"batch is {position.batch}, and an epoch has {self._batches_per_epoch}")
        if minutes is not None and position.preparation >= 60 * minutes:
            raise ValueError(f"preparation is {position.preparation:g} s, of {minutes:g} minutes")
        if position.validation_samples is not None and not 1 <= position.validation_samples <= len(self._validation):
            raise ValueError(f"validation_samples is {position.validation_samples}, of {len(self._validation)}")


def _here(indices: np.ndarray, share: Share | None) -> np.ndarray:
    """Of the samples of a batch those that this process holds."""
    return indices if share is None else indices[share.first : share.last]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _mix(seed: int, step: int) -> int:
    """One number from two, spread over 63 bits (the finaliser of SplitMix64)."""
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    return (z ^ (z >> 31)) & 0x7FFFFFFFFFFFFFFF
