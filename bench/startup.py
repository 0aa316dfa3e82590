"""How long a user waits until something happens: whole processes, from the command to its end or its first step.

python bench/startup.py

Bytecode is compiled before, as it is where packages are installed. `import torch` is the floor of all that computes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from machine import machine, table
from targets import QUICK, Target, note

RUNS = 1 if QUICK else 5
ISTHMUS = [sys.executable, "-m", "isthmus"]
FIRST_STEP = """
import os
import isthmus.cli
from isthmus.training.loop import Trainer
step = Trainer._step
Trainer._step = lambda *arguments: (step(*arguments), os._exit(0))
isthmus.cli.main(["train", "digits", "--output", "new", "--overwrite"])
raise SystemExit("no step was made")
"""
Commands = dict[str, tuple[list[str], float | None]]
COMMANDS: Commands = {  # what is run, and the seconds that are asked
    "`python -c pass`": ([sys.executable, "-c", "pass"], None),
    "`import torch`": ([sys.executable, "-c", "import torch"], None),
    "`import torch, sklearn.base`": ([sys.executable, "-c", "import torch, sklearn.base"], None),
    "`import isthmus`": ([sys.executable, "-c", "import isthmus"], 0.2),
    "`isthmus --help`": ([*ISTHMUS, "--help"], 0.25),
    "`isthmus info MODEL`": ([*ISTHMUS, "info", "images"], 0.5),
    "`isthmus train digits`, to the end of its first step": ([sys.executable, "-c", FIRST_STEP], 2.5),
}
MODELS = """
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from isthmus import AnomalyDetector, AutoEncoder, Codec, Denoiser, Imputer, ManifoldMap, datasets
X = datasets.load("digits").train.images[:300]
a, b = np.random.default_rng(0).normal(size=(2, 300))
table = pa.table({"a": a, "b": b, "sum": a + b, "sign": np.where(a > 0, "+", "-")})
once = {"epochs": 1, "random_state": 0}
for name, model, data in (
    ("images", AutoEncoder(4, **once), X), ("table", AutoEncoder(2, **once), table), ("map", ManifoldMap(**once), X),
    ("detector", AnomalyDetector(**once), table), ("imputer", Imputer(**once), table),
    ("denoiser", Denoiser(**once), X), ("codec", Codec(**once), X), ("lossy-codec", Codec("lossy", **once), X),
):
    model.fit(data).save(name)
np.save("X.npy", X)
pq.write_table(table, "T.parquet")
"""
FIRST = {  # of a model of each kind, the first thing that it is asked
    "images": "transform('X.npy')",
    "table": "transform('T.parquet')",
    "map": "transform('X.npy')",
    "detector": "score_samples('T.parquet')",
    "imputer": "transform('T.parquet')",
    "denoiser": "denoise('X.npy')",
    "codec": "compress('X.npy')",
    "lossy-codec": "compress('X.npy')",
}


def seconds(command: list[str], place: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Medians of the wall time and the processor time of a process, after one that is not counted."""
    found = []
    for _ in range(RUNS + 1):
        before, start = os.times(), time.perf_counter()
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=place, env=environment
        )
        wall, after = time.perf_counter() - start, os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        found.append((wall, used))
    medians = np.median(found[1:], axis=0)
    return float(medians[0]), float(medians[1])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(place / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run([sys.executable, "-c", MODELS], check=True, cwd=place, env=environment)
        code = "from isthmus import load; load({!r}).{}"
        commands: Commands = COMMANDS | {
            f"load a model of kind {name}, {call}": ([sys.executable, "-c", code.format(name, call)], 1.5)
            for name, call in FIRST.items()
        }
        found = {name: seconds(command, place, environment) for name, (command, _) in commands.items()}
    rows = [
        {
            "command": name,
            "seconds": f"{wall:.2f}",
            "of a processor": f"{used:.2f}",
            "asked for": commands[name][1] or "",
        }
        for name, (wall, used) in found.items()
    ]
    print(f"{machine()}\n\n{table(rows)}")
    note(*(Target(name, found[name][0], asked) for name, (_, asked) in commands.items() if asked))


if __name__ == "__main__":
    main()
