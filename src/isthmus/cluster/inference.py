"""The samples of some data, part by part on many machines, in their order.

    parts ──▶ tasks of Ray, a few for each worker ──▶ workers: open once, work on part after part ──▶ results in order

Nothing but numbers of parts travels to the workers: each opens the model and the data itself, and keeps them for the
parts that follow. What is lost with a worker or its node is done again by another one; a part's result depends on
nothing but the part, so the results are the same.

The tasks are Ray's own and not those of its Ray Data. That runs threads of its own beside this one, which may still ask
the cluster for something when the connection is closed; Ray then ends the whole process, without a word.
"""

from __future__ import annotations

import platform
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from isthmus.cluster.connection import Cluster, Watch, cpus, gpus_each, imported
from isthmus.cluster.place import Here
from isthmus.errors import IsthmusError, IsthmusWarning, warn

Opened = TypeVar("Opened")
Part = TypeVar("Part")
Result = TypeVar("Result")

_TASKS_EACH = 4  # of a worker, at least: so that the last ones end together
_MOST_PARTS = 8  # in one task: more would only make what is lost with a worker larger
_LOOK = 5.0  # seconds between looks at a cluster that gives no results
_WAITING = 4  # tasks of each worker, done or not, whose results nobody has taken yet


def map_parts(
    opening: Callable[[], Opened],
    work: Callable[[Opened, Part], Result],
    parts: Sequence[Part],
    cluster: Cluster | None = None,
    *,
    device: object = "auto",
    together: int = 1,
) -> Iterator[Result]:
    """``work(opening(), part)`` for each part, in their order, by the workers of a cluster.

    opening : makes what all parts need, once in each worker. Like `work` it must be a function that workers can import,
        or a `functools.partial` of one. parts : short descriptions, such as ranges of numbers of samples.
    cluster : where; by default on all cores of this machine. device : where workers compute; what may be a GPU gets one
        each, where the cluster has enough. together : how many successive parts are best worked on by one worker, since
        they are read together.

    What a worker needs lies where all see it: in paths of a file system that all nodes share, or at URLs. Relative
    paths are those of the folder that this process is in.

    Raises IsthmusError for what `opening` and `work` raise as such, and as `Cluster.joined` does.

    Examples
    --------
    >>> from isthmus.cluster.inference import map_parts
    >>> list(map_parts(str.upper, str.count, []))
    []
    """
    if not parts:
        return
    cluster = cluster or Cluster()
    with cluster.joined() as workers:
        size = min(_MOST_PARTS, len(parts) // (_TASKS_EACH * workers))
        size = max(together, size // together * together)
        tasks = (parts[start : start + size] for start in range(0, len(parts), size))
        gpus = gpus_each(imported(), min(workers, -(-len(parts) // size)), device)
        yield from _in_order(_Job(opening, work), tasks, workers, Watch(cluster, 1), gpus)


def map_items(
    opening: Callable[[], Opened],
    work: Callable[[Opened, Part], Result],
    items: Iterable[Part],
    cluster: Cluster | None = None,
) -> Iterator[Result]:
    """``work(opening(), item)`` for items that are made here one after the other, and travel to the workers whole.

    Otherwise like `map_parts`: for work that costs more than sending the items. Only a few items for each worker are on
    their way at a time.
    """
    cluster = cluster or Cluster()
    with cluster.joined() as workers:
        yield from _in_order(_Job(opening, work), ([item] for item in items), workers, Watch(cluster, 1))


def _in_order(job: _Job, tasks: Iterable[Sequence[Any]], workers: int, watch: Watch, gpus: int = 0) -> Iterator[Any]:
    """The results of the parts of all tasks, in order; a task is asked for when it has a place, and not before.

    gpus : that a task needs.
    """
    ray = imported()
    remote, shared = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=-1, name="isthmus")(_Job.done), ray.put(job)
    at_once = workers if workers < cpus(ray) else 2 * workers  # where no CPU is left over, the next ones may queue
    tasks, taker = iter(tasks), _Taker()
    waiting: deque[Any] = deque()
    unfinished: list[Any] = []
    try:
        while True:
            if unfinished:
                unfinished = ray.wait(unfinished, num_returns=len(unfinished), timeout=0)[1]
            places = min(at_once - len(unfinished), _WAITING * workers - len(waiting))
            more = [remote.remote(shared, parts) for parts in islice(tasks, max(0, places))]
            waiting += more
            unfinished += more
            if not waiting:
                return
            if waiting[0] not in unfinished:
                yield from taker.results(_got(ray, waiting.popleft(), watch))
            elif not ray.wait(unfinished, timeout=_LOOK)[0]:
                watch.look()
    finally:
        for task in unfinished:
            ray.cancel(task)


def _got(ray: Any, task: Any, watch: Watch) -> _Done:
    """What a finished task gave, which is made again where it was lost with its node."""
    while True:
        try:
            done: _Done = ray.get(task, timeout=_LOOK)
            return done
        except ray.exceptions.GetTimeoutError:
            watch.look()


@dataclass(frozen=True)
class _Done:
    """The results of a task, or what a user can put right about it."""

    results: Sequence[Any]
    failure: str
    warnings: Sequence[str]


_opened: dict[str, Any] = {}  # what this process, a worker's, opened for the job that it works on


@dataclass(frozen=True)
class _Job:
    """What workers do, wherever they are."""

    opening: Callable[[], Any]
    work: Callable[[Any, Any], Any]
    here: Here = field(default_factory=Here)
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def done(self, parts: Sequence[Any]) -> _Done:
        """Work on some parts, in a worker."""
        results, failure = [], ""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", IsthmusWarning)
            try:
                if self.name not in _opened:
                    self.here.enter()
                    _opened.clear()
                    _opened[self.name] = self.opening()
                results = [self.work(_opened[self.name], part) for part in parts]
            except (IsthmusError, OSError) as error:  # of the data, not of the worker: another one would fail alike
                failure = f"{error} (on node {platform.node()})"
        texts = dict.fromkeys(str(each.message) for each in caught if each.category is IsthmusWarning)
        return _Done(results, failure, tuple(texts))


class _Taker:
    """Takes what workers have done: tells their warnings, each once, and raises what a user can put right."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def results(self, done: _Done) -> Sequence[Any]:
        for text in (text for text in done.warnings if text not in self._told):
            self._told.add(text)
            warn(text)
        if done.failure:
            raise IsthmusError(done.failure)
        return done.results
