"""Several processes beside one: the same losses, how fast, and what happens when one of them is killed.

python bench/scale.py [losses] [throughput] [cost] [kills]

torchrun starts the processes, which talk by gloo, and add up gradients in memory that they share.

Losses: 200 steps of every estimator at the same global batch, in float32 and, where the processor multiplies it faster,
in bfloat16, beside one process with two threads, which shows what rounding alone does.
Throughput: two processes of one thread beside one of two threads, in turn; all-reduce is the time that a step spends on
the sum of the gradients, waiting for the other process included.
Cost: a model of more machines.
Kills: one of two processes, at random moments; torchrun starts the run again, and it must end with the bits of a run
that nobody killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.training.torchrun import workers

from isthmus import AnomalyDetector, AutoEncoder, Codec, Denoiser, Imputer, ManifoldMap
from isthmus.anomalies import image_learning
from isthmus.estimators import recipe
from isthmus.estimators.model_folder import load_model
from isthmus.training import launch
from isthmus.training.distributed import Pulse
from isthmus.training.loop import Trainer
from machine import machine, table

STEPS, WARM_UP, SECONDS, ROUNDS, KILLS = 200, 20, 5.0, 3, 10
FIXED: dict[str, Any] = {"random_state": 0, "device": "cpu"}
BANDWIDTH, LATENCY = 1.25e9, 30e-6  # bytes a second and seconds a message: Ethernet of 10 Gbit/s
EPOCHS = 40  # of which 200 steps are seen


def digits() -> np.ndarray:
    """Small grey images, uint8 (1797, 8, 8)."""
    from sklearn.datasets import load_digits

    return np.asarray(load_digits().images * 15.9, np.uint8)


def images(side: int = 28, count: int = 4096) -> np.ndarray:
    """Blobs, uint8 (count, side, side): what they show does not matter here."""
    x, y = np.random.default_rng(0).uniform(6, side - 6, (2, count, 1, 1))
    place = np.arange(side)
    return np.asarray(255 * np.exp(-((place[:, None] - y) ** 2 + (place - x) ** 2) / 20), np.uint8)


def rows(count: int = 2000) -> Any:
    """A table with words, numbers and holes."""
    import pandas as pd

    rng = np.random.default_rng(0)
    word, x = rng.integers(0, 3, count), rng.normal(size=(count, 6)) @ rng.normal(size=(6, 6))
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(6)]).mask(rng.random((count, 6)) < 0.1)
    return frame.assign(word=np.array(["a", "b", "c"])[word])


def noisy() -> np.ndarray:
    return (digits()[:1000] / 255 + np.random.default_rng(1).normal(size=(1000, 8, 8)) * 0.1).astype(np.float32)


RUNS: dict[str, tuple[Callable[..., Any], Callable[[], Any]]] = {
    "AutoEncoder": (lambda: AutoEncoder(10, epochs=EPOCHS, **FIXED), digits),
    "AutoEncoder, table": (lambda: AutoEncoder(3, epochs=EPOCHS, **FIXED), rows),
    "AutoEncoder, noise and contrast": (
        lambda: AutoEncoder(10, corruption="gaussian:0.1", bottleneck="variational", consistency="warp",
                            epochs=EPOCHS, **FIXED), digits),
    "Codec": (lambda: Codec(epochs=EPOCHS, **FIXED), digits),
    "Codec, lossy": (lambda: Codec("lossy", epochs=EPOCHS, **FIXED), digits),
    "Denoiser, clean": (lambda: Denoiser("gaussian:0.1", size="small", epochs=EPOCHS, **FIXED), digits),
    "Denoiser, noisy": (lambda: Denoiser("gaussian", learn_from="noisy", size="small", epochs=EPOCHS, **FIXED), noisy),
    "ManifoldMap": (lambda: ManifoldMap(epochs=EPOCHS, **FIXED), digits),
    "AnomalyDetector, table": (lambda: AnomalyDetector(epochs=EPOCHS, **FIXED), rows),
    "AnomalyDetector, images": (lambda: AnomalyDetector(0.1, epochs=EPOCHS, **FIXED), digits),
    "Imputer": (lambda: Imputer(epochs=EPOCHS, **FIXED), rows),
}  # fmt: skip
NETWORKS: dict[str, dict[str, Any]] = {
    "dense, hidden 64": {"network": "dense", "hidden": (64,)},
    "conv 16-32": {"network": "conv", "channels": (16, 32)},
    "conv, the default": {"network": "conv"},
    "conv 64-128-256": {"network": "conv", "channels": (64, 128, 256)},
    "conv, batch 256": {"network": "conv", "batch_size": 256},
}


def start(count: int, threads: int, *words: str, folder: Path | None = None, more: tuple[str, ...] = ()) -> Any:
    """Processes of torchrun; one is started without it."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", *more]
    command = [sys.executable, *(torchrun if count > 1 or more else []), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def answer(count: int, threads: int, what: str, *words: str) -> Any:
    """What the first of some processes of this file finds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer.json"
        child = start(count, threads, __file__, "--here", what, str(path), *words)
        output = child.communicate()[0]
        if child.returncode:
            raise SystemExit(output.decode())
        return json.loads(path.read_text())


# In the processes


def losses_here(precision: str) -> dict[str, list[float]]:
    """The losses of the first steps of every run."""
    if precision == "float32":
        for module in (recipe, image_learning):
            module.has_fast_bfloat16 = lambda device: False  # type: ignore[attr-defined]
    found: dict[str, list[float]] = {}
    kept: list[float] = []
    whole = Trainer._gradients

    def noted(self: Trainer, batch: Any) -> torch.Tensor:
        loss = whole(self, batch)
        kept.append(float(loss))
        if len(kept) == STEPS:
            signal.raise_signal(signal.SIGTERM)
        return loss

    Trainer._gradients = noted  # type: ignore[method-assign]
    for name, (make, data) in RUNS.items():
        kept.clear()
        make().fit(data())
        found[name] = kept[:STEPS]
    return found


def throughput_here(name: str, *batch_size: str) -> dict[str, float]:
    """Samples a second in a run, the share of the time in all-reduce, and the bytes of a step's message."""
    seconds, sent, step_ends, ends = [0.0], [0], list[float](), list[bool]()
    add, whole = Pulse._add, Trainer._step

    def timed(self: Pulse, numbers: torch.Tensor) -> None:
        before = time.perf_counter()
        add(self, numbers)
        seconds[0] += time.perf_counter() - before
        sent[0] = numbers.numel() * numbers.element_size()

    def noted(self: Trainer, batch: Any) -> None:
        whole(self, batch)
        step_ends.append(time.perf_counter())
        if len(step_ends) == WARM_UP:
            seconds[0] = 0.0
        late = len(step_ends) > WARM_UP and step_ends[-1] - step_ends[WARM_UP - 1] > SECONDS
        if launch.rank() == 0 and late and not ends:
            ends.append(True)
            signal.raise_signal(signal.SIGTERM)  # which the others hear in the same step

    Pulse._add = timed  # type: ignore[method-assign]
    Trainer._step = noted  # type: ignore[method-assign]
    settings = {**NETWORKS[name], **({"batch_size": int(batch_size[0])} if batch_size else {})}
    model = AutoEncoder(10, epochs=5000, validation_fraction=0, **settings, **FIXED).fit(images())
    took = step_ends[-1] - step_ends[WARM_UP - 1]
    assert model.training_spec_ is not None
    return {
        "samples_per_second": (len(step_ends) - WARM_UP) * model.training_spec_.batch_size / took,
        "in_all_reduce": seconds[0] / took,
        "bytes": sent[0],
        "parameters": model.network_.num_parameters,
    }


# Around them


def apart(ours: list[float], others: list[float]) -> str:
    """The largest relative difference of a step's loss, and that of the mean of all steps."""
    a, b = np.array(ours), np.array(others)
    return f"{(abs(a - b) / abs(a)).max():.0e} ({abs(b.mean() / a.mean() - 1):.0e})"


def losses() -> None:
    """Losses of 1, 2 and 4 processes."""
    cases = {
        "float32": {"2 processes": (2, 1), "4 processes": (4, 1), "1 process, 2 threads": (1, 2)},
        "bfloat16 where that is fast": {"2 processes": (2, 1), "1 process, 2 threads": (1, 2)},
    }
    for precision, others in cases.items():
        one = answer(1, 1, "losses", precision)
        found = {name: answer(*how, "losses", precision) for name, how in others.items()}
        print(f"\nLosses of {STEPS} steps, {precision}: largest difference from one process (of the mean)\n")
        told = [{"run": run, **{name: apart(one[run], losses[run]) for name, losses in found.items()}} for run in RUNS]
        print(table(told), flush=True)


def throughput() -> None:
    """Two processes beside two threads."""
    found = []
    for name in NETWORKS:
        one, two = [], []
        for _ in range(ROUNDS):
            one.append(answer(1, 2, "throughput", name))
            two.append(answer(2, 1, "throughput", name))
        ratios = [b["samples_per_second"] / a["samples_per_second"] for a, b in zip(one, two, strict=True)]
        middle = [statistics.median(run["samples_per_second"] for run in runs) for runs in (one, two)]
        found.append(
            {
                "network": name,
                "parameters": f"{one[0]['parameters']:,}",
                "1 process, 2 threads": f"{middle[0]:,.0f} samples/s",
                "2 processes": f"{middle[1]:,.0f} samples/s",
                "ratio": f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
                "in all-reduce": f"{statistics.median(run['in_all_reduce'] for run in two):.0%}",
                "bytes a step": f"{two[0]['bytes']:,}",
            }
        )
    print(f"\nThroughput, median of {ROUNDS} runs in turn\n\n{table(found)}", flush=True)


def cost() -> None:
    """What 10⁹ images cost on some machines, from the steps of this one and a model of the network between them.

    A step takes a part that grows with the share of a machine and one that does not (the optimizer, the loop), both
    measured here, and a ring all-reduce: 2 (N - 1) / N times the gradients over the bandwidth, 2 (N - 1) latencies.
    """
    found, size, machines = [], 1_000_000_000, (1, 2, 4, 8, 16, 32, 64)
    for name, batch in (("conv, the default", 64), ("conv, the default", 1024), ("dense, hidden 64", 1024)):
        times, parameters = [], 0
        for samples in (64, 256):
            told = answer(1, 2, "throughput", name, str(samples))
            times.append(samples / told["samples_per_second"])
            parameters = told["parameters"]
        each = max(times[1] - times[0], 1e-9) / (256 - 64)
        rest = max(times[0] - 64 * each, 0.0)
        steps = [
            batch / n * each + rest + 2 * (n - 1) / n * 4 * parameters / BANDWIDTH + 2 * (n - 1) * LATENCY
            for n in machines
        ]
        days = [size / batch * step / 86_400 for step in steps]
        told_days = {f"N = {n}": f"{d:.2f} d ({days[0] / d:.1f} ×)" for n, d in zip(machines, days, strict=True)}
        found.append({"network": name, "batch": batch, **told_days})
        print(f"{name}: {1e3 * each:.3f} ms a sample, {1e3 * rest:.2f} ms a step, {4 * parameters:,} bytes to send")
    print(f"\nOne pass over 10⁹ images of 28 × 28, by the model\n\n{table(found)}", flush=True)


def kills() -> None:
    """One of two processes is killed at random moments, and torchrun starts the run again."""
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "digits.npy", digits())
        command = ["-m", "isthmus", "train", "digits.npy", "--latent-dim", "5", "--channels", "8,16", "--epochs", "40"]
        command += ["--no-report", "--checkpoint-seconds", "0.1", "-o"]
        start(2, 1, *command, "whole", folder=folder).communicate()
        expected = load_model(folder / "whole").tensors
        exact = lines = 0
        for number in range(KILLS):
            model, rank = f"killed-{number}", moments.randrange(2)
            child = start(2, 1, *command, model, folder=folder, more=("--max-restarts=1",))
            log = folder / model / "training.jsonl"
            wait_for(lambda log=log: log.exists() and log.stat().st_size > 0, child)  # type: ignore[misc]
            time.sleep(moments.uniform(0, 3))
            os.kill(workers(child.pid)[rank], signal.SIGKILL)
            output = child.communicate()[0].decode()
            same = child.returncode == 0 and all(np.array_equal(v, expected[k]) for k, v in
                                                 load_model(folder / model).tensors.items())  # fmt: skip
            exact += same
            lines += output.count("isthmus: another process has ended") == 1
        print(f"\n{KILLS} kills: {lines} times one clear line, {exact} times the same bits in the end", flush=True)


def wait_for(is_so: Callable[[], bool], child: Any) -> None:
    while not is_so():
        if child.poll() is not None:
            raise SystemExit(child.communicate()[0].decode())
        time.sleep(0.01)


if __name__ == "__main__":
    here: dict[str, Callable[..., Any]] = {"losses": losses_here, "throughput": throughput_here}
    if sys.argv[1:2] == ["--here"]:
        told = here[sys.argv[2]](*sys.argv[4:])
        if launch.rank() == 0:
            Path(sys.argv[3]).write_text(json.dumps(told))
    else:
        print(machine(), flush=True)
        parts = {"losses": losses, "throughput": throughput, "cost": cost, "kills": kills}
        for part in sys.argv[1:] or parts:
            parts[part]()
