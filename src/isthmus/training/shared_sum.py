"""Sums over the processes of one machine, in memory that they share.

A message between two processes wakes up threads on both sides, which takes longer than a whole step of a small network.
Here nothing is sent: each process writes its numbers into its own place, counts up, and waits until the others have.
"""

from __future__ import annotations

import mmap
import os
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

LARGEST = 1 << 28  # bytes that are shared: for more numbers than that, what a message costs beside them is little
_LINE = 64  # bytes that a processor reads at once: what two processes write lies on two of them
_NONCE = 16
_SPINS = 2_000  # looks at the others' counters before this process goes to sleep in between
_NAP, _LOOK, _PATIENCE = 0.0005, 0.1, 600.0  # seconds: between two looks, between two for dead processes, and at most
_FENCE = threading.Lock()  # what was written before it is taken is seen by whoever sees what was written after


class SharedSum:
    """Sums of `count` float32 numbers over `size` processes, of which this one is number `rank`.

    memory : what all of them have mapped, of `nbytes(count, size)`.
    """

    def __init__(self, memory: mmap.mmap, rank: int, size: int, count: int) -> None:
        heads = np.frombuffer(memory, np.int64, size * _LINE // 8, _NONCE).reshape(size, -1)
        self._turns, self._pids = heads[:, 0], heads[:, 1]
        places = np.frombuffer(memory, np.float32, 2 * size * count, _head(size)).reshape(2, size, count)
        self._places, self._rank, self._turn = torch.from_numpy(places), rank, 0
        self._pids[rank] = os.getpid()

    @staticmethod
    def nbytes(count: int, size: int) -> int:
        return _head(size) + 2 * size * count * 4

    def add(self, numbers: Tensor) -> None:
        """Put the sums of all processes in the place of this one's numbers, the same bits everywhere.

        Raises ConnectionError where one of the others has ended. Two sets of places take turns: nobody writes into one
        again before all have read it.
        """
        self._turn += 1
        places = self._places[self._turn % 2]
        places[self._rank].copy_(numbers)
        with _FENCE:
            self._turns[self._rank] = self._turn
        self._wait()
        numbers.copy_(places[0])
        for others in places[1:]:
            numbers.add_(others)

    def _wait(self) -> None:
        """Return when all processes have come as far as this one."""
        looks, began = 0, time.monotonic()
        looked = began
        while int(self._turns.min()) < self._turn:
            looks += 1
            if looks < _SPINS:
                os.sched_yield()
                continue
            time.sleep(_NAP)
            now = time.monotonic()
            if now - looked > _LOOK:
                looked = now
                self._look_for_the_dead(now - began)
        with _FENCE:
            pass

    def _look_for_the_dead(self, waited: float) -> None:
        for other in np.flatnonzero(self._turns < self._turn).tolist():
            pid = int(self._pids[other])
            ended = pid != 0 and _is_dead(pid)  # 0: it has yet to begin
            if ended and self._turns[other] < self._turn:  # and did not come this far before
                raise ConnectionError(f"process {pid} has ended")
        if waited > _PATIENCE:
            raise ConnectionError("another process does not answer")


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _head(size: int) -> int:
    return _NONCE + size * _LINE


class Offer:
    """Memory that other processes of this machine may map; it is there until all of them have let go of it."""

    def __init__(self, nbytes: int) -> None:
        self._file = os.memfd_create("isthmus")
        try:
            os.posix_fallocate(self._file, 0, nbytes)
            self.memory = mmap.mmap(self._file, nbytes)
        except OSError:
            self.close()
            raise
        nonce = secrets.token_bytes(_NONCE)
        self.memory[:_NONCE] = nonce
        self.address = [f"/proc/{os.getpid()}/fd/{self._file}", nonce.hex()]

    def close(self) -> None:
        """Take no more processes in."""
        os.close(self._file)


def taken(address: list[str], nbytes: int) -> mmap.mmap | None:
    """The memory of an `Offer`; None where it is not of this machine, or cannot be reached."""
    path, nonce = address
    with suppress(OSError, ValueError):  # ValueError: another file of that name, which is smaller
        file = os.open(path, os.O_RDWR)
        try:
            memory = mmap.mmap(file, nbytes)
        finally:
            os.close(file)
        if memory[:_NONCE].hex() == nonce:
            return memory
    return None
