"""Resident memory of training on a generated 10 GB file: the command line as a user runs it.

python bench/memory.py [--gigabytes 10]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from machine import machine, table

SIDE = 28


def write_images(path: Path, size: int) -> int:
    """A .npy file of `size` bytes of float32 images, most of them zero and so not on the disk; their number."""
    n = size // (4 * SIDE * SIDE)
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, SIDE, SIDE))
    rng = np.random.default_rng(0)
    for start in range(0, n, max(1, n // 50)):
        images[start : start + 64] = rng.random((min(64, n - start), SIDE, SIDE))
    images.flush()
    return n


def peak_memory(command: list[str]) -> int:
    """Run a command; its largest resident set in bytes."""
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=10.0)
    size = int(parser.parse_args().gigabytes * 1e9)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "images.npy"
        n = write_images(data, size)
        for network in ("dense", "conv"):
            arguments = ["train", str(data), "--network", network, "--latent-dim", "8", "--minutes", "0.3"]
            peak = peak_memory(
                [sys.executable, "-m", "isthmus", *arguments, "--quiet", "-o", str(Path(folder) / network)]
            )
            rows.append(
                {
                    "network": network,
                    "file": f"{size / 1e9:.0f} GB, {n:,} images",
                    "largest resident memory": f"{peak / 1e6:.0f} MB",
                }
            )
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
