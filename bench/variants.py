"""Every up-sampling and every objective on MNIST, the same network, steps and seed: what each is good for.

python bench/variants.py upsamplings
python bench/variants.py objectives
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from isthmus import AutoEncoder, datasets
from isthmus.evaluation.metrics import reconstruction_metrics
from isthmus.registry import objectives, upsamplings
from machine import machine, table

SEEDS = (0,)


def measure(epochs: int, **settings: Any) -> dict[str, str]:
    """Figures of one setting on the test set, means over SEEDS."""
    mnist = datasets.load("mnist")
    found = []
    for seed in SEEDS:
        model = AutoEncoder(10, network="conv", epochs=epochs, random_state=seed, **settings)
        start = time.perf_counter()
        model.fit(mnist.train.images)
        seconds = time.perf_counter() - start
        test = mnist.test.images
        metrics = reconstruction_metrics(model.scale(test), model.scale(model.decode(model.encode(test))))
        found.append((metrics.mse, metrics.mae, metrics.psnr, metrics.ssim, seconds))
    mse, mae, psnr, ssim, seconds = np.mean(np.array(found, np.float64), axis=0)
    return {
        "MSE": f"{mse:.5f}",
        "MAE": f"{mae:.4f}",
        "PSNR (dB)": f"{psnr:.2f}",
        "SSIM": f"{ssim:.4f}",
        "seconds": f"{seconds:.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["upsamplings", "objectives"])
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    names = upsamplings.names() if options.what == "upsamplings" else objectives.names()
    rows = []
    for name in names:
        if options.what == "objectives":
            settings: dict[str, Any] = {"objective": name}
        else:
            settings = {"upsample": name, "downsample": "max-pool" if name == "max-unpool" else "stride"}
        rows.append({options.what.removesuffix("s"): f"`{name}`", **measure(options.epochs, **settings)})
        print(rows[-1], flush=True)
    print(f"\n{machine()}\n{options.epochs} epoch(s), seeds {SEEDS}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
