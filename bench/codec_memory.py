"""Resident memory and time of compressing more and more generated images, from a file, as a user does it.

python bench/codec_memory.py [1000000]      needs: pip install '.[compress]'
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from isthmus import datasets
from machine import machine, table
from memory import peak_memory
from targets import QUICK


def write_digits(path: Path, n: int) -> None:
    """n digits of 8 × 8, those of scikit-learn with a little noise, all different."""
    digits, rng = datasets.load("digits").train.images, np.random.default_rng(0)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, 8, 8))
    for start in range(0, n, 10_000):
        part = digits[rng.integers(0, len(digits), min(10_000, n - start))].astype(np.int16)
        array[start : start + len(part)] = np.clip(part + 16 * rng.integers(-1, 2, part.shape), 0, 255)
    array.flush()


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else (1_000 if QUICK else 1_000_000)
    isthmus, rows = [sys.executable, "-m", "isthmus"], []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        train = ["train-codec", "digits", "--lossless", "--epochs", "3", "-q", "-o", str(place / "codec")]
        peak_memory([*isthmus, *train])
        for n in (most // 100, most // 10, most):
            data, archive = place / f"{n}.npy", place / f"{n}.isth"
            write_digits(data, n)
            start = time.perf_counter()
            written = peak_memory([*isthmus, "compress", str(place / "codec"), str(data), "-o", str(archive)])
            middle = time.perf_counter()
            read = peak_memory([*isthmus, "verify", str(archive), "--model", str(place / "codec")])
            rows.append(
                {
                    "images": f"{n:,}",
                    "compress": f"{middle - start:.0f} s",
                    "memory": f"{written / 1e6:,.0f} MB",
                    "verify": f"{time.perf_counter() - middle:.0f} s",
                    "memory ": f"{read / 1e6:,.0f} MB",
                    "bytes an image": f"{archive.stat().st_size / n:.1f}",
                }
            )
            data.unlink()
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
