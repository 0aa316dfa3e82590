"""What two minutes of training reach on MNIST, beside PCA: the command line as a user runs it.

python bench/quality.py [--minutes 2]
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

RUNS = [
    ("conv", 10, 0.0135),
    ("dense", 10, 0.0135),
    ("conv", 2, 0.036),
    ("dense", 2, 0.036),
    ("conv", 32, 0.0060),
    ("dense", 32, 0.0060),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    minutes = parser.parse_args().minutes
    mnist = datasets.load("mnist")
    train, test = (part.images.reshape(len(part), -1) / np.float32(255) for part in (mnist.train, mnist.test))
    rows = []
    for network, latent_dim, target in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            command = f"isthmus train mnist --network {network} --latent-dim {latent_dim} --minutes {minutes:g}"
            subprocess.run(
                [sys.executable, "-m", *command.split(), "--quiet", "--no-report", "-o", f"{folder}/m"], check=True
            )
            model = AutoEncoder.load(Path(folder) / "m")
        pca = PCA(latent_dim, svd_solver="randomized", random_state=0).fit(train)
        linear = float(((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean())
        error = -model.score(mnist.test.images)
        rows.append(
            {
                "command": f"`{command}`",
                "test MSE": f"{error:.5f}",
                "asked for": f"{target:.4f}",
                "PCA": f"{linear:.4f}",
                "steps": f"{model.history_[-1]['step']:,}",
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    print(f"\n{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
