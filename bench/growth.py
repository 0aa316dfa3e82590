"""Time and resident memory as the work grows: 10³ to 10⁷ samples, and images from 28² to 1024² pixels.

python bench/growth.py [--most 10000000] [--plot docs/images/growth.png]

Every point is a process of its own: one epoch of training on a file that is mapped into memory, then the codes of all
its samples, block by block. Memory is what the process holds at its fullest beyond what it held before the data came.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from isthmus import AutoEncoder
from machine import machine, table
from targets import QUICK

SIDES = (28, 64) if QUICK else (28, 64, 128, 256, 512, 1024)
PIXELS = 1 << 18 if QUICK else 1 << 24  # of all images together, so that every size has the same work


def write(path: Path, shape: tuple[int, ...]) -> None:
    """A .npy file of uint8 images with something to learn: a few numbers make each of them."""
    rng = np.random.default_rng(0)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    y, x = np.mgrid[: shape[1], : shape[2]] / shape[1]
    size = max(1, (1 << 22) // (shape[1] * shape[2]))
    for start in range(0, shape[0], size):
        a, b, c = rng.random((3, min(size, shape[0] - start), 1, 1), dtype=np.float32)
        array[start : start + size] = 127 + 120 * np.sin(6 * (a * x + b * y + c))
    array.flush()


def peak() -> int:
    """Largest resident set of this program so far, bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # the other figure counts, on Linux, the process that started this one
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def one(path: str, settings: dict[str, Any]) -> None:
    """In a process of its own: train, encode, and print what that took."""
    AutoEncoder(2, epochs=1).fit(np.zeros((64, 8), np.float32))
    before = peak()
    model = AutoEncoder(8, epochs=1, random_state=0, **settings)
    start = time.perf_counter()
    model.fit(path)
    middle = time.perf_counter()
    for _ in model.iter_encode(path):
        pass
    end = time.perf_counter()
    print(json.dumps({"fit": middle - start, "encode": end - middle, "memory": peak() - before}))


def point(folder: str, shape: tuple[int, ...], **settings: Any) -> dict[str, Any]:
    path = Path(folder) / "data.npy"
    write(path, shape)
    command = [sys.executable, __file__, "--one", str(path), json.dumps(settings)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    path.unlink()
    print(shape, found, file=sys.stderr, flush=True)
    return {"shape": shape, **found}


def plot(samples: list[dict[str, Any]], images: list[dict[str, Any]], path: Path) -> None:
    """Both series: seconds, and memory."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 5.6), layout="constrained")
    panels = (
        (samples, [p["shape"][0] for p in samples], "samples of 8 × 8 pixels"),
        (images, [p["shape"][1] for p in images], f"side of the images, {PIXELS / 1e6:.0f} million pixels in all"),
    )
    for column, (points, x, label) in zip(axes.T, panels, strict=True):
        for name, colour in (("fit", "#2a6f97"), ("encode", "#e07a5f")):
            column[0].plot(x, [p[name] for p in points], "o-", color=colour, label=name)
        column[0].set(xscale="log", yscale="log", ylabel="seconds")
        column[0].legend(frameon=False)
        column[1].plot(x, [p["memory"] / 1e6 for p in points], "o-", color="#52796f")
        column[1].set(xscale="log", ylabel="memory beyond the start, MB", xlabel=label)
        column[1].set_ylim(bottom=0)
        if points is images:
            for axis in column:
                axis.set_xticks(x, [str(side) for side in x])
                axis.minorticks_off()
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=10**3 if QUICK else 10**7)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one[0], json.loads(options.one[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        counts = [10**e for e in range(3, 8) if 10**e <= options.most]
        samples = [point(folder, (n, 8, 8), network="dense", batch_size=512) for n in counts]
        images = [point(folder, (max(1, PIXELS // side**2), side, side), network="conv") for side in SIDES]
    rows = [
        {
            "data": " × ".join(f"{n:,}" for n in p["shape"]),
            "fit, s": f"{p['fit']:.1f}",
            "encode, s": f"{p['encode']:.1f}",
            "memory, MB": f"{p['memory'] / 1e6:.0f}",
        }
        for p in samples + images
    ]
    print(f"{machine()}\n\n{table(rows)}")
    if options.plot:
        plot(samples, images, options.plot)


if __name__ == "__main__":
    main()
