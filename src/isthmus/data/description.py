"""Data in words: what is taken of them when they are read."""

from __future__ import annotations

import numpy as np

from isthmus.data.base import Source, evenly_spread
from isthmus.data.sources import open_source
from isthmus.data.stacks import is_zarr
from isthmus.remote.paths import as_path

_MOST_SAMPLES, _MOST_VALUES = 1_000, 1 << 24  # of which the range is told
_MOST_NAMES = 12


def describe_data(data: str) -> dict[str, str]:
    """Rows of a table: how many samples, their kind, shape and dtype, the range of their values, labels and columns.

    data : a path or the name of a data set, as in `open_source`.

    Raises IsthmusError where it cannot be read.
    """
    source = open_source(data, on_mixed_sizes="keep") if _may_differ(data) else open_source(data)
    rows = {"data": source.name, "samples": f"{len(source):,}", "kind": _kind(source)}
    chosen = evenly_spread(len(source), _MOST_SAMPLES)
    blocks: list[np.ndarray] = []
    for index in chosen.tolist():
        blocks.append(source[index])
        if sum(block.size for block in blocks) > _MOST_VALUES:
            break
    rows["shape"] = _together([" × ".join(map(str, block.shape)) for block in blocks])
    rows["dtype"] = _together([str(block.dtype) for block in blocks])
    rows["range"] = _range(blocks) + ("" if len(blocks) == len(source) else f", of {len(blocks):,} samples")
    if source.labels is not None:
        rows["labels"] = f"{len(np.unique(source.labels)):,} different ones"
    if source.feature_names is not None:
        names = source.feature_names
        more = f", ... ({len(names):,} in all)" if len(names) > _MOST_NAMES else ""
        rows["columns"] = ", ".join(names[:_MOST_NAMES]) + more
    return rows


def _may_differ(data: str) -> bool:
    path = as_path(data)
    return path.is_dir() and not is_zarr(path)


def _kind(source: Source) -> str:
    """What the samples are by their shape and their origin."""
    if source.feature_names is not None or len(source.shape) == 2:
        return "table"
    if source.paths is not None:
        return "files"
    return {3: "images or signals", 4: "images or volumes"}.get(len(source.shape), "arrays")


def _together(values: list[str]) -> str:
    """The commonest value, and whether there are others."""
    different = sorted(set(values), key=lambda value: (-values.count(value), value))
    return different[0] + (f" and {len(different) - 1:,} others" if len(different) > 1 else "")


def _range(blocks: list[np.ndarray]) -> str:
    """The least and the largest number, and how many are none."""
    missing = sum(int(np.count_nonzero(~np.isfinite(block))) for block in blocks if block.dtype.kind == "f")
    ends = [
        (block[np.isfinite(block)].min(), block[np.isfinite(block)].max())
        for block in blocks
        if np.isfinite(block).any()
    ]
    if not ends:
        return "no finite value"
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return f"{low:g} to {high:g}" + (f", {missing:,} values are NaN or infinite" if missing else "")
