"""A run in one file: weights, optimizers and position, enough to continue to the same bits.

What is read is not trusted: a digest covers all of it, and every value is held against the type and the shape that the
run expects.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.parameter import is_lazy

from isthmus.errors import IsthmusError
from isthmus.files import atomic_path
from isthmus.spec import TrainingSpec, is_integer, is_real

FORMAT = 3  # 2 had no digest
_MOST = 1 << 53  # that a count can be
_ENTRY = {"epoch", "step", "loss", "learning_rate", "samples_per_second", "seconds"}  # numbers in one of the history

Stored = TypeVar("Stored")


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is kept, and whether it continues from there.

    seconds : from one writing to the next. fingerprint : digest of the data and of all else that must be equal.
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
        self, spec: TrainingSpec, optimizers: Sequence[torch.optim.Optimizer], position: type[Stored]
    ) -> tuple[dict[str, Tensor], Stored, int]:
        """The tensors, the position and the count of the losses that are summed up; the optimizers get their states.

        position : dataclass of JSON values that says where a run stands.
        Raises IsthmusError where the file is no checkpoint, or one of a run with other settings or other data.
        """
        tensors, state = _read(self.path)
        with self.trusted():
            settings, stored_spec, fingerprint, count = (
                state[name] for name in ("settings", "spec", "fingerprint", "loss_count")
            )
            _check(isinstance(settings, dict) and isinstance(stored_spec, dict), "its settings are none")
            _check(_is_count(count), f"loss_count is {reprlib.repr(count)}")
            found = _typed(position, state["position"])
        self._refuse_others(self.settings, settings)
        self._refuse_others(spec.to_dict(), stored_spec)
        if fingerprint != self.fingerprint:
            raise IsthmusError(f"cannot resume from {self.path}: it was made from other data")
        with self.trusted():
            _restore_optimizers(optimizers, tensors, begun=getattr(found, "step", 0) > 0)
        return tensors, found, count

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
                state, sealed = json.loads(metadata["state"]), metadata["sha256"]
    except (SafetensorError, KeyError, ValueError, OSError, RecursionError) as error:
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
        found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _typed(position: type[Stored], values: Any) -> Stored:
    """A dataclass of JSON values, each of the type that its field says."""
    _check(isinstance(values, dict), "its position is no object")
    fields = {field.name: str(field.type) for field in dataclasses.fields(position)}  # type: ignore[arg-type]
    for name in values.keys() - fields.keys():
        _check(False, f"its position has a {reprlib.repr(name)}")
    for name, kind in fields.items():
        value = values[name]
        optional = value is None and kind.endswith("| None")
        _check(optional or _IS[kind.removesuffix(" | None")](value), f"{name} is {reprlib.repr(value)}, and no {kind}")
    return position(**values)


def _is_count(value: Any) -> bool:
    return bool(is_integer(value) and 0 <= value < _MOST)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and is_real(value)


def _is_history(value: Any) -> bool:
    """Whether it is a list of entries as the trainer makes them."""
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and entry.keys() >= _ENTRY
        and all(_is_number(number) or (number is None and name not in _ENTRY) for name, number in entry.items())
        for entry in value
    )


_IS = {
    "int": _is_count,
    "float": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "list[dict[str, Any]]": _is_history,
}  # what tells a JSON value of a field's type


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
