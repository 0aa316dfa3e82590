"""What may be labels: one for each sample, text or whole numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import Source
from isthmus.errors import IsthmusError


def is_labels(y: Any) -> bool:
    """Whether y has one label a sample, and not a sample."""
    if isinstance(y, str | os.PathLike | Source):
        return False
    if isinstance(y, np.ndarray) and y.dtype == object and y.ndim == 1:
        y = y.tolist()
    if isinstance(y, list | tuple):
        paths = bool(y) and all(isinstance(p, os.PathLike) or (isinstance(p, str) and Path(p).is_file()) for p in y)
        return not paths and all(np.ndim(item) == 0 for item in y)
    ndim = getattr(y, "ndim", None)
    return (np.asarray(y).ndim if ndim is None and hasattr(y, "__array__") else ndim) == 1


def as_labels(values: object, what: str) -> np.ndarray:
    """`values` as an array of shape (n,) of text or integers, without gaps; a column (n, 1) counts as one."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise _no_labels(what, f"a {type(values).__name__}") from error
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.dtype.kind in "OT":
        kinds = {type(value) for value in array.flat}
        if any(all(issubclass(kind, one) for kind in kinds) for one in (str, (int, np.integer, np.bool_))):
            array = np.array(array.tolist())
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and _whole(array)):
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        raise _no_labels(what, f"shape {array.shape}, {array.dtype}")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _whole(array: np.ndarray) -> bool:
    """Whether floats are whole numbers that int64 holds."""
    return bool((np.isfinite(array) & (np.abs(array) < 2.0**63) & (array == np.round(array))).all())


def _no_labels(what: str, seen: str) -> IsthmusError:
    return IsthmusError(
        f"{what} cannot be labels: these must be text or whole numbers, one for each sample and none missing, "
        f"not {seen}"
    )
