"""`fit` on a cluster: the same call in every worker of Ray Train, and the first one's model back.

    fit(X, backend="ray") ── parameters as JSON, X by address or in Ray's store ─▶ workers: estimator.fit(X)
             ▲                                                                        │ training/distributed
             └── model folder, events, warnings ◀─────────────────────────────────────┘ takes their process group

When a worker or a node dies, Ray starts all workers anew, where there is room, and the run continues from its
checkpoint, to the same weights.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import traceback
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from isthmus.cluster.connection import Cluster, Watch, gpus_each, imported
from isthmus.cluster.place import Here
from isthmus.errors import IsthmusError, IsthmusWarning, LostProcessError, warn
from isthmus.registry import backends, estimators
from isthmus.remote.paths import as_path
from isthmus.spec import to_json
from isthmus.training.progress import Event, Listener, shown
from isthmus.training.run import seed_from
from isthmus.training.stopping import stop, stop_flag

E = TypeVar("E")

_FAILURES = 20  # of workers in one run: a node that is lost, memory that does not last
_GLANCE = 0.2  # seconds from one look at what the workers say to the next
_NAME = "checkpoint.safetensors"


@dataclass(frozen=True)
class Delayed:
    """Data that each worker opens itself. opening : a function that workers can import, or a `partial` of one."""

    opening: Callable[[], Any]


@backends.register("ray")
def fit(
    estimator: E,
    X: Any,
    y: Any = None,
    *,
    workers: int | None = None,
    address: str | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    checkpoint_seconds: float = 15.0,
    listeners: Sequence[Listener] = (),
) -> E:
    """Train by the workers of a cluster of Ray.

    X, y : as the estimator's `fit` takes them. Paths, URLs and `Delayed` data are opened in the workers; what lies in
    memory travels once to each node. workers, address : see `Cluster`. checkpoint : a path that all nodes see; without
    one the run is kept in the folder for temporary files of the first worker's node. resume, checkpoint_seconds,
    listeners : as `fit` takes them; listeners are called in this process.
    """
    cluster = Cluster(workers, address)
    with cluster.joined() as count:
        trained = _Training(cluster, count, estimator, listeners).run(
            {
                "X": X,
                "y": y,
                "checkpoint": None if checkpoint is None else str(as_path(checkpoint).absolute()),
                "resume": resume,
                "checkpoint_seconds": checkpoint_seconds,
            }
        )
    return _adopted(estimator, trained)


class _Training:
    """One call of `fit`, seen from here."""

    def __init__(self, cluster: Cluster, workers: int, estimator: Any, listeners: Sequence[Listener]) -> None:
        self._ray, self._workers, self._estimator = imported(), workers, estimator
        self._watch = Watch(cluster, workers)
        self._listeners = (*listeners, shown()) if getattr(estimator, "verbose", False) else tuple(listeners)
        self._ended = threading.Event()
        self._trained: Mapping[str, Any] | None = None
        self._error: Exception | None = None

    def run(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the first worker gives back. options : of the worker's `fit`, with the data."""
        self._watch.wait()
        relay = self._ray.remote(num_cpus=0)(_Relay).remote()
        config = {
            **options,
            "X": self._sent(options["X"]),
            "y": self._sent(options["y"]),
            "estimator": type(self._estimator).__name__,
            "params": json.dumps(to_json(_params(self._estimator))),
            "modules": _modules(self._estimator),
            "relay": relay,
            "here": Here(),
            "run": uuid.uuid4().hex,
        }
        with tempfile.TemporaryDirectory(prefix="isthmus-ray-") as folder:
            threading.Thread(target=self._train, args=(config, folder), name="isthmus-ray", daemon=True).start()
            self._follow(relay)
        failure = self._ray.get(relay.state.remote())["failure"]
        if failure is not None:
            raise failure
        if self._error is not None:
            reason = _last_line(self._error)
            raise IsthmusError(f"the workers of {self._watch.cluster} failed: {reason}") from self._error
        assert self._trained is not None
        return self._trained

    def _sent(self, data: Any) -> Any:
        return data if data is None or isinstance(data, str | Path | Delayed) else self._ray.put(data)

    def _train(self, config: dict[str, Any], folder: str) -> None:
        try:
            from ray.train import FailureConfig, RunConfig, ScalingConfig
            from ray.train.torch import TorchTrainer

            gpus = gpus_each(self._ray, self._workers, self._estimator.device)
            work: Any = _worker  # Ray types what a worker gives back as None
            trainer = TorchTrainer(
                work,
                train_loop_config=config,
                scaling_config=ScalingConfig(num_workers=self._workers, use_gpu=bool(gpus)),
                run_config=RunConfig(
                    name=config["run"], storage_path=folder, failure_config=FailureConfig(max_failures=_FAILURES)
                ),
            )
            result: Any = trainer.fit()
            self._trained = result.return_value
        except Exception as error:
            self._error = error
        finally:
            self._ended.set()

    def _follow(self, relay: Any) -> None:
        """Hand events on, and signals back, until the workers are done."""
        with stop_flag() as flag:
            while not self._ended.wait(_GLANCE):
                self._tell(self._ray.get(relay.take.remote(flag.signal)))
                self._watch.look()
        self._tell(self._ray.get(relay.take.remote(0)))

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            for listener in self._listeners:
                listener(event)


class _Relay:
    """What workers say, until it is asked for; an actor of Ray."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._signal = 0
        self._state: dict[str, Any] = {"begun": False, "failure": None}

    def tell(self, event: Event) -> int:
        """Take an event; gives the signal that the user's process has heard, or 0."""
        self._state["begun"] = True
        self._events.append(event)
        return self._signal

    def fail(self, error: Exception) -> None:
        """Take what is to end the run: workers that are started again are to do nothing."""
        self._state["failure"] = self._state["failure"] or error

    def take(self, signal: int) -> list[Event]:
        """The events since the last call."""
        self._signal = self._signal or signal
        events, self._events = self._events, []
        return events

    def state(self) -> dict[str, Any]:
        """begun : whether there is a run to continue. failure : the exception that ended it, or None."""
        return self._state


def _worker(config: dict[str, Any]) -> dict[str, Any] | None:
    """What each worker does. The first one gives back the model's folder, file by file."""
    import ray
    import ray.train

    state = ray.get(config["relay"].state.remote())
    if state["failure"] is not None:
        return None
    config["here"].enter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", IsthmusWarning)
        try:
            model = _fitted(config, state["begun"])
        except LostProcessError:
            raise  # all workers are started again
        except Exception as error:
            ray.get(config["relay"].fail.remote(_plain(error)))
            raise
    if ray.train.get_context().get_world_rank() != 0:
        return None
    texts = dict.fromkeys(str(each.message) for each in caught if each.category is IsthmusWarning)
    with tempfile.TemporaryDirectory() as folder:
        files = {path.name: path.read_bytes() for path in model.save(Path(folder) / "model").iterdir()}
    return {"files": files, "interrupted": model.interrupted_, "warnings": list(texts)}


def _fitted(config: Mapping[str, Any], begun: bool) -> Any:
    import ray

    def relayed(event: Event) -> None:
        told = event if event.kind == "start" else replace(event, history=())
        signal = ray.get(config["relay"].tell.remote(told))
        if signal:
            stop(signal)

    def opened(data: Any) -> Any:
        if isinstance(data, Delayed):
            return data.opening()
        return ray.get(data) if isinstance(data, ray.ObjectRef) else data

    own = Path(tempfile.gettempdir()) / f"isthmus-{config['run']}"
    checkpoint = as_path(config["checkpoint"] or own / _NAME)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    estimator = estimators[config["estimator"]].estimator()(**json.loads(config["params"]), **config["modules"])
    model = estimator.fit(
        opened(config["X"]),
        opened(config["y"]),
        checkpoint=checkpoint,
        resume=config["resume"] or (begun and checkpoint.exists()),
        checkpoint_seconds=config["checkpoint_seconds"],
        listeners=[relayed],
    )
    shutil.rmtree(own, ignore_errors=True)
    return model


def _plain(error: Exception) -> Exception:
    """The error as it travels: one that a user can put right, or the worker's traceback."""
    if isinstance(error, IsthmusError | OSError):
        return IsthmusError(str(error))
    return RuntimeError("".join(traceback.format_exception(error)))


def _params(estimator: Any) -> dict[str, Any]:
    """The parameters as JSON values, with a seed that all workers share."""
    params = estimator.get_params(deep=False)
    params = {name: value for name, value in params.items() if name not in _modules(estimator)}
    seed = seed_from(estimator.random_state)
    silent = {"verbose": False} if "verbose" in params else {}
    return {**params, "device": str(estimator.device), "random_state": seed, **silent}


def _modules(estimator: Any) -> dict[str, Any]:
    """A network of modules of the user's own, which is no JSON."""
    network = getattr(estimator, "network", "")
    return {} if isinstance(network, str) else {"network": network}


def _adopted(estimator: E, trained: Mapping[str, Any]) -> E:
    """Give an estimator what a worker learned."""
    given: Any = estimator
    with tempfile.TemporaryDirectory() as folder:
        for name, content in trained["files"].items():
            (Path(folder) / name).write_bytes(content)
        loaded = type(given).load(folder, device=given.device, **_modules(given))
    params = given.get_params(deep=False)
    for name, value in vars(loaded).items():
        if name not in params:
            setattr(given, name, value)
    given.interrupted_ = trained["interrupted"]
    for text in trained["warnings"]:
        warn(text)
    return estimator


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
