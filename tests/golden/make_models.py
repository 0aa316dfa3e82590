"""Writes the golden model folders that are not there yet, each with an input and what the model made of it.

A golden model is written once, by the version that it stands for, and every later version must load it to the same
outputs (tests/estimators/test_golden_models.py). Those of `models/` are of 0.1.0 before the rooms, commit ee258b7:

    git worktree add ../old ee258b7
    PYTHONPATH=../old/src python tests/golden/make_models.py

The layers are narrowed with that version's own constants, so that the files stay small.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from isthmus import AutoEncoder, Codec, Denoiser, ManifoldMap, datasets
from isthmus.denoising.denoiser import LearnFrom

MODELS = Path(__file__).parent / "models"
IMAGES = datasets.load("digits").train.images
TRAIN, NEW = IMAGES[:400], IMAGES[400:412]
CLEAN = (TRAIN / 255).astype(np.float32)
SMALL: dict[str, Any] = {"epochs": 4, "random_state": 0}
TINY_CONV: dict[str, Any] = {"channels": (4, 8), "hidden": (8,), **SMALL}

# A model, the input, what it makes of it by the method's name, and a codec's archives.
Made = tuple[Any, Any, dict[str, np.ndarray], *tuple[bytes, ...]]


def main() -> None:
    torch.set_num_threads(1)
    _narrow()
    for name, make in MAKERS.items():
        folder = MODELS / name
        if folder.exists():
            continue
        model, X, outputs, *archives = make()
        model.save(folder / "model")
        if isinstance(X, pd.DataFrame):
            X.to_csv(folder / "input.csv", index=False)
        else:
            np.save(folder / "input.npy", X)
        np.savez_compressed(folder / "outputs.npz", **outputs)  # type: ignore[arg-type]  # names of arrays, not `allow_pickle`
        for number, archive in enumerate(archives):
            (folder / f"{number}.isth").write_bytes(archive)


def _narrow() -> None:
    """Narrow layers for what has no argument for them; a model folder says how wide its layers are."""
    denoiser: Any = importlib.import_module("isthmus.networks.denoiser")
    denoiser.SIZES["small"] = ((8, 12), (1, 1))
    learning: Any = importlib.import_module("isthmus.estimators.codec_fit")
    learning._LEVELS |= {"radius": 2.3, "skew": 1, "hidden": 16, "entries": 8}
    learning._TONES |= {"radius": 2.3, "skew": 1, "hidden": 16}
    lossy: Any = importlib.import_module("isthmus.estimators.lossy")
    lossy._FLAT |= {"codes": 16, "groups": 2, "hidden": 16}
    for recipe in (lossy._PATCHES, lossy._FINE, lossy._INK):
        recipe |= {"codes": min(recipe["codes"], 8), "hidden": 16, "repair": 4}
    lossy.default_channels = lambda shape: (4, 8)


def _auto_encoder(**arguments: Any) -> Made:
    return _coded(AutoEncoder(3, **{**TINY_CONV, **arguments}).fit(TRAIN), NEW)


def _coded(model: Any, X: Any) -> Made:
    return model, X, {"transform": model.transform(X), "reconstruct": np.asarray(model.reconstruct(X))}


def _table() -> Made:
    rng = np.random.default_rng(0)
    t = rng.uniform(-2, 2, 400)
    columns = {"length": t, "area": t**2 + 7, "weight": 1000 * np.sin(t), "noise": 0.1 * rng.standard_normal(400)}
    X = pd.DataFrame(columns).round(6)
    return _coded(AutoEncoder(2, hidden=(16, 8), **SMALL).fit(X[:380]), X[380:])


def custom_network() -> tuple[nn.Module, nn.Module]:
    """Modules of somebody's own, which whoever loads the model brings again."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 3))
    decoder = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)))
    return encoder, decoder


def _custom() -> Made:
    return _coded(AutoEncoder(3, network=custom_network(), **SMALL).fit(TRAIN), NEW)


def _map() -> Made:
    return _coded(ManifoldMap(hidden=(16, 8), epochs=4, random_state=0).fit(TRAIN), NEW)


def _denoiser(X: np.ndarray, noise: str | None, learn_from: LearnFrom = "auto") -> Made:
    model = Denoiser(noise, learn_from=learn_from, size="small", **SMALL).fit(X)
    new = X[:8]
    denoised, std = model.denoise(new, return_std=True)
    return model, new, {"denoise": denoised, "std": std}


def _rows() -> Made:
    rng = np.random.default_rng(1)
    return _denoiser(CLEAN + 0.2 * rng.standard_normal((*CLEAN.shape[:2], 1)).astype(np.float32), "rows", "noisy")


def _salt_and_pepper() -> Made:
    rng = np.random.default_rng(2)
    noisy = np.where(rng.random(TRAIN.shape) < 0.1, 255 * rng.integers(0, 2, TRAIN.shape), TRAIN).astype(np.uint8)
    return _denoiser(noisy, "salt-and-pepper:0.1", "noisy")


def _codec(X: np.ndarray, new: int, qualities: tuple[float | None, ...] = (None,), **arguments: Any) -> Made:
    model = Codec(**{**SMALL, **arguments}).fit(X)
    archives = [model.compress(X[:new], quality=quality) for quality in qualities]
    return model, X[:new], {str(i): model.decompress(archive) for i, archive in enumerate(archives)}, *archives


def _photographs() -> np.ndarray:
    """Smooth colours with some noise, without a background, larger than what gets a flat code, (6, 70, 16, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:70, :16]
    waves = [128 + 90 * np.sin(x / rng.uniform(4, 9, (6, 1, 1)) + y / rng.uniform(4, 9, (6, 1, 1))) for _ in range(3)]
    return (np.stack(waves, -1) + rng.normal(0, 4, (6, 70, 16, 3))).astype(np.uint8)


MAKERS: dict[str, Callable[[], Made]] = {
    "conv": lambda: _auto_encoder(),
    "table": _table,
    "variational": lambda: _auto_encoder(bottleneck="variational:0.01"),
    "spatial": lambda: _auto_encoder(latent_channels=2, hidden=None, upsample="pixel-shuffle"),
    "max-unpool": lambda: _auto_encoder(downsample="max-pool", upsample="max-unpool"),
    "custom": _custom,
    "map": _map,
    "denoiser-clean": lambda: _denoiser(CLEAN, "gaussian:0-0.4"),
    "denoiser-rows": _rows,
    "denoiser-salt-and-pepper": _salt_and_pepper,
    "codec-levels": lambda: _codec(TRAIN, 12),
    "codec-tones": lambda: _codec(_photographs(), 2, epochs=20),
    "codec-lossy-two-parts": lambda: _codec(TRAIN, 12, (5, 50, 95), mode="lossy"),
    "codec-lossy-patches": lambda: _codec(_photographs(), 2, (20, 80), mode="lossy"),
}

if __name__ == "__main__":
    main()
