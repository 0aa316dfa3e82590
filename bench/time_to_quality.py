"""Seconds of training to the error of a well-known notebook, on MNIST with codes of 10: isthmus, Keras and pythae.

python bench/time_to_quality.py [--seeds 3] [--limit 300] [--only isthmus]

The same layers for all three. Keras (TensorFlow) and pythae run in virtual environments of their own, made on first
use in .bench/. They stop as soon as the test error, looked at every 50 steps at no cost, reaches the mark; Keras
runs with XLA or without, whichever is faster. isthmus anneals, so it has to know where a run ends: its figure is the
shortest of a ladder of budgets whose median error reaches the mark, as the wall time of `fit` and all that it does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np

from isthmus import AutoEncoder, datasets
from isthmus.registry import NetworkName
from machine import machine, table
from targets import QUICK, Target, note

ROOT = Path(__file__).parents[1]
MARK = 0.0174
HIDDEN: dict[NetworkName, tuple[int, ...]] = {"conv": (), "dense": (500, 250)}
LADDER = (1,) if QUICK else (1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8, 10, 15, 20, 30)  # seconds
RIVALS = ("keras", "pythae")
PEERS = {
    "keras": ["tensorflow-cpu==2.21.0", "keras==3.15.1"],
    "pythae": ["torch==2.13.0", "pythae==0.1.2"],
    "ctgan": ["torch==2.13.0", "ctgan==0.12.1"],
}
PYTHAE_NEEDS = ["pydantic", "tqdm", "scipy", "imageio", "scikit-learn", "typing_extensions"]


def environment(peer: str) -> Path:
    """The Python of a peer's own virtual environment, made if it is not there."""
    folder = ROOT / ".bench" / peer
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = folder / ".ready"
    if not ready.exists():
        print(f"installing {peer} ...", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if peer == "pythae":  # it asks for a package that Python has long had itself
            constraints = ["--constraint", str(ROOT / "constraints.txt")]
            subprocess.run([*pip, *constraints, PEERS[peer][0], "numpy", *PYTHAE_NEEDS], check=True)
            subprocess.run([*pip, "--no-deps", *PEERS[peer][1:]], check=True)
        else:
            subprocess.run([*pip, *PEERS[peer]], check=True)
        ready.touch()
    return python


def peer_run(peer: str, data: Path, network: str, seed: int, limit: float, **variables: str) -> dict[str, Any]:
    """One run of a peer: seconds, error, steps."""
    script = ROOT / "bench" / "peers" / f"{peer}_mnist.py"
    command = [str(environment(peer)), str(script), str(data), network, str(seed), str(MARK), str(limit)]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{peer} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peer_median(peer: str, data: Path, network: str, seeds: int, limit: float) -> dict[str, str]:
    """A row of the table: the median run."""
    variables = {}
    if peer == "keras":
        trial = {jit: peer_run(peer, data, network, 0, min(15, limit), KERAS_JIT=jit)["steps"] for jit in ("0", "1")}
        variables["KERAS_JIT"] = max(trial, key=lambda jit: trial[jit])
    runs = [peer_run(peer, data, network, seed, limit, **variables) for seed in range(seeds)]
    reached = all(run["error"] <= MARK for run in runs)
    seconds = statistics.median(run["seconds"] for run in runs)
    best = statistics.median(run["best"] for run in runs)
    name = f"{peer} {runs[0]['version']}" + (" (XLA)" if variables.get("KERAS_JIT") == "1" else "")
    return {"who": name, "seconds": f"{seconds:.1f}" if reached else f"> {limit:.0f}", "test MSE": f"{best:.5f}"}


def ours(network: NetworkName, seeds: int, hidden: tuple[int, ...] | None, who: str) -> dict[str, str]:
    """A row of the table: the shortest budget whose median error reaches the mark."""
    mnist = datasets.load("mnist")
    for budget in LADDER:
        seconds, errors = [], []
        for seed in range(seeds):
            model = AutoEncoder(10, network=network, hidden=hidden, minutes=budget / 60, random_state=seed)
            start = time.perf_counter()
            model.fit(mnist.train.images)
            seconds.append(time.perf_counter() - start)
            errors.append(-model.score(mnist.test.images))
        if statistics.median(errors) <= MARK:
            break
    return {
        "who": who,
        "seconds": f"{statistics.median(seconds):.1f}",
        "test MSE": f"{statistics.median(errors):.5f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1 if QUICK else 3)
    limit = 2 if QUICK else 300
    parser.add_argument("--limit", type=float, default=limit, help="seconds of training after which a peer is stopped")
    parser.add_argument("--only", choices=["isthmus", *RIVALS])
    options = parser.parse_args()
    AutoEncoder(2, epochs=1).fit(np.zeros((64, 8), np.float32))  # torch is imported and warm, as the peers are
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "mnist.npz"
        mnist = datasets.load("mnist")
        np.savez(data, train=mnist.train.images, test=mnist.test.images)
        for network, hidden in HIDDEN.items():
            found = []
            if options.only in (None, "isthmus"):
                found.append(ours(network, options.seeds, hidden, "isthmus"))
                found.append(ours(network, options.seeds, None, "isthmus, its own layers"))
            for peer in RIVALS:
                if options.only in (None, peer):
                    found.append(peer_median(peer, data, network, options.seeds, options.limit))
            rows += [{"network": network, **row} for row in found]
            for row in rows[-len(found) :]:
                print(json.dumps(row), file=sys.stderr, flush=True)
    print(f"{machine()}\nto a test MSE of {MARK}, median of {options.seeds} seeds\n\n{table(rows)}")
    note(*targets(rows))


def targets(rows: list[dict[str, str]]) -> list[Target]:
    """The convolutional network's seconds, and those of Keras over them; what did not reach the mark has none."""
    conv = {row["who"].split()[0].rstrip(","): row for row in reversed(rows) if row["network"] == "conv"}
    reached = {who: float(row["seconds"]) for who, row in conv.items() if float(row["test MSE"]) <= MARK}
    mine, keras = reached.get("isthmus"), reached.get("keras")
    return [
        Target(f"convolutional network of the same layers to {MARK}", mine, 3),
        Target("Keras's time over ours", keras / mine if mine and keras else None, 10, "times", at_least=True),
    ]


if __name__ == "__main__":
    main()
