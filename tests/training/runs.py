"""Small runs of every estimator, as processes that a test may kill.

python runs.py KIND FOLDER [resume]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from isthmus import AnomalyDetector, AutoEncoder, Codec, Denoiser, Imputer, ManifoldMap

CHECKPOINT, MODEL = "run.safetensors", "model"


def strokes(n: int = 120, side: int = 9) -> np.ndarray:
    """Grey bars on black, uint8 (n, side, side)."""
    rng = np.random.default_rng(0)
    images = np.zeros((n, side, side), np.uint8)
    for image, row, level in zip(images, rng.integers(1, side - 2, n), rng.integers(60, 256, n), strict=True):
        image[row : row + 2, 1:-1] = level + rng.integers(-20, 1, (2, side - 2))
    return images


def noisy(n: int = 60) -> np.ndarray:
    """Noisy bars, float32 (n, 9, 9)."""
    images = strokes(n) / 255 + 0.1 * np.random.default_rng(1).standard_normal((n, 9, 9))
    return images.astype(np.float32)


def rows(n: int = 90) -> Any:
    """A table with words, numbers and holes."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    words, x = rng.integers(0, 3, n), rng.normal(size=n)
    columns = {"word": [None if i % 7 == 0 else "abc"[w] for i, w in enumerate(words)], "x": x + words, "y": x**2}
    return pa.table({**columns, "z": [None if i % 5 == 0 else v for i, v in enumerate((2 * x).tolist())]})


SETTINGS: dict[str, Any] = {"random_state": 5, "device": "cpu"}
KINDS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "autoencoder": (
        lambda: AutoEncoder(
            3, channels=(4, 8), corruption="gaussian:0.1", bottleneck="variational", consistency="warp",
            batch_size=8, epochs=5, **SETTINGS,
        ),
        strokes,
    ),
    "codec": (lambda: Codec(epochs=5, **SETTINGS), strokes),
    "lossy-codec": (lambda: Codec("lossy", epochs=8, **SETTINGS), lambda: strokes(70)),
    "denoiser": (lambda: Denoiser(size="small", epochs=12, **SETTINGS), noisy),
    "table": (lambda: AutoEncoder(2, hidden=(8,), batch_size=8, epochs=8, **SETTINGS), rows),
    "imputer": (lambda: Imputer(2, epochs=60, **SETTINGS), rows),
    "map": (lambda: ManifoldMap(hidden=(16, 16), n_neighbors=5, epochs=60, **SETTINGS), strokes),
    "detector": (lambda: AnomalyDetector(0.1, epochs=40, **SETTINGS), rows),
}  # fmt: skip


def run(kind: str, folder: Path, *, resume: bool = False, listeners: tuple[Callable, ...] = ()) -> Any:
    """Train one of `KINDS`, with a checkpoint after every step, and save it."""
    make, data = KINDS[kind]
    model = make().fit(
        data(), checkpoint=folder / CHECKPOINT, resume=resume, checkpoint_seconds=0.0, listeners=listeners
    )
    model.save(folder / MODEL)
    return model


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), resume="resume" in sys.argv[3:])
