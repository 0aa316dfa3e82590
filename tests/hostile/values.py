"""JSON as an attacker would alter it."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np

HOSTILE: tuple[Any, ...] = (
    None, True, False, "", "7", "S", "i4,f8", "../x", [], {}, [[]], [1, [2]], {"a": 1}, 0, 1, -1, 3, 16, 2048, 20_000,
    10**5, 10**9, 2**31, 2**62, 2**63, 10**30, 10**400, 0.5, -1.5, 1e300, float("nan"), float("inf"), "x" * 5000,
    [10**5], [2048, 2048], [20_000] * 3, list(range(300)), json.loads("[" * 200 + "]" * 200),
)  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in JSON; of a list, of its first few."""
    found = [at] if at else []
    items = value.items() if isinstance(value, dict) else enumerate(value[:4]) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*at, key))
    return found


def altered_json(value: Any, rng: np.random.Generator) -> Any:
    """JSON of which a value is replaced by a hostile one, left out, or given another name."""
    found = places(value)
    *way, last = found[int(rng.integers(len(found)))]
    altered = copy.deepcopy(value)
    holder = altered
    for key in way:
        holder = holder[key]
    kind = int(rng.integers(10))
    if kind == 0:
        del holder[last]
    elif kind == 1 and isinstance(holder, dict):
        holder[f"{last}x"] = holder.pop(last)
    else:
        holder[last] = HOSTILE[int(rng.integers(len(HOSTILE)))]
    return altered
