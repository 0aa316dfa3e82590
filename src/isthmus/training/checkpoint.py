"""A run in one file: weights, optimizers and position, enough to continue to the same bits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from isthmus.errors import IsthmusError
from isthmus.files import atomic_path
from isthmus.spec import TrainingSpec

FORMAT = 2


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
        try:
            with atomic_path(self.path) as temporary:
                save_file(stored, temporary, metadata={"format": str(FORMAT), "state": described})
        except SafetensorError as error:
            raise IsthmusError(f"cannot write the checkpoint {self.path}: {error}") from error

    def load(
        self, spec: TrainingSpec, optimizers: Sequence[torch.optim.Optimizer]
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and the JSON state; the optimizers get theirs back.

        Raises IsthmusError where the file is no checkpoint, or one of a run with other settings or other data.
        """
        tensors, state = _read(self.path)
        self._refuse_others(self.settings, state.get("settings", {}))  # earlier versions wrote none
        self._refuse_others(spec.to_dict(), state["spec"])
        if state["fingerprint"] != self.fingerprint:
            raise IsthmusError(f"cannot resume from {self.path}: it was made from other data")
        _restore_optimizers(optimizers, tensors)
        return tensors, state

    def _refuse_others(self, now: Mapping[str, Any], there: Mapping[str, Any]) -> None:
        different = [name for name in now if name in there and now[name] != there[name]]
        if different:
            told = ", ".join(f"{name} is {now[name]!r} now and was {there[name]!r} there" for name in different)
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


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state = json.loads(metadata["state"])
    except FileNotFoundError as error:
        raise IsthmusError(f"there is no checkpoint {path} to resume from; start without resuming") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise IsthmusError(f"{path} is not a readable checkpoint ({error}); delete it and start again") from error
    if metadata.get("format") != str(FORMAT):
        raise IsthmusError(f"{path} has checkpoint format {metadata.get('format')}; this version reads {FORMAT}")
    return tensors, state


def _restore_optimizers(optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Put the stored states back, in the memory order of their parameters: fused steps rely on that."""
    for number, optimizer in enumerate(optimizers):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        prefix = f"optimizer.{number}."
        for name, tensor in tensors.items():
            if name.startswith(prefix):
                index, key = name.removeprefix(prefix).split(".", 1)
                parameter = parameters[int(index)]
                if tensor.shape == parameter.shape:
                    tensor = torch.empty_like(parameter).copy_(tensor)
                state.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
