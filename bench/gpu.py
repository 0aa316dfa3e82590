"""What a GPU is worth: training and inference by network and precision, and archives between GPU and CPU.

python bench/gpu.py

Where there is no GPU it says so in one line.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from isthmus import AutoEncoder, Codec
from isthmus.training.progress import Event
from machine import machine, table
from scale import images

NETWORKS: dict[str, dict[str, Any]] = {
    "dense, the default": {"network": "dense"},
    "conv, the default": {"network": "conv"},
    "conv 64-128-256": {"network": "conv", "channels": (64, 128, 256)},
    "conv 64-128-256, batch 1024": {"network": "conv", "channels": (64, 128, 256), "batch_size": 1024},
}
PRECISIONS = "float32", "TF32", "bfloat16"
SECONDS, COUNT = 10.0, 65_536


def trained(X: np.ndarray, settings: dict[str, Any], precision: str, device: str) -> tuple[AutoEncoder, float]:
    """A model, and the samples a second of its training without the first second."""
    torch.set_float32_matmul_precision("high" if precision == "TF32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "TF32"
    marks: list[tuple[int, float]] = []

    def note(event: Event) -> None:
        if event.entry:
            if device == "cuda":
                torch.cuda.synchronize()
            marks.append((event.entry["step"], time.perf_counter()))

    kind: Literal["bfloat16", "float32"] = "bfloat16" if precision == "bfloat16" else "float32"
    model = AutoEncoder(10, minutes=SECONDS / 60, precision=kind, device=device, random_state=0, **settings)
    model.fit(X, listeners=[note])
    late = [mark for mark in marks if mark[1] - marks[0][1] > 1]
    assert model.training_spec_ is not None
    steps, seconds = (b - a for a, b in zip(late[0], late[-1], strict=True))
    return model, model.training_spec_.batch_size * steps / seconds


def speeds(X: np.ndarray) -> list[dict[str, Any]]:
    """Samples a second by network, device and precision."""
    found = []
    cases = [("cpu", "float32"), *(("cuda", precision) for precision in PRECISIONS)]
    for (name, settings), (device, precision) in itertools.product(NETWORKS.items(), cases):
        model, rate = trained(X, settings, precision, device)
        model.transform(X[:1024])
        start = time.perf_counter()
        model.transform(X)
        encoded = len(X) / (time.perf_counter() - start)
        where = {"network": name, "device": device, "precision": precision}
        found.append({**where, "training": f"{rate:,.0f}/s", "encoding": f"{encoded:,.0f}/s"})
    return found


def archives(X: np.ndarray) -> list[dict[str, Any]]:
    """Whether what one device compresses the other one gives back."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        for mode in ("lossless", "lossy"):
            folder = Path(name) / mode
            Codec(mode, minutes=0.5, device="cuda", random_state=0).fit(X).save(folder)
            for here, there in (("cuda", "cpu"), ("cpu", "cuda")):
                archive = Codec.load(folder, device=here).compress(X)
                back = np.asarray(Codec.load(folder, device=there).decompress(archive))
                same = np.asarray(Codec.load(folder, device=here).decompress(archive))
                apart = int(np.abs(back.astype(int) - same.astype(int)).max())
                right = "yes" if mode == "lossy" or np.array_equal(back, X) else "NO"
                found.append({"codec": mode, "from": here, "to": there, "decoded": right, "largest difference": apart})
    return found


if __name__ == "__main__":
    if not torch.cuda.is_available():
        print("bench/gpu.py: there is no CUDA GPU here, so there is nothing to measure")
    else:
        X = images(count=COUNT)
        print(f"{machine()}\n\n{table(speeds(X))}\n\n{table(archives(X[:2000]))}")
