"""What each choice of the default recipe is worth: one changed at a time, over four kinds of data.

python bench/recipe.py

MNIST (30,000 images, one epoch), scikit-learn's digits (20 epochs), and from ISTHMUS_DATA CIFAR-10 in colour (8,000
of its test images to learn from, the other 2,000 to judge by, three epochs) and ADBench's satellite table (a fifth
of it to judge by, 20 epochs). Codes of 10, 10, 64 and 4 numbers; errors in scaled units.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from isthmus import AutoEncoder, datasets
from isthmus.data.sources import open_source
from isthmus.estimators import recipe
from machine import machine, table

CHANGES: dict[str, dict[str, Any]] = {
    "the default": {},
    "another seed": {"random_state": 1},
    "AdamW in place of Muon": {"optimizer": "adam"},
    "Muon on blocks of 128 rows": {"_BLOCK": 128},
    "half the learning rate": {"learning_rate": 0.015},
    "double the learning rate": {"learning_rate": 0.06},
    "half the batch": {"batch": 0.5},
    "double the batch": {"batch": 2},
    "linear output": {"output": "linear"},
    "bounded output": {"output": "bounded"},
    "no dense layers before the code": {"hidden": ()},
    "ReLU in place of SiLU": {"activation": "relu"},
    "no gradient clipping": {"gradient_clip": None},
}


def data() -> dict[str, tuple[np.ndarray, np.ndarray, dict[str, Any]]]:
    """By name: what to learn from, what to judge by, settings."""
    mnist, digits = datasets.load("mnist"), datasets.load("digits")
    found = {
        "MNIST": (np.array(mnist.train.images[:30_000]), mnist.test.images, {"latent_dim": 10, "epochs": 1}),
        "digits": (digits.train.images, digits.test.images, {"latent_dim": 10, "epochs": 20}),
    }
    folder = Path(os.environ.get("ISTHMUS_DATA", "."))
    if (folder / "cifar10").is_dir():
        cifar = open_source(folder / "cifar10")
        images = cifar.take(np.random.default_rng(0).permutation(len(cifar)))
        found["CIFAR-10"] = (images[:8_000], images[8_000:], {"latent_dim": 64, "epochs": 3})
    if (folder / "adbench").is_dir():
        with np.load(folder / "adbench" / "30_satellite.npz") as file:
            rows = file["X"][np.random.default_rng(0).permutation(len(file["X"]))].astype(np.float32)
        fifth = len(rows) // 5
        found["satellite"] = (rows[fifth:], rows[:fifth], {"latent_dim": 4, "epochs": 20})
    return found


def error(train: np.ndarray, test: np.ndarray, settings: dict[str, Any], change: dict[str, Any]) -> float | None:
    """Mean squared error on the test samples; None where the change means nothing."""
    settings = {"random_state": 0, **settings, **change}
    factor, output, block = (settings.pop(name, None) for name in ("batch", "output", "_BLOCK"))
    table_data = train.ndim == 2
    if table_data and (output == "bounded" or settings.get("hidden") == ()):
        return None
    if factor:
        n, features = round(0.9 * len(train)), train[0].size
        usual = recipe.default_batch_size("dense" if table_data else "conv", n, features)
        settings["batch_size"] = round(factor * usual)
    with contextlib.ExitStack() as patches:
        if output:
            patches.enter_context(patch("isthmus.estimators.autoencoder.output", lambda model, source: output))
        if block:
            patches.enter_context(patch("isthmus.training.optimizers._BLOCK", block))
        return -AutoEncoder(**settings).fit(train).score(test)


def main() -> None:
    sets = data()
    rows = []
    for what, change in CHANGES.items():
        found = {name: error(train, test, settings, change) for name, (train, test, settings) in sets.items()}
        rows.append({"recipe": what} | {name: "" if e is None else f"{e:.5f}" for name, e in found.items()})
        print(rows[-1], flush=True)
    print(f"\n{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
