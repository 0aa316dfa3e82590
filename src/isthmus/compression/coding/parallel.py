"""`map` on all cores, for streams that are larger than the memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map` in threads, in order; never more than one item for each core and one besides are in memory.

    `joblib.Parallel(return_as="generator")` does not wait for whoever takes its results: where these are written more
    slowly than they are made, all of them pile up.
    """
    workers = os.cpu_count() or 1
    controller = ThreadpoolController()  # looks for the libraries once, and not for every item

    def limited(item: Item) -> Result:
        with controller.limit(limits=1):
            return function(item)

    with ThreadPoolExecutor(workers, "isthmus-codec") as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(limited, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
