"""What torchrun tells the processes that it starts, in their environment. Needs no torch."""

from __future__ import annotations

import os


def rank() -> int:
    """The number of this process among those that torchrun started; 0 for one that it did not start."""
    return _number("RANK") if size() > 1 else 0


def size() -> int:
    """How many processes torchrun started, on all machines."""
    return max(1, _number("WORLD_SIZE", 1)) if "RANK" in os.environ and "MASTER_ADDR" in os.environ else 1


def local_rank() -> int:
    """The number of this process on its machine."""
    return _number("LOCAL_RANK")


def local_size() -> int:
    """How many processes there are on this machine."""
    return _number("LOCAL_WORLD_SIZE", 1)


def restarts() -> int:
    """How often torchrun started the processes again, after one of them had died."""
    return _number("TORCHELASTIC_RESTART_COUNT")


def _number(name: str, default: int = 0) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default
