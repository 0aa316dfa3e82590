"""One function over many items, on a few threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def parallel(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`map` on a few threads: Pillow decodes without holding Python's lock."""
    workers = min(os.cpu_count() or 1, 16, len(items))
    if workers < 2:
        return [function(item) for item in items]
    parts = [items[i::workers] for i in range(workers)]
    results: list[Any] = [None] * len(items)
    with ThreadPoolExecutor(workers) as pool:
        for i, part in enumerate(pool.map(lambda part: [function(item) for item in part], parts)):
            results[i::workers] = part
    return results
