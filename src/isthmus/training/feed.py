"""Batches of a source, scaled and on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from isthmus.data.scaling import Scaler
from isthmus.data.sources import Source

LARGEST_IN_MEMORY = 256 << 20  # bytes: a lazy source up to this size is read once and kept


class SourceFeed:
    """Gathers samples by index and hands them to networks as scaled float32 tensors (N, *network_shape).

    Data that is in memory stays in the user's own dtype and only a batch at a time becomes floats; on a GPU it
    is moved there once when it fits. Everything else is read ahead of the computation by a thread.
    """

    def __init__(self, source: Source, scaler: Scaler, device: torch.device) -> None:
        self._source, self._scaler, self._device = source, scaler, device
        array = source.resident()
        if array is None and source.nbytes <= LARGEST_IN_MEMORY:
            array = source.take(np.arange(len(source)))
        self._array = array
        self._on_device: Tensor | None = None
        if array is not None and device.type == "cuda" and array.nbytes < 0.5 * torch.cuda.mem_get_info(device)[0]:
            self._on_device = as_tensor(array).to(device)

    def __len__(self) -> int:
        return len(self._source)

    def batch(self, indices: np.ndarray) -> Tensor:
        """The samples at `indices`, in that order."""
        if self._on_device is not None:
            chosen = torch.from_numpy(indices).to(self._device, non_blocking=True)
            return self._scaler.to_network(self._on_device.index_select(0, chosen))
        return self._to_device(self._gather(indices))

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """One batch for each array of indices; the next is read while the current one is used."""
        if self._array is not None:
            for indices in order:
                yield self.batch(indices)
            return
        with ThreadPoolExecutor(1, "isthmus-feed") as reader:
            waiting = None
            for indices in order:
                following = reader.submit(self._gather, indices)
                if waiting is not None:
                    yield self._to_device(waiting.result())
                waiting = following
            if waiting is not None:
                yield self._to_device(waiting.result())

    def _gather(self, indices: np.ndarray) -> np.ndarray:
        return self._source.take(indices) if self._array is None else self._array.take(indices, axis=0)

    def _to_device(self, batch: np.ndarray) -> Tensor:
        return self._scaler.to_network(as_tensor(batch).to(self._device))


class NumberedFeed:
    """Batches of a feed, each with what a function says of the numbers of its samples, as a tensor beside them."""

    def __init__(self, feed: SourceFeed, said: Callable[[np.ndarray], np.ndarray]) -> None:
        self._feed, self._said = feed, said

    def __len__(self) -> int:
        return len(self._feed)

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """One batch for each array of sample numbers."""
        kept = []

        def remembered() -> Iterator[np.ndarray]:
            for indices in order:
                kept.append(indices)
                yield indices

        for x in self._feed.batches(remembered()):
            yield x, torch.from_numpy(self._said(kept.pop(0))).to(x.device)


def as_tensor(array: np.ndarray) -> Tensor:
    """The array as a CPU tensor, without a copy where its memory allows."""
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)
