"""A model on disk: a folder with config.json, model.safetensors, training.jsonl and README.md.

Nothing in it is ever executed. The configuration holds a digest of itself and of the weights, so that a folder whose
files were changed or do not belong together is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus import __version__
from isthmus.errors import IsthmusError, of_a_file
from isthmus.estimators.model_contents import FORMAT, read_log, read_settings, read_tensors
from isthmus.files import atomic_paths, to_json_lines
from isthmus.typed_json import typed

if TYPE_CHECKING:
    import numpy as np

_HEAD = ("format", "isthmus", "estimator", "sha256")  # keys of the configuration that are not the estimator's own
CONFIG, WEIGHTS, LOG, CARD = "config.json", "model.safetensors", "training.jsonl", "README.md"


@dataclass(frozen=True)
class StoredModel:
    """What a model folder holds.

    estimator : name of the class that wrote it. config : JSON values of that class. tensors : arrays by name.
    history : the entries of the training run.
    """

    estimator: str
    config: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    history: Sequence[Mapping[str, Any]]


def save_model(folder: str | Path, model: StoredModel, card: str) -> Path:
    """Write a model folder; other files in it are left alone.

    Nothing is replaced before everything is on the disk under temporary names, and the configuration comes last: what
    fails leaves the model that was there as it was. Raises IsthmusError where `folder` is a file or holds
    something that is no model.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    folder = Path(folder)
    check_target(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.ascontiguousarray(array) for name, array in model.tensors.items()}
    head = {"format": FORMAT, "isthmus": __version__, "estimator": model.estimator}
    try:
        paths = [folder / name for name in (WEIGHTS, LOG, CARD, CONFIG)]
        with atomic_paths(*paths) as (weights, log, readme, settings):
            save_file(tensors, weights, metadata={"format": "pt"})
            log.write_text(to_json_lines(model.history), encoding="utf-8")
            readme.write_text(card, encoding="utf-8")
            config = {**head, "sha256": _seal(_digest(weights), model.config), **model.config}
            settings.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    except SafetensorError as error:
        raise IsthmusError(f"cannot write {folder / WEIGHTS}: {error}") from error
    return folder


def check_target(folder: Path) -> None:
    """Refuse a place where a model cannot be written without harm to something else."""
    if folder.exists() and not folder.is_dir():
        raise IsthmusError(f"cannot save a model to {folder}: it is a file; name a folder")
    if (folder / CARD).exists() and not (folder / CONFIG).exists():
        raise IsthmusError(f"cannot save a model to {folder}: it has a {CARD} of something else; name another folder")


def described(folder: str | Path) -> dict[str, str] | None:
    """What a model says of itself, its files checked as in `load_model`; None where an earlier version wrote it.

    Needs neither torch nor the estimator.
    """
    rows = load_model(folder).config.get("description")
    where = f"{folder} is not a complete model: description"
    described: dict[str, str] | None = typed(rows, Mapping[str, str] | None, where)
    return described


def load_model(folder: str | Path, estimator: str | None = None) -> StoredModel:
    """Read a model folder; one clear line where it is absent, damaged, foreign or from a newer version.

    estimator : the class that must have written it, if it matters.
    """
    folder = Path(folder)
    config = read_config(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise IsthmusError(f"{folder} is not a complete model: {WEIGHTS} is missing")
    body = {key: value for key, value in config.items() if key not in _HEAD}
    if _seal(_digest(weights), body) != config["sha256"]:
        raise IsthmusError(
            f"{folder} is damaged: {WEIGHTS} and {CONFIG} do not belong together, or one of them was changed; copy the "
            f"folder again or train the model again"
        )
    tensors = read_tensors(weights)
    found = config["estimator"]
    if estimator not in (None, found):
        article = "an" if str(estimator).startswith("A") else "a"
        raise IsthmusError(f"{folder} holds a {found}, not {article} {estimator}; load it with {found}.load")
    log = folder / LOG
    return StoredModel(found, body, tensors, read_log(log.read_bytes()) if log.is_file() else [])


def complete_model(folder: str | Path) -> AbstractContextManager[None]:
    """Turn whatever a configuration with missing or foreign parts raises into one line that names the folder."""
    return of_a_file(f"{folder} is not a complete model")


def best_validation(history: Sequence[Mapping[str, Any]]) -> float | None:
    """The smallest validation loss of a run; None where there was no validation."""
    return min((e["validation_loss"] for e in history if e.get("validation_loss") is not None), default=None)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a model folder, its version checked."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        what = "does not exist" if not Path(folder).exists() else f"is not a model: it has no {CONFIG}"
        raise IsthmusError(f"{folder} {what}; give the folder that `isthmus train --output` or save() wrote")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IsthmusError(f"{path} is damaged ({error}); copy the folder again") from error
    return read_settings(content, Path(folder), CONFIG)


def _seal(weights: str, config: Mapping[str, Any]) -> str:
    """SHA-256 of the weights' digest and the estimator's configuration together."""
    return hashlib.sha256((weights + json.dumps(config, sort_keys=True)).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
