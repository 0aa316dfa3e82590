"""Data in words: how they are read, and what is in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from isthmus.data.base import Source, evenly_spread
from isthmus.data.sources import open_source
from isthmus.data.stacks import is_zarr
from isthmus.remote.paths import as_path
from isthmus.words import count

T = TypeVar("T")
_MOST_SAMPLES, _MOST_VALUES = 1_000, 1 << 24  # of which the range is told
_MOST_NAMES = 12


@dataclass(frozen=True)
class DataFacts:
    """How data are read, and what is in them.

    data : their name. samples : number of samples. what : "table", "files", "images or signals", ... shapes, dtypes :
    those of the samples that were looked at, the commonest first. low, high : the least and the largest value of them;
    None where all are NaN or infinite. not_finite : number of such values. looked_at : number of samples that these
    facts come from.
    labels : how many different ones; None without labels. columns : of a table, else None.
    """

    data: str
    samples: int
    what: str
    shapes: list[tuple[int, ...]]
    dtypes: list[str]
    low: float | None
    high: float | None
    not_finite: int
    looked_at: int
    labels: int | None
    columns: tuple[str, ...] | None

    def rows(self) -> dict[str, str]:
        """Rows of a table for people."""
        ends = "no finite value" if self.low is None or self.high is None else f"{self.low:g} to {self.high:g}"
        odd = f", {count(self.not_finite, 'value')} {'is' if self.not_finite == 1 else 'are'} NaN or infinite"
        missing = odd if self.low is not None and self.not_finite else ""
        rows = {
            "data": self.data,
            "samples": f"{self.samples:,}",
            "kind": self.what,
            "shape": _together([" × ".join(map(str, shape)) for shape in self.shapes]),
            "dtype": _together(self.dtypes),
            "range": ends + missing + ("" if self.looked_at == self.samples else f", of {self.looked_at:,} samples"),
        }
        if self.labels is not None:
            rows["labels"] = f"{self.labels:,} different ones"
        if self.columns is not None:
            more = f", ... ({len(self.columns):,} in all)" if len(self.columns) > _MOST_NAMES else ""
            rows["columns"] = ", ".join(self.columns[:_MOST_NAMES]) + more
        return rows


def data_facts(data: str) -> DataFacts:
    """How many samples there are, their kind, shape and dtype, the range of their values, labels and columns.

    data : a path or the name of a data set, as in `open_source`.

    Raises IsthmusError where it cannot be read.
    """
    source = open_source(data, on_mixed_sizes="keep") if _may_differ(data) else open_source(data)
    chosen = evenly_spread(len(source), _MOST_SAMPLES)
    blocks: list[np.ndarray] = []
    for index in chosen.tolist():
        blocks.append(source[index])
        if sum(block.size for block in blocks) > _MOST_VALUES:
            break
    low, high = _range(blocks)
    return DataFacts(
        data=source.name,
        samples=len(source),
        what=_kind(source),
        shapes=_different([block.shape for block in blocks]),
        dtypes=_different([str(block.dtype) for block in blocks]),
        low=low,
        high=high,
        not_finite=sum(int(np.count_nonzero(~np.isfinite(block))) for block in blocks if block.dtype.kind == "f"),
        looked_at=len(blocks),
        labels=None if source.labels is None else len(np.unique(source.labels)),
        columns=source.feature_names,
    )


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


def _different(values: list[T]) -> list[T]:
    """The different ones, the commonest first."""
    return [value for value, _ in Counter(values).most_common()]


def _together(values: list[str]) -> str:
    """The first value, and whether there are others."""
    return values[0] + (f" and {len(values) - 1:,} others" if len(values) > 1 else "")


def _range(blocks: list[np.ndarray]) -> tuple[float | None, float | None]:
    """The least and the largest finite number; None without any."""
    ends = [
        (block[np.isfinite(block)].min(), block[np.isfinite(block)].max())
        for block in blocks
        if np.isfinite(block).any()
    ]
    if not ends:
        return None, None
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))
