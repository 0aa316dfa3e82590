"""The service on a Ray cluster: replicas of the same application, as many as requests need."""

from __future__ import annotations

import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from isthmus.cluster.connection import Cluster, imported
from isthmus.errors import IsthmusError
from isthmus.serving.http.limits import Refusal
from isthmus.serving.http.workers import Plan
from isthmus.training.stopping import SIGNALS, handled

_NAME = "isthmus"
_REQUESTS_EACH = 32  # that a replica has in hand before another one is started


def serve(plan: Plan, cluster: Cluster, on_ready: Callable[[], None]) -> int:
    """Serve until SIGINT or SIGTERM; returns the signal's number. SIGHUP replaces all replicas by new ones.

    plan : what each replica serves; its host and port are those of Ray's proxies, unless the cluster already has some.
    cluster : its number of workers is the largest number of replicas, each with one CPU. on_ready : called once
    requests are answered.

    Raises IsthmusError where no replica could begin.
    """
    imported()
    from ray import serve as ray_serve  # sets up its logging, which is then turned down

    with cluster.joined() as most, _signals() as heard:  # Ray sets handlers of its own when it is joined
        try:
            ray_serve.start(http_options={"host": plan.host, "port": plan.port})
            _deploy(plan, most, 0)
            on_ready()
            loads = 0
            while (number := heard.get()) == getattr(signal, "SIGHUP", None):
                loads += 1
                _deploy(plan, most, loads)
            return number
        finally:
            ray_serve.delete(_NAME)


def _deploy(plan: Plan, most: int, loads: int) -> None:
    """Have replicas of a plan. loads : when it changes, one replica after another is replaced by a new one."""
    from ray import serve as ray_serve

    def application() -> Any:  # in the replica
        return plan.service(_refused).app

    deployment: Any = ray_serve.deployment(
        ray_serve.ingress(application)(),
        name=_NAME,
        max_ongoing_requests=plan.limits.requests,
        max_queued_requests=plan.limits.requests,
        autoscaling_config={"min_replicas": 1, "max_replicas": most, "target_ongoing_requests": _REQUESTS_EACH},
        ray_actor_options={"num_cpus": 1},
    )
    try:
        ray_serve.run(deployment.bind(loads), name=_NAME)
    except RuntimeError as error:
        raise IsthmusError(f"Ray could not start the service: {' '.join(str(error).split())[:300]}") from error


async def _refused(name: str) -> None:
    raise Refusal(400, "replicas load models again when `isthmus serve` gets SIGHUP, all of them")


@contextmanager
def _signals() -> Iterator[queue.SimpleQueue[int]]:
    """The signals that come meanwhile."""
    heard: queue.SimpleQueue[int] = queue.SimpleQueue()
    with handled(lambda number, frame: heard.put(number), SIGNALS):
        yield heard
