"""Resident memory and time of cleaning one huge image, on the command line, as a user does it.

python bench/denoise_memory.py [20000]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from isthmus import Denoiser
from machine import machine, table
from memory import peak_memory


def landscape(side: int) -> np.ndarray:
    """Waves with noise of 25 grey levels, uint8 (side, side), made in bands."""
    rng, image = np.random.default_rng(0), np.empty((side, side), np.uint8)
    columns = np.sin(np.arange(side, dtype=np.float32) / 40)
    for top in range(0, side, 500):
        rows = np.sin(np.arange(top, min(side, top + 500), dtype=np.float32) / 60)[:, None]
        band = 128 + 80 * rows * columns + 25 * rng.standard_normal((len(rows), side), np.float32)
        image[top : top + 500] = band.clip(0, 255).round()
    return image


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        crops = list(landscape(1000).reshape(10, 100, 10, 100).swapaxes(1, 2).reshape(100, 100, 100))
        Denoiser("gaussian:0.1", learn_from="noisy", size="small", epochs=1, random_state=0).fit(crops).save(
            place / "model"
        )
        for side in (most // 20, most // 4, most):
            Image.fromarray(landscape(side)).save(place / "noisy.png", compress_level=1)
            command = [sys.executable, "-m", "isthmus", "denoise", str(place / "model"), str(place / "noisy.png")]
            start = time.perf_counter()
            peak = peak_memory([*command, "-o", str(place / "clean.png"), "--overwrite"])
            rows.append(
                {
                    "image": f"{side:,} × {side:,}",
                    "file": f"{(place / 'noisy.png').stat().st_size / 1e6:,.0f} MB",
                    "largest resident memory": f"{peak / 1e6:,.0f} MB",
                    "time": f"{time.perf_counter() - start:,.0f} s",
                }
            )
            print(rows[-1], file=sys.stderr, flush=True)
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
