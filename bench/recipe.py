"""What each choice of the default recipe for images is worth: MNIST, code of 10, one choice changed at a time.

python bench/recipe.py [--epochs 1]
"""

from __future__ import annotations

import argparse
import time

from isthmus import AutoEncoder, datasets
from machine import machine, table

CHANGES: dict[str, dict[str, object]] = {
    "the default": {},
    "another seed": {"random_state": 1},
    "no dense layers before the code": {"hidden": ()},
    "AdamW in place of Muon": {"optimizer": "adam"},
    "Muon at half the learning rate": {"learning_rate": 0.02},
    "Muon at 1.5 times the learning rate": {"learning_rate": 0.06},
    "batches of 64": {"batch_size": 64},
    "ReLU in place of SiLU": {"activation": "relu"},
    "float32 in place of bfloat16": {"precision": "float32"},
    "no gradient clipping": {"gradient_clip": None},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=1)
    epochs = parser.parse_args().epochs
    mnist = datasets.load("mnist")
    rows = []
    for what, change in CHANGES.items():
        model = AutoEncoder(**{"latent_dim": 10, "epochs": epochs, "random_state": 0, **change})
        start = time.perf_counter()
        model.fit(mnist.train.images)
        seconds = time.perf_counter() - start
        error = -model.score(mnist.test.images)
        rows.append({"recipe": what, "test MSE": f"{error:.5f}", "seconds": f"{seconds:.0f}"})
        print(rows[-1], flush=True)
    print(f"\n{machine()}, {epochs} epoch(s)\n\n{table(rows)}")


if __name__ == "__main__":
    main()
