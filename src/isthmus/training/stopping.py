"""Ctrl-C and SIGTERM as a flag that a loop reads between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopFlag:
    """signal : the number of the first signal that asked for an end, 0 while none has."""

    def __init__(self) -> None:
        self.signal = 0


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """A flag that the first Ctrl-C or SIGTERM raises; the second one acts at once, as it would without us.

    Only the main thread hears signals: in any other the flag stays down.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if flag.signal:
            restore()
            signal.raise_signal(number)
        flag.signal = number

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield flag
    finally:
        restore()
