"""What 10, 60 and 300 seconds of training reach on MNIST, beside PCA: the command line as a user runs it.

python bench/quality_at_budget.py [--seconds 10,60,300] [--codes 2,10,32,64] [--networks conv,dense]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from isthmus import AutoEncoder, datasets
from machine import machine, table
from targets import QUICK, Target, note


def reached(network: str, latent_dim: int, seconds: float, test: np.ndarray) -> tuple[float, int]:
    """Test error and steps of one `isthmus train`."""
    command = f"isthmus train mnist --network {network} --latent-dim {latent_dim} --minutes {seconds / 60:g} --seed 0"
    with tempfile.TemporaryDirectory() as folder:
        more = ["--quiet", "--no-report", "-o", f"{folder}/m"]
        subprocess.run([sys.executable, "-m", *command.split(), *more], check=True)
        model = AutoEncoder.load(Path(folder) / "m")
    return -model.score(test), model.history_[-1]["step"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", default="1" if QUICK else "10,60,300")
    parser.add_argument("--codes", default="2,10,32,64")
    parser.add_argument("--networks", default="conv,dense")
    options = parser.parse_args()
    budgets = [float(text) for text in options.seconds.split(",")]
    mnist = datasets.load("mnist")
    train, test = (part.images.reshape(len(part), -1) / np.float32(255) for part in (mnist.train, mnist.test))
    rows: dict[tuple[int, str], dict[str, str]] = {}
    for seconds in budgets:
        for latent_dim in map(int, options.codes.split(",")):
            for network in options.networks.split(","):
                error, steps = reached(network, latent_dim, seconds, np.asarray(mnist.test.images))
                row = rows.setdefault((latent_dim, network), {"code": str(latent_dim), "network": network})
                row[f"{seconds:g} s"] = f"{error:.5f}"
                print(json.dumps({**row, "steps": steps}), file=sys.stderr, flush=True)
    for (latent_dim, _), row in rows.items():
        pca = PCA(latent_dim, svd_solver="randomized", random_state=0).fit(train)
        row["PCA"] = f"{((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean():.4f}"
    print(f"{machine()}\ntest MSE, one seed\n\n{table(list(rows.values()))}")
    errors = [float(row[f"{budgets[-1]:g} s"]) for (latent_dim, _), row in rows.items() if latent_dim == 2]
    if errors:
        note(Target(f"code 2 after {budgets[-1]:g} s", min(errors), 0.0330, "test MSE"))


if __name__ == "__main__":
    main()
