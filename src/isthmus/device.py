"""Where to compute, and in which precision."""

from __future__ import annotations

import os
from itertools import islice

import torch
from torch import nn

from isthmus.errors import IsthmusError


def choose_device(name: str | torch.device) -> torch.device:
    """The device of that name; "auto" takes CUDA, then Apple's GPU, then the CPU."""
    if isinstance(name, str) and name == "auto":
        if torch.cuda.is_available():
            return _own_gpu()
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = _own_gpu() if name == "cuda" else torch.device(name)
        torch.zeros(1, device=device).item()  # "meta" makes tensors, but nothing can be read from them
    except (RuntimeError, AssertionError, TypeError) as error:
        raise IsthmusError(f"device (={str(name)!r}) cannot be used here; 'auto' takes the best there is") from error
    return device


def _own_gpu() -> torch.device:
    """The GPU of this process: torchrun and Ray Train number the processes of a machine."""
    number = os.environ.get("LOCAL_RANK")
    return torch.device("cuda") if number is None else torch.device("cuda", int(number) % torch.cuda.device_count())


def move(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, in place. One that is there is left alone, as to go through it takes 0.2 ms."""
    if any(parameter.device != device for parameter in islice(network.parameters(), 1)):
        network.to(device)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 matrices faster than float32 ones."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def memory_format(num_dims: int) -> torch.memory_format:
    """The memory order that convolutions like best for tensors of `num_dims` dimensions."""
    return {4: torch.channels_last, 5: torch.channels_last_3d}.get(num_dims, torch.contiguous_format)


def in_best_memory_order(network: nn.Module, num_dims: int) -> None:
    """Lay the weights of convolutions over batches of `num_dims` dimensions out as these like best, in place."""
    network.to(memory_format=memory_format(num_dims))  # type: ignore[call-overload]  # missing in torch's stubs
