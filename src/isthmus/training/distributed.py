"""The same run on several processes: who they are, what they agree on, and their gradients as one.

    torchrun --nproc-per-node 4 -m isthmus train ...      or any script that calls `fit`

Every process takes its share of every batch and computes a part of its loss. One all-reduce a step adds up the
gradients, with the loss, the signals that anybody heard and the time by the first process's clock beside them, so that
all of them do the same in the same step. What cannot be computed alike is said by the first process: seeds, initial
weights, the checkpoint that a run continues from. Only the first process writes and prints.

DistributedDataParallel would do the gradients alone, in buckets that are sent while others are computed. Networks of
this package fit into a bucket or two, a step needs the other numbers too, and each message costs more than its bytes.
Processes on the CPUs of one Linux machine send no message at all: they add up in memory that they share.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]  # torch does not say that it exports them
from torch.distributed.rendezvous import rendezvous

from isthmus.errors import IsthmusError, LostProcessError
from isthmus.share import Share, talking
from isthmus.training import launch
from isthmus.training.shared_sum import LARGEST, Offer, SharedSum, taken
from isthmus.training.stopping import SIGNALS, StopFlag

T = TypeVar("T")

_PATIENCE = timedelta(minutes=10)  # to wait for others, of which one may still read its data
_TURN = timedelta(seconds=10)  # that the first process has to say what is wrong
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class World:
    """The processes that train together: this one is number `rank` of `size`.

    >>> World().leads
    True
    >>> World(rank=1, size=4).share(10)
    Share(first=2, last=5, count=10)
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes, prints and decides."""
        return self.rank == 0

    def share(self, count: int) -> Share | None:
        """What this process holds of a batch; None where it holds all of it, as one process does.

        So does every process of a batch that is too small to be divided.
        """
        return None if self.size == 1 or count < self.size else Share.of(count, self.rank, self.size)

    def agreed(self, value: T) -> T:
        """The first process's value, of JSON."""
        if self.size == 1:
            return value
        found: T = json.loads(self.sent(json.dumps(value).encode()))
        return found

    def sent(self, content: bytes) -> bytes:
        """The first process's bytes."""
        if self.size == 1:
            return content
        device = _wire()
        length = torch.tensor([len(content)], device=device)
        with talking():
            torch.distributed.broadcast(length, 0)
            numbers = torch.zeros(int(length), dtype=torch.uint8)
            if self.leads:
                numbers = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else numbers
            numbers = numbers.to(device)
            torch.distributed.broadcast(numbers, 0)
        return numbers.cpu().numpy().tobytes()

    def insist(self, what: str, value: str) -> None:
        """Raise IsthmusError, in all processes, where they do not have the same value."""
        if self.size == 1:
            return
        differ = self.added([float(self.agreed(value) != value)])[0]
        if differ:
            raise IsthmusError(
                f"{differ:.0f} of {self.size} processes have {what} other than the first process; run the same program "
                f"over the same data everywhere"
            )

    def added(self, numbers: Sequence[float]) -> list[float]:
        """Sums over all processes, in double precision."""
        if self.size == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64, device=_wire())
        with talking():
            torch.distributed.all_reduce(total)
        found: list[float] = total.tolist()
        return found

    def align(self, module: nn.Module) -> None:
        """Give a module the first process's weights and buffers."""
        if self.size == 1:
            return
        for tensor in (*module.parameters(), *module.buffers()):
            values = tensor.detach().contiguous()
            with talking():
                torch.distributed.broadcast(values, 0)
            tensor.detach().copy_(values)

    @contextlib.contextmanager
    def file(self, path: Path) -> Iterator[Path]:
        """A file of the first process, where this process can read it; empty where there is none."""
        if self.size == 1:
            yield path
            return
        content = self.sent(path.read_bytes() if self.leads and path.exists() else b"")
        if self.leads:
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_bytes(content)
            yield copy

    def check(self, module: nn.Module, batch_size: int) -> None:
        """Refuse what several processes cannot learn as one does."""
        if self.size == 1:
            return
        if self.size > batch_size:
            raise IsthmusError(
                f"a batch of {batch_size} samples cannot be divided among {self.size} processes; start at most "
                f"{batch_size}, or make batches larger"
            )
        for name, part in module.named_modules():
            if isinstance(part, _BATCH_NORMS):
                raise IsthmusError(
                    f"{name} ({type(part).__name__}) normalises by the statistics of a batch, of which each of "
                    f"{self.size} processes sees a share; take nn.GroupNorm, or train in one process"
                )


ALONE = World()


class Pulse:
    """What all processes agree on after every step: whether to stop, and the time by the first process's clock.

    signal : number of the signal that one of them heard, 0 while none has.
    """

    def __init__(self, world: World, parameters: Sequence[nn.Parameter]) -> None:
        self._world, self._parameters = world, parameters
        self._stop = StopFlag()
        self._signal, self._since, self._told = 0, time.perf_counter(), 0.0
        self._shared: SharedSum | None = None
        self._has_asked = False  # whether there is memory for all

    def watch(self, stop: StopFlag) -> None:
        """Hear signals from here on."""
        self._stop = stop

    def restart(self) -> None:
        """Leave out the time that has passed."""
        self._since = time.perf_counter()

    @property
    def signal(self) -> int:
        return self._stop.signal if self._world.size == 1 else self._signal

    def lap(self) -> float:
        """Seconds since the last lap."""
        if self._world.size == 1:
            return self._elapsed()
        told, self._told = self._told, 0.0
        return told

    def step(self, loss: Tensor) -> Tensor:
        """Add up the gradients of all processes, and their losses, which is returned: all in one message.

        On a GPU what is said beside them goes its own way, so that no step waits for the one before.
        """
        if self._world.size == 1:
            return loss
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        told = torch.tensor(self._news(), dtype=torch.float32)
        on_cpu = loss.device.type == "cpu"
        numbers = [loss.detach().float().view(1), *([told] if on_cpu else [])]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), *numbers])
        with talking():
            self._add(flat) if on_cpu else torch.distributed.all_reduce(flat)
            if not on_cpu:
                told = told.to(_wire())
                torch.distributed.all_reduce(told)
        *parts, total = flat[: flat.numel() - len(told) * on_cpu].split([*(g.numel() for g in gradients), 1])
        for parameter, gradient, part in zip(self._parameters, gradients, parts, strict=True):
            parameter.grad = gradient.copy_(part.view(gradient.shape))
        self._hear((flat[-len(told) :] if on_cpu else told).tolist())
        everywhere: Tensor = total[0]
        return everywhere

    def _add(self, numbers: Tensor) -> None:
        """Sums over all processes, in memory that they share where they can."""
        if not self._has_asked:
            self._has_asked, self._shared = True, _shared_sum(self._world, numbers.numel())
        self._shared.add(numbers) if self._shared else torch.distributed.all_reduce(numbers)

    def sums(self, numbers: Sequence[float]) -> list[float]:
        """Sums over all processes, between two steps."""
        if self._world.size == 1:
            return list(numbers)
        added = self._world.added([*numbers, *self._news()])
        self._hear(added[len(numbers) :])
        return added[: len(numbers)]

    def settle(self) -> None:
        """Agree on signals that came since the last step."""
        self.sums([])

    def _elapsed(self) -> float:
        now = time.perf_counter()
        since, self._since = self._since, now
        return now - since

    def _news(self) -> list[float]:
        heard = [float(self._stop.signal == number) for number in SIGNALS]
        elapsed = self._elapsed()
        return [*heard, elapsed if self._world.leads else 0.0]

    def _hear(self, news: Sequence[float]) -> None:
        *heard, seconds = news
        self._told += seconds
        for number, count in zip(SIGNALS, heard, strict=True):
            if count and not self._signal:
                self._signal = number


def _shared_sum(world: World, count: int) -> SharedSum | None:
    """Memory for sums of so many numbers, where all processes are on this machine; None where they are not."""
    nbytes, offer, memory = SharedSum.nbytes(count, world.size), None, None
    if world.leads and hasattr(os, "memfd_create") and nbytes <= LARGEST:
        with contextlib.suppress(OSError):
            offer = Offer(nbytes)
    try:
        address = world.agreed(offer.address if offer else None)
        if address:
            memory = offer.memory if offer else taken(address, nbytes)
        found = None if memory is None else SharedSum(memory, world.rank, world.size, count)
        missing = world.added([float(found is None)])[0]
    finally:
        if offer:
            offer.close()
    return None if missing else found


def join() -> World:
    """This process's place among those that train together.

    Processes that torchrun started (RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are set) find each other at the first
    call, and stay together until they end; a group that torch.distributed has already, as in Ray Train, is taken as it
    is. Raises LostProcessError where they do not find each other.
    """
    if not torch.distributed.is_available() or _left:
        return ALONE
    if not torch.distributed.is_initialized():
        if launch.size() == 1:
            return ALONE
        has_gpus = torch.cuda.is_available()
        if has_gpus:
            torch.cuda.set_device(launch.local_rank() % torch.cuda.device_count())
        importlib.import_module("torch.distributed.nn.functional")  # else a later import would hold the group for good
        with talking():
            torch.distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if has_gpus else "gloo",
                store=PrefixStore("group", _meet()),
                rank=launch.rank(),
                world_size=launch.size(),
                timeout=_PATIENCE,
            )
        atexit.register(leave)
    return World(torch.distributed.get_rank(), torch.distributed.get_world_size())


_left = False
_store: Store | None = None


def _meet() -> Store:
    """Where the processes that torchrun started leave one another notes."""
    global _store
    if _store is None:
        store = next(rendezvous("env://", timeout=_PATIENCE))[0]
        _store = PrefixStore(f"isthmus-{launch.restarts()}", store)  # what the dead wrote is out of date
    return _store


def leave() -> None:
    """Part from the other processes for good: what this one does from here on, it does alone."""
    global _left
    _left = True
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def is_first_to_tell(*, is_own: bool) -> bool:
    """Whether it falls to this process to say what ended the run, of those that torchrun started: one of them does.

    is_own : whether the error is this process's own, which the first process probably makes, too; else it is what
    another one's end did to this one.
    """
    try:
        store = _meet()
        if is_own and launch.rank():
            with contextlib.suppress(RuntimeError):
                store.wait(["told"], _TURN)
        told: int = store.add("told", 1)
        return told == 1
    except RuntimeError:  # nobody keeps the store any more
        return launch.rank() == 0


def check_gpus(device: torch.device) -> None:
    """Refuse more processes than there are GPUs on this machine: two on one would share its memory and its time."""
    here = launch.local_size()
    if device.type == "cuda" and here > torch.cuda.device_count():
        raise IsthmusError(
            f"{here} processes were started for {torch.cuda.device_count()} GPUs; start one for each, as in "
            f"torchrun --nproc-per-node {torch.cuda.device_count()}"
        )


def lost(step: int, kept: Path | None) -> LostProcessError:
    """The error for a run that cannot go on. kept : the checkpoint that holds it up to this step."""
    where = "nothing of the run is kept, as it had no checkpoint" if kept is None else f"{kept} holds the run to resume"
    return LostProcessError(f"another process has ended or does not answer any more, at step {step:,}; {where}")


def _wire() -> torch.device:
    """Where tensors must be to be sent: on a GPU in groups that know nothing else."""
    return torch.device("cpu" if "cpu" in torch.distributed.get_backend_config() else "cuda")
