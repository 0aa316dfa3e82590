"""Tests that need an event loop, in a thread of their own: in the main one a browser's loop may run already."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PATIENCE = 60  # seconds


def apart(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(asyncio.wait_for(main(), PATIENCE))).result()


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Decorator of a test that is a coroutine."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        apart(lambda: test(**fixtures))

    return run
