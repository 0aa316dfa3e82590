"""A run in one file: weights, optimizers and position, enough to continue to the same bits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from isthmus.errors import IsthmusError
from isthmus.files import atomic_path

FORMAT = 1


def save_checkpoint(
    path: Path,
    tensors: Mapping[str, Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    state: Mapping[str, Any],
) -> None:
    """Write named tensors, the optimizers' states and a JSON state atomically."""
    stored = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    for number, optimizer in enumerate(optimizers):
        for index, values in optimizer.state_dict()["state"].items():
            for name, value in values.items():
                stored[f"optimizer.{number}.{index}.{name}"] = torch.as_tensor(value).detach().contiguous()
    try:
        with atomic_path(path) as temporary:
            save_file(stored, temporary, metadata={"format": str(FORMAT), "state": json.dumps(state)})
    except SafetensorError as error:
        raise IsthmusError(f"cannot write the checkpoint {path}: {error}") from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the JSON state of a checkpoint; one clear line where the file is no checkpoint."""
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


def restore_optimizers(optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, Tensor]) -> None:
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


def restore_network(network: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Copy stored weights of that prefix into the network."""
    network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
