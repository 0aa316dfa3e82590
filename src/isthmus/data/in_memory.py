"""What users hold in memory, as arrays or sources: lists, tensors, PIL images, buffers, torch data sets."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from isthmus.data.base import ArraySource, ListSource, RaggedSource, Source
from isthmus.data.labels import as_labels
from isthmus.errors import IsthmusError
from isthmus.remote.paths import as_path
from isthmus.words import count


def loaded(data: Any) -> Any:
    """Dask's collections loaded into memory; object arrays of arrays, and a single PIL image, as lists."""
    if hasattr(data, "__dask_graph__") and hasattr(data, "compute"):
        return data.compute()
    if isinstance(data, np.ndarray) and data.dtype == object and data.ndim == 1 and is_list_of_arrays(list(data)):
        return list(data)
    return [data] if is_pil_image(data) else data


def is_list_of_arrays(data: Any) -> bool:
    """Whether these are arrays, tensors or PIL images, which may differ in shape."""
    return (
        isinstance(data, list | tuple)
        and bool(data)
        and all(getattr(item, "ndim", 0) > 0 or is_pil_image(item) for item in data)
    )


def is_list_of_paths(data: Any) -> bool:
    """Whether these are paths: objects that say so, or texts of which the first is the name of a file."""
    if not isinstance(data, list | tuple) or not data or not all(isinstance(p, str | os.PathLike) for p in data):
        return False
    first = data[0]
    named = re.fullmatch(r"\.[a-z]\w*", as_path(first).suffix.lower()) is not None
    return isinstance(first, os.PathLike) or named or as_path(first).exists()


def is_pil_image(data: Any) -> bool:
    """Whether it is an image of Pillow's."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(data, module.Image)


def is_torch_data(data: Any) -> bool:
    """Whether it is one of torch's data sets or loaders."""
    module = sys.modules.get("torch.utils.data")
    return module is not None and isinstance(data, module.Dataset | module.DataLoader)


def as_array(data: Any) -> np.ndarray:
    """Arrays of other libraries, lists and buffers as a NumPy array, without a copy where that is possible.

    IsthmusError where they are none. Long doubles become float64, and tensors of types that NumPy lacks float32.
    """
    array = _as_array(data)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return as_numbers(array) if array.dtype == object else array


def as_numbers(array: np.ndarray) -> np.ndarray:
    """An array of Python's numbers in a type of NumPy's, None as NaN; as it is where others are among them."""
    kinds = {type(value) for value in array.flat}
    real = (int, float, np.integer, np.floating, np.bool_, Decimal, Fraction)
    if not kinds or not all(issubclass(kind, (*real, type(None))) for kind in kinds):
        return array
    if all(issubclass(kind, int | np.integer | np.bool_) for kind in kinds):
        return np.array(array.tolist()).reshape(array.shape)
    return array.astype(np.float64)


def refuse_masked(data: Any) -> None:
    """Raise an error for a masked array, or a list with one, of which something is masked: those numbers mean nothing.

    What lies under a mask is often a number such as -9999, and would be learned.
    """
    if isinstance(data, list | tuple):
        for part in data:
            refuse_masked(part)
    elif isinstance(data, np.ma.MaskedArray) and (hidden := int(np.ma.getmaskarray(data).sum())):
        raise IsthmusError(
            f"masked arrays are not supported, and here {count(hidden, 'value')} "
            f"{'is' if hidden == 1 else 'are'} masked: fill the gaps first, as in "
            "array.filled(array.mean()), or leave out the samples that have some"
        )


def _as_array(data: Any) -> np.ndarray:
    refuse_masked(data)
    if isinstance(data, np.ndarray):
        return np.asarray(data) if isinstance(data, np.ma.MaskedArray) else data
    if hasattr(data, "tocsr") and hasattr(data, "nnz"):
        raise IsthmusError("sparse matrices are not supported: give a dense array, as in matrix.toarray()")
    if hasattr(data, "data_vars"):
        names = ", ".join(map(str, data.data_vars))
        raise IsthmusError(f"a {type(data).__name__} holds arrays by name ({names}): give one of them")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(data, torch.Tensor):
        return _from_tensor(data)
    if is_pil_image(data):
        from isthmus.data.images import from_pillow

        return from_pillow(data)
    try:
        if is_list_of_arrays(data):
            return np.asarray([as_array(item) for item in data])
        if isinstance(data, list | tuple) or hasattr(data, "__array__") or hasattr(data, "__array_interface__"):
            array = np.asanyarray(data)  # which keeps the mask that an `__array__` may give
            refuse_masked(array)
            return np.asarray(array)
        if hasattr(data, "__dlpack__"):
            return np.from_dlpack(data)
        return np.asarray(memoryview(data))
    except IsthmusError:
        raise
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        reason = " ".join(str(error).split())
        if reason.startswith("memoryview:"):
            reason = "give an array, a table, a path or a data set's name"
        raise IsthmusError(f"data of type {type(data).__name__} are no array of numbers: {reason}") from error


def _from_tensor(tensor: Any) -> np.ndarray:
    import torch

    if tensor.layout != torch.strided:
        raise IsthmusError("sparse tensors are not supported: give a dense one, as in tensor.to_dense()")
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    try:
        array: np.ndarray = tensor.numpy()
    except TypeError:  # bfloat16 and other types that NumPy lacks
        array = (tensor.dequantize() if tensor.is_quantized else tensor.float()).numpy()
    return array


def torch_source(data: Any, keep: bool) -> Source:
    """A map-style data set of torch's, or the one of a loader that takes all of it.

    Samples are the items or, where these are tuples, their first members. keep : whether they may differ in shape.
    """
    data = _data_set(data)
    name = type(data).__name__
    if hasattr(data, "tensors"):
        array, labels = as_array(data.tensors[0]), None
        if len(data.tensors) > 1 and data.tensors[1].ndim == 1:
            labels = _labels(data.tensors[1], len(array))
        return ArraySource(array, name=name, labels=labels)
    if not len(data):
        raise IsthmusError(f"{name} holds 0 samples; at least 1 is needed")
    if keep:
        return _RaggedItems(data, name)
    return _Items(data, name, _labels(getattr(data, "targets", None), len(data)))


def _data_set(data: Any) -> Any:
    """The map-style data set in what torch offers, as a whole."""
    from torch.utils import data as torch_data

    if isinstance(data, torch_data.DataLoader):
        plain = isinstance(data.sampler, torch_data.SequentialSampler | torch_data.RandomSampler)
        custom = data.collate_fn not in (torch_data.default_collate, torch_data.default_convert)
        if isinstance(data.dataset, torch_data.IterableDataset) or not plain or custom:
            raise IsthmusError(
                "this DataLoader chooses, streams or changes its samples; give its data set, or a Subset of that"
            )
        data = data.dataset
    if isinstance(data, torch_data.IterableDataset) or not hasattr(data, "__len__"):
        raise IsthmusError(
            f"{type(data).__name__} is a stream without a length; give a data set with __len__ and __getitem__, or an "
            f"array of its samples"
        )
    return data


def _labels(values: Any, n: int) -> np.ndarray | None:
    """Labels that a data set has beside its samples; None where they are something else."""
    if values is None:
        return None
    try:
        labels = as_labels(as_array(values), "labels")
    except IsthmusError:
        return None
    return labels if len(labels) == n else None


def _item(data: Any, index: int, name: str) -> np.ndarray:
    item = data[index]
    sample = item[0] if isinstance(item, tuple | list) and len(item) else item
    try:
        return as_array(sample)
    except IsthmusError as error:
        raise IsthmusError(
            f"item {index} of {name} is of type {type(sample).__name__}; arrays, tensors or images are needed, alone "
            f"or first in a tuple"
        ) from error


class _Items(Source):
    """The items of a data set, all of one shape and dtype; each is asked for when it is needed."""

    def __init__(self, data: Any, name: str, labels: np.ndarray | None) -> None:
        first = _item(data, 0, name)
        if first.dtype.kind not in "biuf" or first.ndim < 1 or 0 in first.shape:
            raise IsthmusError(f"item 0 of {name} has shape {first.shape} and {first.dtype}; numbers are needed")
        super().__init__((len(data), *first.shape), first.dtype, name=name, labels=labels)
        self._data = data

    def _take(self, indices: np.ndarray) -> np.ndarray:
        block = np.empty((len(indices), *self.shape[1:]), self.dtype)
        for row, index in enumerate(indices.tolist()):
            sample = _item(self._data, index, self.name)
            if sample.shape != self.shape[1:] or sample.dtype.newbyteorder("=") != self.dtype:
                raise IsthmusError(
                    f"item {index} of {self.name} has shape {sample.shape} and {sample.dtype}, and item 0 has "
                    f"{self.shape[1:]} and {self.dtype}; all must be alike"
                )
            block[row] = sample
        return block


class _RaggedItems(RaggedSource):
    """The items of a data set, which may differ in shape; each is asked for when it is needed."""

    def __init__(self, data: Any, name: str) -> None:
        super().__init__(len(data), name=name)
        self._data = data

    def _read(self, index: int) -> np.ndarray:
        sample = _item(self._data, index, self.name)
        ListSource.check(sample, self.location(index))
        return sample


def nested(data: Any) -> int:
    """How many lists deep the first number of a list lies."""
    depth = 0
    while isinstance(data, Sequence) and not isinstance(data, str | bytes) and len(data):
        data, depth = data[0], depth + 1
    return depth + int(getattr(data, "ndim", 0))
