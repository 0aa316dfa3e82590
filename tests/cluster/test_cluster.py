"""A cluster of Ray on this machine: a head without a CPU, as the driver's, and nodes that are killed."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from tests.cli.commandline import ask

import isthmus
from isthmus import AnomalyDetector, AutoEncoder, Codec, Denoiser, Imputer, IsthmusError, ManifoldMap
from isthmus.cluster import connection
from isthmus.cluster.connection import Cluster, Watch, imported
from isthmus.cluster.inference import map_items, map_parts
from isthmus.cluster.training import Delayed
from isthmus.errors import MissingExtraError
from isthmus.estimators.model_folder import load_model
from isthmus.registry import estimators

try:
    imported()
except MissingExtraError:
    pytest.skip("needs Ray: pip install 'isthmus[cluster]'", allow_module_level=True)

STORE = 80_000_000  # bytes of shared memory, the least that Ray takes
SOON = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
HERE = Path(__file__).parent


class Nodes:
    """The cluster that the tests of this file share: a node of two CPUs, and others that a test starts and kills."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Local

        self.local = Local(
            initialize_head=True,
            head_node_args={
                "num_cpus": 2,
                "object_store_memory": STORE,
                "include_dashboard": False,
                "_system_config": SOON,
            },
        )
        self.address: str = self.local.address

    def add(self, **settings: Any) -> Any:
        return self.local.add_node(num_cpus=1, object_store_memory=STORE, **settings)

    def kill(self, node: Any) -> None:
        """kill -9 of all that a node consists of."""
        self.local.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Ends with no process left: what Ray started in its session is counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(isthmus.__file__).parents[1]), str(HERE.parents[1])]))
        imported()
        logging.getLogger("ray").setLevel(logging.ERROR)
        made = Nodes()
        head: Any = made.local.head_node
        session = head.get_session_dir_path()
        try:
            yield made
        finally:
            imported().shutdown()
            made.local.shutdown()
    deadline = time.monotonic() + 20
    while left := processes_of(session):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def processes_of(session: str) -> list[str]:
    said = subprocess.run(["ps", "-eo", "pid,stat,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if session in line and " Z" not in line]


@pytest.fixture(autouse=True)
def left_alone() -> Iterator[None]:
    """No test leaves a connection, nor a thread of Ray's that would connect anew by itself."""
    yield
    assert not imported().is_initialized()
    homes = [str(getattr(getattr(thread, "_target", None), "__module__", "")) for thread in threading.enumerate()]
    assert not [home for home in homes if home.startswith("ray.")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and models, small."""
    top = tmp_path_factory.mktemp("cluster")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2500, 8, 8), dtype=np.uint8)
    np.save(top / "images.npy", images)
    (top / "photos").mkdir()
    for number, image in enumerate(images[:6]):
        Image.fromarray(image).save(top / "photos" / f"{number}.png")
    (top / "rows.csv").write_text("a,b\n" + "".join(f"{i},{i % 7}\n" for i in range(200)))
    AutoEncoder(3, epochs=1, random_state=0).fit(images[:200]).save(top / "model")
    Denoiser("gaussian:0.1", epochs=1, random_state=0).fit(images[:200]).save(top / "denoiser")
    Codec("lossless", epochs=1, random_state=0).fit(images[:200]).save(top / "codec")
    AnomalyDetector(epochs=1, random_state=0).fit(top / "rows.csv").save(top / "detector")
    return top


# What workers import.


def process() -> int:
    return os.getpid()


def slowly(pid: int, number: int) -> tuple[int, int]:
    time.sleep(0.1)
    return number, pid


def marked(folder: Path, opened: Path, number: int) -> int:
    """Leave a mark for each process that works; wait, for the first parts, until all three have begun."""
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 60
    while number < 15 and len(list(folder.iterdir())) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.1)
    return number


def refuse(opened: int, number: int) -> int:
    if number == 3:
        raise IsthmusError("sample 3 is not finite")
    return number


def some_rows(n: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, 5))


# Inference


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["embed", "model", "images.npy"], "codes.npy"),
        (["embed", "model", "images.npy"], "codes.parquet"),
        (["embed", "model", "images.npy"], "codes"),
        (["reconstruct", "model", "photos"], "rebuilt"),
        (["denoise", "denoiser", "photos"], "clean"),
        (["detect", "detector", "rows.csv", "-q"], "found.parquet"),
        (["compress", "codec", "images.npy"], "images.isth"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_command_gives_the_same_bytes_on_a_cluster(
    nodes: Nodes, folder: Path, words: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for place, more in (("here", []), ("there", ["--backend", "ray", "--workers", 2, "--ray-address", nodes.address])):
        (folder / place).mkdir(exist_ok=True)
        said = ask(*words, "-o", f"{place}/{name}", *more)
        assert said.status == 0, said.err
        assert "ray" not in said.out.lower() + said.err.lower()
    files = [path for path in sorted((folder / "here" / name).rglob("*")) if path.is_file()]
    for here in files or [folder / "here" / name]:
        there = folder / "there" / here.relative_to(folder / "here")
        assert here.read_bytes() == there.read_bytes(), here
    assert not list(folder.rglob(".*"))


def test_a_killed_node_loses_nothing_and_doubles_nothing(nodes: Nodes, tmp_path: Path) -> None:
    """The second node is killed in the middle of what it does; a folder of marks says that it has begun."""
    second = nodes.add()
    found = []
    for number in map_parts(tmp_path.absolute, partial(marked, tmp_path), list(range(40)), Cluster(3, nodes.address)):
        found.append(number)
        if len(list(tmp_path.iterdir())) == 3 and second is not None:
            nodes.kill(second)
            second = None
    assert second is None
    assert found == list(range(40))


def test_items_that_are_made_here_come_back_in_order_though_a_worker_is_killed(nodes: Nodes) -> None:
    killed = 0
    found = []
    for number, pid in map_items(process, slowly, iter(range(40)), Cluster(2, nodes.address)):
        found.append(number)
        if number == 5:
            os.kill(pid, signal.SIGKILL)
            killed = pid
        assert number < 20 or pid != killed
    assert found == list(range(40))


def test_what_is_wrong_with_the_data_is_said_once_and_ends_the_work(nodes: Nodes, folder: Path) -> None:
    with pytest.raises(IsthmusError, match=r"^sample 3 is not finite \(on node "):
        list(map_parts(process, refuse, list(range(10)), Cluster(1, nodes.address)))
    bad = np.load(folder / "images.npy").astype(np.float32)
    np.save(folder / "floats.npy", bad)
    said = ask("embed", folder / "model", folder / "floats.npy", "-o", folder / "bad.npy", "--backend", "ray",
               "--ray-address", nodes.address)  # fmt: skip
    assert said.status == 1 and not (folder / "bad.npy").exists()
    assert said.err.count("isthmus: ") == 1


# Training


def test_fit_on_a_cluster_is_fit(nodes: Nodes) -> None:
    """One worker gives the same bits; data that each worker opens itself are the same data."""
    X = some_rows(120)
    events: list[Any] = []
    estimator = AutoEncoder(2, epochs=2, batch_size=20, random_state=0)
    here = estimator.fit(X).transform(X)
    there = estimator.fit(Delayed(rows_120), backend="ray", workers=1, address=nodes.address, listeners=[events.append])
    assert there is estimator
    np.testing.assert_array_equal(there.transform(X), here)
    assert [events[0].kind, events[-1].kind] == ["start", "end"]


TINY: dict[str, Any] = {
    "AutoEncoder": AutoEncoder(2, epochs=1, random_state=0),
    "Codec": Codec("lossless", epochs=1, random_state=0),
    "Denoiser": Denoiser("gaussian:0.1", size="small", epochs=1, random_state=0),
    "ManifoldMap": ManifoldMap(epochs=1, random_state=0),
    "AnomalyDetector": AnomalyDetector(epochs=1, random_state=0),
    "Imputer": Imputer(2, epochs=1, random_state=0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(estimators))
def test_every_estimator_learns_on_a_cluster_what_it_learns_here(nodes: Nodes, name: str, tmp_path: Path) -> None:
    """The folders of both models are the same bytes, but for the curve of the training, which has times."""
    X = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8) if name in ("Codec", "Denoiser") else None
    X = some_rows(80) if X is None else X
    for place, more in (("here", {}), ("there", {"backend": "ray", "workers": 1, "address": nodes.address})):
        clone(TINY[name]).fit(X, **more).save(tmp_path / place)
    here, there = (load_model(tmp_path / place).tensors for place in ("here", "there"))
    assert here.keys() == there.keys() and here
    for key in here:
        np.testing.assert_array_equal(here[key], there[key])


def rows_120() -> np.ndarray:
    return some_rows(120)


def test_training_goes_on_after_kill_9_of_a_worker(nodes: Nodes, tmp_path: Path) -> None:
    """Two workers, of which one is killed in the middle: the weights are those of the undisturbed run, to the bit."""
    X = some_rows(400)
    settings: dict[str, Any] = {"epochs": 12, "batch_size": 10, "random_state": 0, "hidden": [16]}
    options: dict[str, Any] = {"backend": "ray", "workers": 2, "address": nodes.address, "checkpoint_seconds": 0}
    undisturbed = AutoEncoder(2, **settings).fit(X, **options)
    starts: list[float] = []

    def kill(event: Any) -> None:
        if event.kind == "start":
            starts.append(event.progress)
        elif len(starts) == 1 and event.progress > 0.2:
            victims = [line.split()[0] for line in processes_of("ray::") if "TrainWorker" in line]
            if victims:
                os.kill(int(victims[-1]), signal.SIGKILL)

    disturbed = AutoEncoder(2, **settings).fit(X, checkpoint=tmp_path / "c.safetensors", listeners=[kill], **options)
    assert len(starts) == 2 and starts[1] > 0
    for a, b in zip(undisturbed.network_.parameters(), disturbed.network_.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_a_signal_reaches_the_workers_and_keeps_what_was_learned(nodes: Nodes) -> None:
    def interrupt(event: Any) -> None:
        if event.kind == "start":
            signal.raise_signal(signal.SIGINT)

    model = AutoEncoder(2, minutes=5, random_state=0)
    model.fit(some_rows(200), backend="ray", workers=1, address=nodes.address, listeners=[interrupt])
    assert model.interrupted_ == signal.SIGINT and model.transform(some_rows(3)).shape == (3, 2)


def test_bad_data_end_the_training_with_their_line(nodes: Nodes) -> None:
    X = some_rows(100)
    X[7, 2] = np.nan
    with pytest.raises(IsthmusError, match=r"^sample 7 holds NaN in column 2"):
        AutoEncoder(2, epochs=1).fit(X, backend="ray", workers=1, address=nodes.address)


def test_train_on_a_cluster_from_the_command_line(nodes: Nodes, folder: Path) -> None:
    said = ask("train", folder / "rows.csv", "-o", folder / "trained", "--epochs", 1, "--latent-dim", 2, "--no-report",
               "--backend", "ray", "--workers", 1, "--ray-address", nodes.address)  # fmt: skip
    assert said.status == 0, said.err
    assert isthmus.load(folder / "trained").transform(folder / "rows.csv").shape == (200, 2)
    assert not list((folder / "trained").glob("*checkpoint*"))


# What can be wrong


def test_other_versions_on_a_node_are_named(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "isthmus").mkdir()
    (tmp_path / "isthmus" / "__init__.py").write_text('__version__ = "0.0.9"')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    old = nodes.add()
    try:
        with pytest.raises(IsthmusError, match=r"^node .* has isthmus 0\.0\.9, and this machine has isthmus .*install"):
            list(map_parts(process, slowly, [1], Cluster(1, nodes.address)))
    finally:
        nodes.kill(old)


def test_more_workers_than_the_cluster_has(nodes: Nodes) -> None:
    with pytest.raises(IsthmusError, match=r"^99 workers need 99 CPUs and the cluster at .* has \d+; ask for at most"):
        AutoEncoder(2).fit(some_rows(50), backend="ray", workers=99, address=nodes.address)


def test_a_cluster_that_shrinks_is_not_waited_for_for_ever(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(1, nodes.address)
    with cluster.joined():
        monkeypatch.setattr(connection, "_PATIENCE", 0.0)
        Watch(cluster, 1).look()
        with pytest.raises(IsthmusError, match=r"has lost nodes: \d+ CPUs are left, and 50 are needed"):
            Watch(cluster, 50).look()
        with pytest.raises(IsthmusError, match=r"\d+ CPUs of the cluster .* are free, and 50 are needed"):
            Watch(cluster, 50).wait()


def test_what_cannot_be_reached_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[Any] = ["embed", folder / "model", folder / "images.npy", "-o", folder / "never.npy"]
    imported().shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    for more, told in (
        (["--backend", "ray"], "there is no Ray cluster at 127.0.0.1:9"),
        (["--backend", "roy"], "unknown backend 'roy'; did you mean 'ray'?"),
        (["--workers", 2], "--workers and --ray-address are for --backend ray"),
    ):
        said = ask(*words, *more)
        assert said.status in (1, 2) and told in said.err and said.err.count("\n") == 1
    with pytest.raises(IsthmusError, match="unknown backend 'roy'"):
        AutoEncoder(2).fit(some_rows(50), backend="roy")  # type: ignore[arg-type]
    with pytest.raises(IsthmusError, match="need backend='ray'"):
        AutoEncoder(2).fit(some_rows(50), workers=2)
    monkeypatch.setitem(sys.modules, "ray", None)
    said = ask(*words, "--backend", "ray")
    assert said.status == 1 and "pip install 'isthmus[cluster]'" in said.err
