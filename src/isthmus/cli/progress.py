"""Signs of life of work that is no training, on standard error: a bar in a terminal, else a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_SECONDS = 5.0  # from one plain line to the next


def track(
    items: Iterable[T], total: int, what: str, *, count: Callable[[T], int] = lambda item: 1, quiet: bool = False
) -> Iterator[T]:
    """Items one after the other, while standard error shows how many are done.

    total : how many there are. what : is done to them, as in "cleaning". count : how many one item stands for.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    done, told = 0, time.monotonic()
    with Progress(console=console, disable=quiet or not console.is_interactive, transient=True) as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            yield item
            done += count(item)
            bar.update(task, completed=done)
            now = time.monotonic()
            if bar.disable and not quiet and now - told >= _SECONDS:
                told = now
                print(f"{what}: {done:,} of {total:,}", file=sys.stderr, flush=True)


@contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """What is told the name of each stage of some work, as in "k-means of the code"."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_interactive:
        yield lambda stage: print(stage, file=sys.stderr, flush=True)
        return
    with console.status("starting") as status:
        yield status.update
