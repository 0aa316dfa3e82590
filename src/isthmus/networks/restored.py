"""Networks from a file: what a specification asks for is compared with the weights before anything is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from isthmus.errors import IsthmusError
from isthmus.networks.autoencoder import seeded

Network = TypeVar("Network", bound=nn.Module)
_CALLS, _CALLS_A_TENSOR = 10_000, 200  # of torch, for a network of so many tensors: far more than any of ours takes


def restored(make: Callable[[], Network], arrays: Mapping[str, np.ndarray]) -> Network:
    """The network that `make` builds, with stored weights, in evaluation.

    It is built twice: first on torch's "meta" device, where shapes cost no memory, to be compared with the weights, so
    that settings of a few bytes cannot ask for more than the file itself holds.

    Raises IsthmusError where settings and weights do not agree.

    >>> from functools import partial
    >>> restored(partial(nn.Linear, 20_000, 20_000), {"weight": np.zeros((2, 3), np.float32)})
    Traceback (most recent call last):
    isthmus.errors.IsthmusError: the settings ask for bias, which the weights lack
    """
    stored = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with seeded(0), torch.device("meta"), _Planning(len(stored)):
        planned = make().state_dict()
    _compare(planned, stored)
    with seeded(0):
        network = make()
    network.load_state_dict(stored)
    return network.eval()


def _compare(planned: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> None:
    for name in sorted(planned.keys() ^ stored.keys()):
        raise IsthmusError(
            f"the settings ask for {name}, which the weights lack"
            if name in planned
            else f"the weights have {name[:100]}, which the settings do not ask for"
        )
    for name, tensor in stored.items():
        asked, found = (_described(t) for t in (planned[name], tensor))
        if asked != found:
            raise IsthmusError(f"the settings ask for {name} of {asked}, and the weights have it of {found}")


def _described(tensor: Tensor) -> str:
    """Shape and dtype; a single number counts as an array of one, which files make of it."""
    return f"shape {tuple(tensor.shape) or (1,)}, {str(tensor.dtype).removeprefix('torch.')}"


class _Planning(TorchFunctionMode):
    """Lets nobody build a network of more layers than so many tensors can be the weights of, and fills none of them.

    For arithmetic without memory torch imports its compiler, which takes longer than all the rest. Networks therefore
    make their tensors empty and fill them in place, which a plan leaves out: it changes no shape.
    """

    def __init__(self, tensors: int) -> None:
        super().__init__()
        self._left, self._tensors = _CALLS + _CALLS_A_TENSOR * tensors, tensors

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self._left -= 1
        if self._left < 0:
            raise IsthmusError(
                f"the settings ask for far more layers than the {self._tensors:,} tensors of the weights"
            )
        named = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__ or _in_place(func.__name__):
            return named["tensor"] if "tensor" in named else args[0]
        return func(*args, **named)


def _in_place(name: str) -> bool:
    """Whether a function of torch fills the tensor that it is given, by its name."""
    return name.endswith("_") and not name.endswith("__")
