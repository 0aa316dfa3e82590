"""The samples of some data, part by part on many machines, in their order.

    parts ── from_items ─▶ Ray Data ── map_batches ─▶ workers: open once, work on part after part ──▶ results in order

Nothing but numbers of parts travels to the workers: each opens the model and the data itself, and keeps them for the
parts that follow. What is lost with a worker or its node is done again by another one; a part's result depends on
nothing but the part, so the results are the same.

The workers are processes of a pool for tasks. A pool of actors hangs where results are wanted in order and a node is
lost without another in its place: a task stays with its actor, which waits for a CPU, and all others wait for the task.
"""

from __future__ import annotations

import platform
import queue
import threading
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from isthmus.cluster.connection import Cluster, Watch, gpus_each, imported
from isthmus.cluster.place import Here
from isthmus.errors import IsthmusError, IsthmusWarning, warn

Opened = TypeVar("Opened")
Part = TypeVar("Part")
Result = TypeVar("Result")

_TASKS_EACH = 4  # of a worker, at least: so that the last ones end together
_MOST_PARTS = 8  # in one task: more would only make what is lost with a worker larger
_LOOK = 5.0  # seconds between looks at a cluster that gives no results
_ON_THE_WAY = 2  # items for each worker
_END = 10.0  # seconds in which a thread must end that nobody takes results from
_WAITING = 4  # tasks whose results may wait for whoever takes them


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
        tasks = [parts[start : start + size] for start in range(0, len(parts), size)]
        made = _in_order(_Job(opening, work), tasks, min(workers, len(tasks)), device)
        for results in _taken(made, Watch(cluster, 1)):
            yield from results


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
        ray = imported()
        job, watch, taker = ray.put(_Job(opening, work)), Watch(cluster, 1), _Taker()
        task = ray.remote(num_cpus=1, max_retries=-1)(_one)
        waiting: deque[Any] = deque()

        def first() -> Result:
            while not ray.wait([waiting[0]], timeout=_LOOK)[0]:
                watch.look()
            (result,) = taker.results(ray.get(waiting.popleft()))
            made: Result = result
            return made

        for item in items:
            waiting.append(task.remote(job, item))
            if len(waiting) > _ON_THE_WAY * workers:
                yield first()
        while waiting:
            yield first()


def _one(job: _Job, item: Any) -> _Done:
    return job.done([item])


@dataclass(frozen=True)
class _Done:
    """The results of a task, or what a user can put right about it. Of a type that Ray Data does not look into."""

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


def _task(job: _Job, tasks: Sequence[Sequence[Any]], batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One task of Ray Data: a batch with its number."""
    (number,) = batch["item"].tolist()
    done = np.empty(1, object)
    done[0] = job.done(tasks[number])
    return {"number": np.array([number]), "done": done}


def _in_order(job: _Job, tasks: Sequence[Sequence[Any]], workers: int, device: object) -> Generator[Sequence[Any]]:
    """The results of the tasks, in order."""
    ray = imported()
    from ray.data import DataContext, TaskPoolStrategy, from_items

    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_fallback_to_arrow_object_ext_type = True
    context.execution_options.preserve_order = True
    with DataContext.current(context):
        rows = from_items(list(range(len(tasks))), override_num_blocks=len(tasks)).map_batches(
            partial(_task, job, tasks),
            batch_size=1,
            compute=TaskPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=gpus_each(ray, workers, device),
        )
    taker, made = _Taker(), 0
    for row in rows.iter_rows():
        if row["number"] != made:
            raise RuntimeError(f"Ray gave task {row['number']} in place of {made}")
        yield taker.results(row["done"])
        made += 1
    if made != len(tasks):
        raise RuntimeError(f"Ray gave {made} of {len(tasks)} tasks")


def _taken(results: Generator[Any], watch: Watch) -> Iterator[Any]:
    """Results that a thread waits for, so that this one can look at the cluster and hear Ctrl-C meanwhile."""
    waiting: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(_WAITING)
    left = threading.Event()

    def put(item: tuple[Any, BaseException | None]) -> None:
        while not left.is_set():
            with suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return

    def take() -> None:
        try:
            for result in results:
                put((result, None))
                if left.is_set():
                    return
            put((None, StopIteration()))
        except BaseException as error:
            put((None, error))
        finally:
            results.close()

    thread = threading.Thread(target=take, name="isthmus-ray", daemon=True)
    thread.start()
    try:
        while True:
            try:
                result, error = waiting.get(timeout=_LOOK)
            except queue.Empty:
                watch.look()
                continue
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield result
    finally:
        left.set()
        thread.join(_END)  # before the connection that it uses is closed
