"""What the codec is measured on, and the models it is measured with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from isthmus import Codec, datasets
from isthmus.compression.codec import Mode, ObjectiveName
from targets import QUICK

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("ISTHMUS_DATA") or ROOT.parent / "shared" / "data")
MODELS = ROOT / ".bench" / ("codec-quick" if QUICK else "codec")
MINUTES = {"mnist": 20.0, "cifar": 3.0, "grey": 3.0}  # that each model without loss is trained for


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """Training and test images."""
    sets = datasets.load("mnist")
    some = 100 if QUICK else None
    return np.asarray(sets.train.images), np.asarray(sets.test.images[:some])


def cifar() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """8,000 and 2,000 of the 10,000 test images of CIFAR-10."""
    return _split(_cifar_files(), 8_000)


def cifar_with_labels() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The same, each with the names of their folders, which are their classes, as numbers."""
    order = np.random.default_rng(0).permutation(len(_cifar_files()))
    labels = np.unique([path.parent.name for path in _cifar_files()], return_inverse=True)[1][order]
    train, test = (np.stack(images) for images in cifar())
    return (train, labels[: len(train)]), (test, labels[len(train) :])


def _cifar_files() -> list[Path]:
    return _files("cifar10", "**/*.jp*g")


def grey() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """400 grey photographs to learn from, 12 others to judge on."""
    folders = (_files(name, "*.png") for name in ("bsd400", "set12"))
    train, test = ([np.asarray(Image.open(path).convert("L")) for path in paths] for paths in folders)
    return _few(train), _few(test)


def colour() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """160 colour photographs to learn from, 40 others."""
    return _split(_files("bsds500", "*.jpg"), 160)


def _split(paths: list[Path], count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    order = np.random.default_rng(0).permutation(len(paths))
    images = [np.asarray(Image.open(paths[i])) for i in order]
    return _few(images[:count]), _few(images[count:])


def _few(images: list[np.ndarray]) -> list[np.ndarray]:
    """Two small ones where figures do not matter."""
    return [image[:192, :192] for image in images[:2]] if QUICK else images


def _files(name: str, pattern: str) -> list[Path]:
    """The files of a data set in order, or the one line that says where they must be."""
    return sorted((DATA / name).glob(pattern)) or sys.exit(f"no {pattern} in {DATA / name}; ISTHMUS_DATA names another")


def trained(
    name: str, mode: Mode, minutes: float, images: Callable[[], object], *, objective: ObjectiveName = "mse"
) -> Codec:
    """The codec of that name, trained unless it was before (delete its folder in .bench/codec to train it again)."""
    folder = MODELS / name
    if not (folder / "config.json").exists():
        minutes = 0.02 if QUICK else minutes
        print(f"training {name} for {minutes:g} minutes ...", file=sys.stderr, flush=True)
        Codec(mode, objective=objective, minutes=minutes, random_state=0).fit(images()).save(folder)
    return Codec.load(folder)
