"""A Ray cluster: how it is found, what it must have, and how it is left."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from isthmus import __version__
from isthmus.errors import IsthmusError, MissingExtraError

LOGS = "ISTHMUS_RAY_LOGS"  # set to show what Ray says
_OWN = "local"  # Ray's name for a cluster that is started on this machine and ends with the work
_REACHED = 5.0  # seconds in which a cluster must take a connection
_PAUSE = 0.5  # seconds from one look at free CPUs to the next
_PATIENCE = 60.0  # seconds that a cluster may have too few free CPUs before somebody is told
_QUIET = {  # before Ray is imported and started
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}


@dataclass(frozen=True)
class Cluster:
    """A cluster and the part of it that is asked for.

    workers : number of processes, each with one CPU, and with a GPU where the cluster has enough of them; None for one
    worker for each CPU. address : as Ray writes it, ``host:6379``, ``ray://host:10001`` or ``auto``; None for what
    RAY_ADDRESS names or, without it, for a cluster that is started on this machine and ends with the work.
    """

    workers: int | None = None
    address: str | None = None

    @property
    def place(self) -> str:
        """The address that is asked."""
        return self.address or os.environ.get("RAY_ADDRESS") or _OWN

    @contextmanager
    def joined(self) -> Iterator[int]:
        """Connect for some work; gives the number of workers. A connection that was there before stays.

        Raises IsthmusError where there is no cluster, where it has too few CPUs, or where its nodes have another
        version of isthmus; MissingExtraError without Ray.
        """
        if self.workers is not None and self.workers < 1:
            raise IsthmusError(f"workers (={self.workers}) must be at least 1")
        ray = imported()
        with _silence():
            ours = not ray.is_initialized()
            if ours:
                _start(ray, self.place)
            try:
                workers = self.workers or max(1, cpus(ray))
                self._check_size(ray, workers)
                if self.place != _OWN or not ours:
                    _check_versions(ray)
                yield workers
            finally:
                if ours:
                    ray.shutdown()

    def _check_size(self, ray: Any, workers: int) -> None:
        found = cpus(ray)
        if workers > found:
            raise IsthmusError(
                f"{workers} workers need {workers} CPUs and {self} has {found}; ask for at most {found} workers, or "
                "add nodes"
            )

    def __str__(self) -> str:
        return "this machine" if self.place == _OWN else f"the cluster at {self.place}"


class Watch:
    """Checks, while somebody waits for work, whether the cluster can still do it.

    cluster : the one that works. workers : how many need a place for the work to go on.
    """

    def __init__(self, cluster: Cluster, workers: int) -> None:
        self.cluster, self._workers, self._since = cluster, workers, time.monotonic()

    def look(self) -> None:
        """Raise IsthmusError where the cluster has had too few CPUs for a minute."""
        found = cpus(imported())
        if found >= self._workers:
            self._since = time.monotonic()
        elif time.monotonic() - self._since > _PATIENCE:
            raise IsthmusError(
                f"{self.cluster} has lost nodes: {found} CPUs are left, and {self._workers} are needed; start nodes or "
                "ask for fewer workers"
            )

    def wait(self) -> None:
        """Wait until so many CPUs are free; raise IsthmusError where they are not in a minute."""
        while (found := int(imported().available_resources().get("CPU", 0))) < self._workers:
            if time.monotonic() - self._since > _PATIENCE:
                raise IsthmusError(
                    f"{found} CPUs of {self.cluster} are free, and {self._workers} are needed; wait for other work to "
                    "end or ask for fewer workers"
                )
            time.sleep(_PAUSE)


def imported() -> Any:
    """The module ray, which says nothing of itself unless ISTHMUS_RAY_LOGS is set."""
    if not os.environ.get(LOGS):
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("Ray", "cluster") from error
    return ray


def cpus(ray: Any) -> int:
    """How many CPUs the nodes of the cluster have together, taken or free."""
    return int(ray.cluster_resources().get("CPU", 0))


def gpus_each(ray: Any, workers: int, device: object) -> int:
    """The GPUs of each worker: one where there are enough and the device may be one, else none."""
    return int(str(device) != "cpu" and ray.cluster_resources().get("GPU", 0) >= workers)


def _start(ray: Any, address: str) -> None:
    """Connect to a cluster, or start one."""
    loud = bool(os.environ.get(LOGS))
    if address != _OWN:
        _reach(address)
    own = {"include_dashboard": False} if address == _OWN else {}
    try:
        with nullcontext() if loud else _no_stderr():
            ray.init(address=address, log_to_driver=loud, logging_level=logging.INFO if loud else logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        first = " ".join(str(error).split())[:300]
        raise IsthmusError(f"Ray cannot be reached at {address}: {first}") from error


def _reach(address: str) -> None:
    """Try the address, since Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if address == "auto" or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACHED).close()
    except (OSError, OverflowError) as error:
        reason = str(error.strerror or error) if isinstance(error, OSError) else str(error)
        raise IsthmusError(
            f"there is no Ray cluster at {address} ({reason}); `ray start --head` starts one, and without "
            "--ray-address and RAY_ADDRESS the work is done on this machine"
        ) from error


def _check_versions(ray: Any) -> None:
    """Refuse nodes whose isthmus or torch is another one: their results would not be those of one machine."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def found() -> tuple[str, str]:  # travels by value: the node may have no isthmus to find it in
        from importlib import import_module
        from importlib.metadata import version

        try:
            return import_module("isthmus").__version__, version("torch").partition("+")[0]
        except ImportError:
            return "no", "no"

    here = (__version__, version("torch").partition("+")[0])
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    asked = []
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked.append(ray.remote(num_cpus=0, scheduling_strategy=there, max_retries=0)(found).remote())
    for node, answer in zip(nodes, asked, strict=True):
        try:
            seen = ray.get(answer, timeout=_PATIENCE)
        except ray.exceptions.GetTimeoutError as error:
            raise IsthmusError(
                f"node {node['NodeManagerAddress']} of the cluster does not answer in {_PATIENCE:.0f} seconds; see "
                "`ray status`"
            ) from error
        except ray.exceptions.RayError:
            continue  # it has died meanwhile
        for what, ours, theirs in zip(("isthmus", "torch"), here, seen, strict=True):
            if ours != theirs:
                raise IsthmusError(
                    f"node {node['NodeManagerAddress']} of the cluster has {what} {theirs}, and this machine has "
                    f"{what} {ours}; install one version on all of them".replace(f"{what} no,", f"no {what},")
                )


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Ray's core is no Python: it says on standard error which level of log it was told to keep to."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Ray's lines of log off the screen, for as long as the work goes on."""
    if os.environ.get(LOGS):
        yield
        return
    from ray._private import worker  # prints, without a setting, what happens to tasks when a node is lost

    loggers = [logging.getLogger(name) for name in ("ray", "ray.train", "ray.serve")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    prints, worker.print_to_stdstream = worker.print_to_stdstream, lambda *said, **how: None
    try:
        yield
    finally:
        worker.print_to_stdstream = prints
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
