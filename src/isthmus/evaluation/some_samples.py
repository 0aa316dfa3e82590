"""A bounded number of samples, from all over a data set, for a report to measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.data.base import evenly_spread
from isthmus.data.scaling import finite_sample
from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError


@dataclass(frozen=True)
class SomeSamples:
    """arrays : the samples, which may differ in shape. indices : their numbers, (n,).

    given : how many there were. name : what their source is called.
    """

    arrays: list[np.ndarray]
    indices: np.ndarray
    given: int
    name: str

    @property
    def values(self) -> int:
        """Numbers in all of them together."""
        return sum(array.size for array in self.arrays)

    @property
    def shape(self) -> str:
        """The shape of the samples in words."""
        shapes = {array.shape for array in self.arrays}
        return " × ".join(map(str, self.arrays[0].shape)) if len(shapes) == 1 else "different sizes"


def some_samples(data: Any, most: int, most_values: int) -> SomeSamples:
    """At most that many samples and, except for the first, that many numbers, evenly spread over the data.

    data : a Source, an array, a list of arrays, a path or the name of a data set.
    """
    source = open_source(data, on_mixed_sizes="keep")
    n = len(source)
    if n == 0:
        raise IsthmusError(f"{source.name} holds 0 samples; at least 1 is needed")
    first = finite_sample(source, 0)
    count = max(1, min(n, most, most_values // max(1, first.size)))
    arrays: list[np.ndarray] = []
    kept: list[int] = []
    values = 0
    for index in evenly_spread(n, count).tolist():
        sample = finite_sample(source, index)
        values += sample.size
        if arrays and values > most_values:
            break
        arrays.append(sample)
        kept.append(index)
    return SomeSamples(arrays, np.array(kept), n, source.name)
