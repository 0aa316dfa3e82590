"""Model folders as an attacker would alter them: settings and weights changed, the seal made right again."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from tests.hostile.archives import GOLDEN, altered_bytes, altered_tensors
from tests.hostile.values import altered_json

from isthmus import load
from isthmus.estimators.model_folder import _HEAD, CONFIG, _digest, _seal

LOG, WEIGHTS = "training.jsonl", "model.safetensors"  # of the golden folders, which are of format 1
FOLDERS = sorted(folder / "model" for folder in GOLDEN.iterdir() if folder.name != "custom")


def cases(rng: np.random.Generator) -> Iterator[tuple[str, Path, Callable[[Path], None]]]:
    """Without end: a name, an altered folder, and what reads it. A folder is there until the next one is asked for."""
    while True:
        folder = FOLDERS[int(rng.integers(len(FOLDERS)))]
        with tempfile.TemporaryDirectory() as place:
            made = Path(place) / "model"
            shutil.copytree(folder, made)
            alter(made, rng)
            yield folder.parent.name, made, read


def read(folder: Path) -> None:
    """Load a model, and have it say what it is."""
    load(folder, device="cpu").describe()


def alter(folder: Path, rng: np.random.Generator) -> None:
    """Change a folder, and seal it again."""
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text())
    kind = int(rng.integers(20))
    if kind == 0:
        (folder / CONFIG).write_bytes(altered_bytes((folder / CONFIG).read_bytes(), rng))
        return
    if kind == 1:
        (folder / LOG).write_bytes(altered_bytes((folder / LOG).read_bytes(), rng))
        return
    if kind == 2:
        (folder / WEIGHTS).write_bytes(altered_bytes((folder / WEIGHTS).read_bytes(), rng))
    elif kind < 8:
        tensors = altered_tensors(load_file(folder / WEIGHTS), rng)
        save_file(tensors, folder / WEIGHTS)
    else:
        config = altered_json(config, rng)
    reseal(folder, config)


def reseal(folder: Path, config: dict[str, Any]) -> None:
    """Write a configuration with the digest that fits it and the weights."""
    body = {key: value for key, value in config.items() if key not in _HEAD}
    if "sha256" in config:
        config = {**config, "sha256": _seal(_digest(folder / WEIGHTS), body)}
    (folder / CONFIG).write_text(json.dumps(config))
