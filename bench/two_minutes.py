"""What a minute or two of training reach with every estimator on MNIST, of this checkout and, beside it, of another.

python bench/two_minutes.py [--against OTHER/src] [--only conv,dense,codec,denoiser,map]

Each training has one core and one thread to itself; with `--against` both checkouts run at the same time, each on its
own core, so that what else the machine does slows both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
KINDS = ("conv", "dense", "codec", "denoiser", "map")
_NOISES = (0.1, 0.25, 0.5)


def measure(kind: str) -> dict[str, Any]:
    """Train one estimator, with whichever isthmus is imported, and judge it on the test images."""
    import numpy as np

    from isthmus import AutoEncoder, Codec, Denoiser, ManifoldMap, datasets

    mnist = datasets.load("mnist")
    train, test = np.asarray(mnist.train.images), np.asarray(mnist.test.images)
    if kind in ("conv", "dense"):
        model = AutoEncoder(10, network="conv" if kind == "conv" else "dense", minutes=1, random_state=0).fit(train)
        found = {"test MSE": -model.score(test)}
    elif kind == "codec":
        model = Codec(minutes=2, random_state=0).fit(train)
        found = {"bits a value": 8 * len(model.compress(test)) / test.size}
    elif kind == "denoiser":
        clean = test[:2000] / np.float32(255)
        model = Denoiser("gaussian:0-0.6", minutes=2, random_state=0).fit(train / np.float32(255))
        rng = np.random.default_rng(0)
        noisy = {level: clean + level * rng.standard_normal(clean.shape, np.float32) for level in _NOISES}
        found = {
            f"MSE at {level}": float(((model.denoise(x) - clean) ** 2).mean(dtype=np.float64))
            for level, x in noisy.items()
        }
    else:
        model = ManifoldMap(minutes=1, random_state=0).fit(train[:20_000])
        scores = model.neighbourhood_scores(test)
        found = {"trustworthiness": scores.trustworthiness, "continuity": scores.continuity}
    return {**found, "steps": model.history_[-1]["step"]}


def started(kind: str, source: Path, core: int) -> subprocess.Popen[str]:
    """A process that measures one kind with the package below `source`, on one core."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE), "--measure", kind, "--core", str(core)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="the folder src of another checkout")
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--measure", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {options.core})
        print(json.dumps(measure(options.measure)))
        return
    from machine import machine, table

    sources = {"this": HERE.parents[1] / "src"} | ({"other": options.against} if options.against else {})
    rows: list[dict[str, Any]] = []
    for kind in options.only.split(","):
        children = {name: started(kind, source, core) for core, (name, source) in enumerate(sources.items())}
        found = {name: json.loads(child.communicate()[0]) for name, child in children.items()}
        for what in found["this"]:
            figures = {
                name: f"{values[what]:,}" if what == "steps" else f"{values[what]:.5f}"
                for name, values in found.items()
            }
            rows.append({"estimator": kind, "figure": what, **figures})
            print(rows[-1], file=sys.stderr, flush=True)
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
