"""The one training loop."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.corruptions import Corruption
from isthmus.device import memory_format
from isthmus.errors import IsthmusError
from isthmus.networks import AutoEncoderNetwork
from isthmus.objectives import Objective
from isthmus.registry import optimizers
from isthmus.spec import TrainingSpec
from isthmus.training.checkpoint import load_checkpoint, restore_network, restore_optimizers, save_checkpoint
from isthmus.training.feed import Feed
from isthmus.training.optimizers import learning_rate_factor
from isthmus.training.order import epoch_batches
from isthmus.training.progress import Event, Listener

_TICK = 0.25  # seconds between signs of life
_STEPS_BETWEEN_VALIDATIONS = 50  # at least: epochs of a small data set are too short to validate each
_ENTRY, _STEPS_IN_ENTRY = 0.02, 10  # share of the run, and steps, from one training loss in the history to the next


@dataclass
class Position:
    """Where a run stands; everything here is plain JSON."""

    epoch: int = 0  # epochs completed
    batch: int = 0  # batches done in the current epoch
    step: int = 0
    seconds: float = 0.0
    validated_step: int = 0
    recorded: float = 0.0  # progress at the last entry of the history
    best_loss: float | None = None
    validations_without_improvement: int = 0
    finished: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Trains a network on the samples of a feed, all but those at `validation` (sorted).

    The order of the samples is drawn from (seed, epoch) and every other random number from (seed, step): a run
    that continues from a checkpoint does exactly what the uninterrupted run would have done.
    With a validation set the network ends with the weights of the best validation.

    A subclass that overrides `_loss` and `_evaluate` trains any network on the batches of any feed with `__len__` and
    `batches`; its `spec` has no objective.
    """

    def __init__(
        self,
        network: Any,
        feed: Any,
        spec: TrainingSpec,
        device: torch.device,
        *,
        validation: np.ndarray,
        listeners: Sequence[Listener] = (),
        checkpoint: Path | None = None,
        checkpoint_seconds: float = 15.0,
        fingerprint: str = "",
        schedule: Callable[[float], float] = learning_rate_factor,
        optimizer_states: list[torch.optim.Optimizer] | None = None,
        helper: nn.Module | None = None,
    ) -> None:
        self.network, self.spec, self.position = network, spec, Position()
        self.interrupted = False
        self._feed, self._device, self._validation = feed, device, validation
        self._listeners, self._schedule = listeners, schedule
        self._checkpoint, self._checkpoint_seconds, self._fingerprint = (
            checkpoint,
            checkpoint_seconds,
            fingerprint,
        )
        self._batch_size = min(spec.batch_size, len(feed) - len(validation))
        self._batches_per_epoch = (len(feed) - len(validation)) // self._batch_size
        self._objective = Objective(spec.objective) if spec.objective else None
        self._corruption = None if spec.corruption is None else Corruption(spec.corruption)
        self.helper = helper  # trained beside the network, and not part of it
        trained = network if helper is None else nn.ModuleList([network, helper])
        self.optimizers = optimizer_states or optimizers[spec.optimizer](trained, spec)
        self._full_rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self._parameters = [p for p in trained.parameters() if p.requires_grad]
        self._generator = torch.Generator(device)
        self._best: dict[str, Tensor] = {}
        self._loss_sum = torch.zeros((), device=device)
        self._loss_count = 0
        self._saved = 0.0
        self._autocast = torch.autocast(device.type, torch.bfloat16, enabled=spec.precision == "bfloat16")

    def run(self, *, resume: bool = False) -> None:
        """Train to the end, or to Ctrl-C, which sets `interrupted` and keeps the best weights so far."""
        if resume:
            self._restore()
        elif self._checkpoint:
            self._save()  # from here on the run can be resumed
        self._saved = time.perf_counter()
        self._emit("start")
        with _interrupt_flag() as interrupted:
            while not self.position.finished and not self.interrupted:
                self._epoch(interrupted)
        if self._best:
            self.network.load_state_dict(self._best)
        self.network.eval()
        self._emit("end", self.position.history[-1] if self.position.history else None)

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        position = self.position
        if self.spec.minutes is not None:
            return min(1.0, position.seconds / (60 * self.spec.minutes))
        assert self.spec.epochs is not None
        return min(1.0, position.step / (self.spec.epochs * self._batches_per_epoch))

    def _epoch(self, interrupted: Callable[[], bool]) -> None:
        position = self.position
        self.network.train()
        clock = tick = time.perf_counter()
        for batch in self._feed.batches(self._order()):
            self._step(batch)
            position.batch += 1
            position.step += 1
            now = time.perf_counter()
            position.seconds += now - clock
            clock = now
            if now - tick > _TICK:
                tick = now
                self._emit("tick", self._entry())
            if self.progress >= 1 or interrupted():
                break
            if self.progress - position.recorded >= _ENTRY and self._loss_count >= _STEPS_IN_ENTRY:
                self._record(self._entry())
            if self._checkpoint and now - self._saved > self._checkpoint_seconds:
                self._save()
        self.interrupted = interrupted()
        if position.batch == self._batches_per_epoch:
            position.epoch, position.batch = position.epoch + 1, 0
        done = self.progress >= 1
        if done or self.interrupted or position.step - position.validated_step >= _STEPS_BETWEEN_VALIDATIONS:
            self._validate()
        position.seconds += time.perf_counter() - clock
        position.finished = done or self._is_stale()
        if self._checkpoint and (position.finished or self.interrupted):
            self._save()

    def _order(self) -> Iterator[np.ndarray]:
        position = self.position
        return epoch_batches(
            len(self._feed), self._validation, self._batch_size, [self.spec.seed, position.epoch], position.batch
        )

    def _loss(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """What a batch of the feed costs: the objective, and the bottleneck's penalty if it has one."""
        assert self._objective is not None
        with self._autocast:
            x = batch if self._corruption is None else self._corruption(batch, generator)
            x = x.contiguous(memory_format=memory_format(x.ndim))
            reconstruction, penalty = self.network(x, generator)
        return self._objective(reconstruction, batch), penalty

    def _evaluate(self) -> float | None:
        """Mean objective of the validation samples; None where there are none."""
        assert self._objective is not None
        return evaluate(self.network, self._feed, self._validation, self._objective, self._autocast)

    @torch.no_grad()
    def _mean_over_validation(self, cost: Callable[[Any], Tensor], batch_size: int) -> float | None:
        """Mean of a cost over the batches of the validation samples; None where there are none."""
        samples = self._validation
        if not len(samples):
            return None
        self.network.eval()
        parts = np.array_split(samples, -(-len(samples) // batch_size))
        costs = [float(cost(batch)) for batch in self._feed.batches(parts)]
        self.network.train()
        return float(np.average(costs, weights=[len(part) for part in parts]))

    def _step(self, batch: Any) -> None:
        generator = self._generator.manual_seed(_mix(self.spec.seed, self.position.step))
        factor = self._schedule(self.progress)
        groups = (group for optimizer in self.optimizers for group in optimizer.param_groups)
        for group, rate in zip(groups, self._full_rates, strict=True):
            group["lr"] = rate * factor
        loss, penalty = self._loss(batch, generator)
        (loss if penalty is None else loss + penalty).backward()
        if self.spec.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.spec.gradient_clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self._loss_sum += loss.detach()
        self._loss_count += 1

    def _validate(self) -> None:
        position = self.position
        loss = self._evaluate()
        entry = self._entry() | {"validation_loss": loss}
        if not math.isfinite(entry["loss"]) or (loss is not None and not math.isfinite(loss)):
            raise IsthmusError(
                f"training diverged: the loss is {entry['loss']:.4g} at step {position.step}, that of the validation "
                f"{'none' if loss is None else format(loss, '.4g')}; try a learning_rate below "
                f"{self.spec.learning_rate:g}"
            )
        if loss is not None and (position.best_loss is None or loss < position.best_loss):
            position.best_loss = loss
            self._best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
            position.validations_without_improvement = 0
        else:
            position.validations_without_improvement += 1
        position.validated_step = position.step
        self._record(entry)

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
        position = self.position
        return {
            "epoch": position.epoch + (position.batch > 0),
            "step": position.step,
            "loss": float(self._loss_sum) / max(1, self._loss_count),
            "validation_loss": None,
            "learning_rate": self.optimizers[0].param_groups[0]["lr"],
            "samples_per_second": position.step * self._batch_size / max(position.seconds, 1e-9),
            "seconds": position.seconds,
        }

    def _emit(self, kind: str, entry: dict[str, Any] | None = None) -> None:
        event = Event(kind, self.progress, entry or {}, self.position.history)
        for listener in self._listeners:
            listener(event)

    def _save(self) -> None:
        assert self._checkpoint is not None
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self._best.items()}
        if self.helper is not None:
            tensors |= {f"helper.{name}": tensor for name, tensor in self.helper.state_dict().items()}
        tensors["loss_sum"] = self._loss_sum
        state = {
            "position": asdict(self.position),
            "loss_count": self._loss_count,
            "spec": self.spec.to_dict(),
            "fingerprint": self._fingerprint,
        }
        save_checkpoint(self._checkpoint, tensors, self.optimizers, state)
        self._saved = time.perf_counter()

    def _restore(self) -> None:
        assert self._checkpoint is not None
        tensors, state = load_checkpoint(self._checkpoint)
        for name, value in self.spec.to_dict().items():
            if state["spec"].get(name) != value:
                raise IsthmusError(
                    f"cannot resume from {self._checkpoint}: {name} is {value!r} now and was "
                    f"{state['spec'].get(name)!r} there; use the same settings, or start again"
                )
        if state["fingerprint"] != self._fingerprint:
            raise IsthmusError(f"cannot resume from {self._checkpoint}: it was made from other data or another network")
        self.position = Position(**state["position"])
        restore_network(self.network, tensors, "network.")
        if self.helper is not None:
            restore_network(self.helper, tensors, "helper.")
        self._best = {k.removeprefix("best."): v.to(self._device) for k, v in tensors.items() if k.startswith("best.")}
        restore_optimizers(self.optimizers, tensors)
        self._loss_sum.copy_(tensors["loss_sum"])
        self._loss_count = state["loss_count"]


@torch.inference_mode()
def evaluate(
    network: AutoEncoderNetwork,
    feed: Feed,
    indices: np.ndarray,
    objective: Objective,
    autocast: torch.autocast,
) -> float | None:
    """Mean objective of the reconstructions of the samples at `indices`; None where there are none."""
    if not len(indices):
        return None
    network.eval()
    total = torch.zeros((), dtype=torch.float64)
    parts = np.array_split(indices, math.ceil(len(indices) / 512))
    for part, x in zip(parts, feed.batches(parts), strict=True):
        x = x.contiguous(memory_format=memory_format(x.ndim))
        with autocast:
            reconstruction = network.reconstruct(x)
        total += objective(reconstruction, x).double().cpu() * len(part)
    network.train()
    return float(total) / len(indices)


def _mix(seed: int, step: int) -> int:
    """One number from two, spread over 63 bits (the finaliser of SplitMix64)."""
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    return (z ^ (z >> 31)) & 0x7FFFFFFFFFFFFFFF


@contextmanager
def _interrupt_flag() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag that the loop reads between steps; a second one stops at once."""
    pressed = False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
