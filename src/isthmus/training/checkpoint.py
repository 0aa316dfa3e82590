"""A run in one file: weights, optimizers and position, enough to continue to the same bits.

What is read is not trusted: a digest covers all of it, and every value must have the type and the shape that the run
expects.
"""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.parameter import is_lazy

from isthmus.errors import IsthmusError
from isthmus.files import atomic_path
from isthmus.spec import TrainingSpec
from isthmus.typed_json import read_json, typed

FORMAT = 3  # 2 had no digest
_LOSSES = ("loss", "validation_loss", "best_loss")  # of all numbers, these may be negative
_ENTRY = {"epoch", "step", "loss", "learning_rate", "samples_per_second", "seconds"}  # numbers in one of the history


@dataclass
class Position:
    """Where a run stands; everything here is plain JSON."""

    preparation: float = 0.0  # seconds before the first step that count as part of `minutes`
    epoch: int = 0  # epochs completed
    batch: int = 0  # batches done in the current epoch
    step: int = 0
    seconds: float = 0.0  # of training
    validated_step: int = 0
    recorded: float = 0.0  # progress at the last entry of the history
    best_loss: float | None = None
    validations_without_improvement: int = 0
    validation_samples: int | None = None  # that every validation takes; None before the first one
    finished: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _State:
    """What a checkpoint holds beside tensors."""

    position: Position
    loss_count: int
    spec: Mapping[str, Any]
    settings: Mapping[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is kept, and whether it continues from there.

    seconds : how long from one writing to the next. fingerprint : digest of the data and of all else that must be
    equal.
    settings : the estimator's parameters that must be equal, as JSON values.
    """

    path: Path
    seconds: float
    fingerprint: str
    resume: bool
    settings: Mapping[str, Any] = field(default_factory=dict)

    def save(
        self,
        spec: TrainingSpec,
        tensors: Mapping[str, Tensor],
        optimizers: Sequence[torch.optim.Optimizer],
        state: Mapping[str, Any],
    ) -> None:
        """Write named tensors, the optimizers' states and a JSON state atomically."""
        stored = _apart(tensors)
        for number, optimizer in enumerate(optimizers):
            for index, values in optimizer.state_dict()["state"].items():
                for name, value in values.items():
                    stored[f"optimizer.{number}.{index}.{name}"] = torch.as_tensor(value).detach().contiguous()
        described = json.dumps(
            {**state, "spec": spec.to_dict(), "settings": self.settings, "fingerprint": self.fingerprint}
        )
        stored = {name: tensor.cpu() for name, tensor in stored.items()}
        metadata = {"format": str(FORMAT), "state": described, "sha256": _digest(described, stored)}
        try:
            with atomic_path(self.path) as temporary:
                save_file(stored, temporary, metadata=metadata)
        except SafetensorError as error:
            raise IsthmusError(f"cannot write the checkpoint {self.path}: {error}") from error

    def load(
        self, spec: TrainingSpec, optimizers: Sequence[torch.optim.Optimizer]
    ) -> tuple[dict[str, Tensor], Position, int]:
        """The tensors, the position and the count of the losses that are summed up; the optimizers get their states.

        Raises IsthmusError where the file is no checkpoint, or one of a run with other settings or other data.
        """
        tensors, values = _read(self.path)
        with self.trusted():
            state: _State = typed(values, _State, "its state")
            _check_numbers(state, values["position"])
        self._refuse_others(self.settings, state.settings)
        self._refuse_others(spec.to_dict(), state.spec)
        if state.fingerprint != self.fingerprint:
            raise IsthmusError(f"cannot resume from {self.path}: it was made from other data")
        with self.trusted():
            _restore_optimizers(optimizers, tensors, begun=state.position.step > 0)
        return tensors, state.position, state.loss_count

    @contextmanager
    def trusted(self) -> Iterator[None]:
        """Turn whatever a state with missing or foreign parts raises into one line that names the file."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
            raise IsthmusError(
                f"{self.path} is no checkpoint of this run: {what}; delete it and start again"
            ) from error

    def _refuse_others(self, now: Mapping[str, Any], there: Mapping[str, Any]) -> None:
        different = [name for name in now if name in there and now[name] != there[name]]
        if different:
            told = ", ".join(
                f"{name} is {now[name]!r} now and was {reprlib.repr(there[name])} there" for name in different
            )
            raise IsthmusError(
                f"cannot resume from {self.path}: {told}; use the same settings, or start again without resuming"
            )


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as safetensors takes them: in order, and none of them in the memory of another one."""
    stored, taken = {}, set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        stored[name] = tensor.clone() if memory in taken else tensor
        taken.add(memory)
    return stored


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors that have other names, shapes or dtypes than those of the run, with a ValueError."""
    for name in sorted(found.keys() ^ expected.keys()):
        _check(False, f"{name} is {'missing' if name in expected else 'unknown'}")
    for name, tensor in expected.items():
        if not is_lazy(tensor):
            seen = found[name]
            there, here = (f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in (seen, tensor))
            _check(there == here, f"{name} is {there}, and {here} in the run")


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the state of a file whose digest is right."""
    if not path.exists():
        raise IsthmusError(f"there is no checkpoint {path} to resume from; start without resuming")
    if not path.is_file():
        raise IsthmusError(f"{path} is no regular file, and so no checkpoint; start without resuming")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            written = metadata["format"]
            if written == str(FORMAT):
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                state, sealed = read_json(metadata["state"].encode(), "its state"), metadata["sha256"]
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise IsthmusError(f"{path} is not a readable checkpoint ({error}); delete it and start again") from error
    if written != str(FORMAT):
        older = written.isdecimal() and len(written) < 3 and int(written) < FORMAT
        raise IsthmusError(
            f"{path} has checkpoint format {written[:20]}, of {'an earlier' if older else 'another'} version of "
            f"isthmus; this one reads format {FORMAT}: finish the run with the version that began it, or start again"
        )
    if _digest(metadata["state"], tensors) != sealed or not isinstance(state, dict):
        raise IsthmusError(f"{path} is damaged: it is not what was written; delete it and start again")
    return tensors, state


def _digest(state: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a state and of tensors on the CPU, in the order of their names."""
    found = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():  # an empty one cannot be seen as bytes
            found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _check_numbers(state: _State, position: Mapping[str, Any]) -> None:
    """Refuse numbers that no run has, and numbers that are missing. position : as it was read."""
    _check_named("its state", {"loss_count": state.loss_count})
    _check_named("its position", vars(state.position))
    for name in vars(state.position).keys() - position.keys():
        _check(False, f"its position lacks {name}")
    for number, entry in enumerate(state.position.history):
        where = f"entry {number} of its history"
        _check_named(where, typed(entry, Mapping[str, int | float | str | bool | None], where))
        for name in sorted(_ENTRY):
            _check(isinstance(entry.get(name), int | float), f"{where}: {name} must be a number")


def _check_named(where: str, values: Mapping[str, Any]) -> None:
    for name, number in values.items():
        if isinstance(number, int | float):
            fits = math.isfinite(number) and (number >= 0 or name in _LOSSES)
            _check(fits, f"{where}: {name} must be a number of at least 0, not {number}")


def _check(right: bool, otherwise: str) -> None:
    if not right:
        raise ValueError(otherwise)


def _restore_optimizers(
    optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, Tensor], *, begun: bool
) -> None:
    """Put the stored states back, in the memory order of their parameters: fused steps rely on that.

    begun : whether a step was taken, so that there must be states.
    """
    for number, optimizer in enumerate(optimizers):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        prefix = f"optimizer.{number}."
        for name, tensor in tensors.items():
            if name.startswith(prefix):
                index, _, key = name.removeprefix(prefix).partition(".")
                known = index.isdecimal() and len(index) < 10 and int(index) < len(parameters)
                _check(known, f"{reprlib.repr(name)} is of no parameter")
                parameter = parameters[int(index)]
                _check(tensor.shape in ((), parameter.shape), f"{name} has shape {tuple(tensor.shape)}")
                if tensor.shape == parameter.shape:
                    tensor = torch.empty_like(parameter).copy_(tensor)
                state.setdefault(int(index), {})[key] = tensor
        _check(bool(state) or not (begun and parameters), f"the state of optimizer {number} is missing")
        _check(
            len({frozenset(values) for values in state.values()}) < 2,
            f"optimizer {number} has only a part of its state",
        )
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
