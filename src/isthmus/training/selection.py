"""Which samples of a mixed collection are learned from."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np


def commonest_kind(
    n_samples: int,
    read: Callable[[int], np.ndarray],
    kind: Callable[[np.ndarray], Hashable | None],
    *,
    seed: int,
    most_values: int,
) -> list[np.ndarray]:
    """The samples of the kind that holds most values, in order: all of them, or of large collections a random part.

    read : gives the sample of a number. kind : what samples that are learned together share; None leaves a sample out.
    """
    order = np.random.default_rng([seed, 4]).permutation(n_samples)
    groups: dict[Hashable, list[tuple[int, np.ndarray]]] = {}
    values = 0
    for index in order.tolist():
        sample = read(index)
        key = kind(sample)
        if key is not None:
            groups.setdefault(key, []).append((index, sample))
        values += sample.size
        if values >= most_values:
            break
    found = max(groups.values(), key=lambda group: sum(sample.size for _, sample in group), default=[])
    return [sample for _, sample in sorted(found, key=lambda pair: pair[0])]
