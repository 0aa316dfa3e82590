"""Checkpoints as an attacker would alter them: state and tensors changed, the digest made right again."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tests.hostile.archives import altered_bytes, altered_tensors
from tests.hostile.values import altered_json

from isthmus import AutoEncoder
from isthmus.training.checkpoint import _digest
from isthmus.training.progress import Event

X = np.random.default_rng(0).normal(size=(40, 4))
KINDS: dict[str, dict[str, Any]] = {  # parameters of runs
    "plain": {},
    "noise and a variational code": {"corruption": "gaussian:0.1", "bottleneck": "variational", "batch_size": 16},
}


def cases(rng: np.random.Generator) -> Iterator[tuple[str, Path, Callable[[Path], Any]]]:
    """Without end: a name, an altered checkpoint, and what resumes from it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        whole = {kind: _begin(kind, folder / f"{number}") for number, kind in enumerate(KINDS)}
        while True:
            kind = list(KINDS)[int(rng.integers(len(KINDS)))]
            path, codes = whole[kind]
            made = folder / "altered"
            if rng.random() < 0.2:
                made.write_bytes(altered_bytes(path.read_bytes(), rng))
                yield f"{kind}, bytes", made, functools.partial(_resume_exactly, kind, codes)
            else:
                _alter(path, made, rng)
                yield kind, made, functools.partial(_fit, kind)


def _fit(kind: str, path: Path, **more: Any) -> AutoEncoder:
    model = AutoEncoder(2, hidden=(3,), epochs=3, random_state=0, device="cpu", **KINDS[kind])
    return model.fit(X, checkpoint=path, **{"resume": True, **more})


def _begin(kind: str, path: Path) -> tuple[Path, np.ndarray]:
    """The checkpoint of half a run, and the codes of the model that it ends in."""

    def keep(event: Event) -> None:
        if event.progress < 0.7:
            shutil.copy(path, half)

    half = path.with_name(f"{path.name}-half")
    path.touch()
    model = _fit(kind, path, resume=False, checkpoint_seconds=0.0, listeners=(keep,))
    return half, model.transform(X)


def _resume_exactly(kind: str, codes: np.ndarray, path: Path) -> None:
    """What the digest lets through must be what was written."""
    np.testing.assert_array_equal(_fit(kind, path).transform(X), codes)


def _alter(path: Path, made: Path, rng: np.random.Generator) -> None:
    """Write a checkpoint of which a value or a tensor is another one, with a right digest."""
    with safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if rng.random() < 0.6:
        metadata["state"] = json.dumps(altered_json(json.loads(metadata["state"]), rng))
    else:
        arrays = altered_tensors({name: tensor.numpy() for name, tensor in tensors.items()}, rng)
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    metadata["sha256"] = _digest(metadata["state"], tensors)
    save_file(tensors, made, metadata=metadata)
