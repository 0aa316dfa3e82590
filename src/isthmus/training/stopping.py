"""Ctrl-C, SIGTERM and SIGHUP: a flag that a loop reads between two steps; everywhere else in a command, its end.

A command of the command line is in one of three states. At first, and whenever nothing is there yet that could be kept,
a signal ends it at once, by an exception that lets everybody clean up. In a training loop it is noted. From there until
what was learned has been saved it is noted, too, where the command has asked for that.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(BaseException):
    """A signal ends the command. No Exception: nothing may take it for an error that it knows how to handle."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class StopFlag:
    """signal : the number of the first signal that asked for an end, 0 while none has."""

    def __init__(self) -> None:
        self.signal = 0
        self.until_saved = False  # whether signals are noted after the loop, too
        self._noting = False

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: note the first one where that helps, else end the command."""
        if not self._noting or self.signal:
            raise Stopped(number)
        self.signal = number

    @contextmanager
    def noting(self) -> Iterator[StopFlag]:
        """Note signals for a while."""
        self._noting = True
        try:
            yield self
        finally:
            if not self.until_saved:
                self.release()

    def release(self) -> int:
        """Let signals end the command again; the number of the one that was noted, 0 if none was."""
        number = self.signal
        self.signal, self.until_saved, self._noting = 0, False, False
        return number


_command: StopFlag | None = None  # of the command line, while it runs a command in this process


def heard() -> list[int]:
    """The signals that ask for an end, but those that this process was told to ignore, as `nohup` does."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def handled(handler: Callable[[int, FrameType | None], Any], numbers: Sequence[int]) -> Iterator[None]:
    """Have a function handle signals for a while."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def command_signals() -> Iterator[None]:
    """Let signals end a command by the exception `Stopped`; for the command line, around all that it does."""
    global _command
    if not _in_main_thread() or _command is not None:
        yield
        return
    _command = StopFlag()
    with handled(_command.hear, heard()):
        try:
            yield
        finally:
            _command = None


def hold_until_saved() -> None:
    """Note signals that come between the next training loop and `saved`: what was learned is not lost to them."""
    if _command is not None:
        _command.until_saved = True


def saved() -> int:
    """Declare that what was learned is saved; returns the number of the signal that came before, 0 if none did."""
    return 0 if _command is None else _command.release()


_elsewhere: list[StopFlag] = []  # flags of threads that no signal reaches


def stop(number: int) -> None:
    """Raise the flags of all threads but the main one, as the signal of that number would."""
    for flag in _elsewhere:
        flag.signal = flag.signal or number


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """A flag that the first Ctrl-C, SIGTERM or SIGHUP raises; the second one acts at once, as it would without us.

    Only the main thread hears signals: in any other the flag stays down, unless `stop` raises it.
    """
    flag = StopFlag()
    if not _in_main_thread():
        _elsewhere.append(flag)
        try:
            yield flag
        finally:
            _elsewhere.remove(flag)
        return
    if _command is not None:
        with _command.noting():
            yield _command
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if flag.signal:
            restore()
            signal.raise_signal(number)
        flag.signal = number

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, handle) for number in heard()}
    try:
        yield flag
    finally:
        restore()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
