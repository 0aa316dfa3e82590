"""A model on disk: a folder with config.json, model-DIGEST.safetensors, training.jsonl and README.md.

Nothing in it is ever executed. The configuration names the file of the weights and holds a digest of itself and of
them, so that a folder whose files were changed or do not belong together is refused. A save puts new weights beside the
old ones; it is done when the configuration is replaced, at once, and the old weights go after that. Whoever is killed
on the way leaves the old model or the new one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus import __version__
from isthmus.errors import IsthmusError, of_a_file
from isthmus.estimators.model_contents import FORMAT, WEIGHTS_NAME, read_log, read_settings, read_tensors
from isthmus.files import check_replaceable, flush, replace, to_json_lines, workplace
from isthmus.remote.paths import RemotePath, as_path
from isthmus.typed_json import typed

if TYPE_CHECKING:
    import numpy as np

_HEAD = ("format", "isthmus", "estimator", "weights", "sha256")  # keys of the configuration, not the estimator's own
CONFIG, LOG, CARD = "config.json", "training.jsonl", "README.md"
_HISTORY = "history"  # of the run, in the metadata of the weights
_TRIES, _PAUSE = 100, 0.002  # of a reader that finds a model being replaced, and seconds between two of them


def kept_in(saved_as: str | Path | None, folder: Path) -> Path | None:
    """The folder of a model that its report names: as it was said, or the report's own where the model lies there."""
    if saved_as is not None:
        return as_path(saved_as)
    return folder if (folder / CONFIG).is_file() else None


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

    All is on the disk before anything is replaced, and one rename, of the configuration, makes the old model the new
    one. Of several writers one waits for the other. Raises IsthmusError where `folder` is a file or holds something
    that is no model.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    folder = as_path(folder)
    check_target(folder)
    tensors = {name: np.ascontiguousarray(array) for name, array in model.tensors.items()}
    log = to_json_lines(model.history)
    with workplace(folder, "model") as place:
        weights, config = place / "weights", place / CONFIG
        try:
            save_file(tensors, weights, metadata={"format": "pt", _HISTORY: log})
        except SafetensorError as error:
            raise IsthmusError(f"cannot write the weights of {folder}: {error}") from error
        digest = _digest(weights)
        name, seal = f"model-{digest[:16]}.safetensors", _seal(digest, model.config)
        head = dict(zip(_HEAD, (FORMAT, __version__, model.estimator, name, seal), strict=True))
        config.write_text(json.dumps({**head, **model.config}, indent=2) + "\n", encoding="utf-8")
        (place / LOG).write_text(log, encoding="utf-8")
        (place / CARD).write_text(card, encoding="utf-8")
        weights.rename(place / name)
        _replace(folder, place, name)
    return folder


def copy_model(source: Path, folder: Path) -> Path:
    """Copy the files of a model, and no others, to another folder, which then holds that model whole or the old one.

    Returns the folder. Raises IsthmusError where `source` holds no whole model, see `load_model`, or `folder` cannot
    take one.
    """
    check_target(folder)
    load_model(source)
    with workplace(folder, "model") as place:
        shutil.copyfile(source / CONFIG, place / CONFIG)
        weights = weights_of(read_config(place))
        shutil.copyfile(source / weights, place / weights)
        for name in (LOG, CARD):
            if (source / name).is_file():
                shutil.copyfile(source / name, place / name)
        _replace(folder, place, weights)
    return folder


def _replace(folder: Path, place: Path, weights: str) -> None:
    """Make the model in a workplace that of the folder. weights : the name of their file."""
    names = [name for name in (weights, CONFIG, LOG, CARD) if (place / name).exists()]
    for name in names:
        check_replaceable(folder / name)
        (place / name).chmod((place / CONFIG).stat().st_mode)  # a library may write files for this user alone
        flush(place / name)
    replace(place / weights, folder / weights)
    flush(folder)
    replace(place / CONFIG, folder / CONFIG)  # from here on the folder holds the new model
    flush(folder)
    for name in names[2:]:
        replace(place / name, folder / name)
    for path in folder.iterdir():
        if WEIGHTS_NAME.fullmatch(path.name) and path.name != weights:
            with suppress(OSError):  # a reader may have it open, where such files cannot be removed
                path.unlink()


def check_target(folder: Path) -> None:
    """Refuse a place where a model cannot be written without harm to something else."""
    if folder.exists() and not folder.is_dir():
        raise IsthmusError(f"cannot save a model to {folder}: it is a file; name a folder")
    if (folder / CARD).exists() and not (folder / CONFIG).exists():
        raise IsthmusError(f"cannot save a model to {folder}: it has a {CARD} of something else; name another folder")
    for name in (CONFIG, LOG, CARD):
        check_replaceable(folder / name)


def described(folder: str | Path, stored: StoredModel) -> dict[str, str] | None:
    """What a model of a folder says of itself; None where an earlier version wrote it."""
    rows = stored.config.get("description")
    where = f"{folder} is not a complete model: description"
    described: dict[str, str] | None = typed(rows, Mapping[str, str] | None, where)
    return described


def load_model(folder: str | Path, estimator: str | None = None) -> StoredModel:
    """Read a model folder; one clear line where it is absent, damaged, foreign or from a newer version.

    estimator : the class that must have written it, if it matters.
    """
    folder = as_path(folder)
    for attempt in range(_TRIES):
        config = read_config(folder)
        try:
            stored = _read_model(folder, config)
            break
        except FileNotFoundError as error:  # a writer has replaced the model since we read the configuration
            if attempt == _TRIES - 1:
                name = weights_of(config)
                raise IsthmusError(f"{folder} is not a complete model: {name} is missing") from error
            time.sleep(_PAUSE)
    if estimator not in (None, stored.estimator):
        found, article = stored.estimator, "an" if str(estimator).startswith("A") else "a"
        raise IsthmusError(f"{folder} holds a {found}, not {article} {estimator}; load it with {found}.load")
    return stored


def _read_model(folder: Path, config: Mapping[str, Any]) -> StoredModel:
    """The model of a configuration; FileNotFoundError where its weights are not there."""
    weights = folder / weights_of(config)
    if not weights.is_file():
        raise FileNotFoundError(weights)
    body = {key: value for key, value in config.items() if key not in _HEAD}
    if _seal(_digest(weights), body) != config["sha256"]:
        raise IsthmusError(
            f"{folder} is damaged: {weights.name} and {CONFIG} do not belong together, or one of them was changed; "
            f"copy the folder again or train the model again"
        )
    tensors, metadata = read_tensors(weights)
    log = metadata.get(_HISTORY, "").encode()
    if config["format"] == 1:
        log = (folder / LOG).read_bytes() if (folder / LOG).is_file() else b""
    return StoredModel(config["estimator"], body, tensors, read_log(log))


def weights_of(config: Mapping[str, Any]) -> str:
    """The name of the file in a model's folder that holds the weights."""
    return str(config["weights"]) if config["format"] != 1 else "model.safetensors"


def complete_model(folder: str | Path) -> AbstractContextManager[None]:
    """Turn whatever a configuration with missing or foreign parts raises into one line that names the folder."""
    return of_a_file(f"{folder} is not a complete model")


def best_validation(history: Sequence[Mapping[str, Any]]) -> float | None:
    """The smallest validation loss of a run; None where there was no validation."""
    return min((e["validation_loss"] for e in history if e.get("validation_loss") is not None), default=None)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a model folder, its version checked."""
    path = as_path(folder) / CONFIG
    if not path.is_file():
        if isinstance(path, RemotePath) and not path.parent.exists():
            raise IsthmusError(path.parent.absence())
        what = "does not exist" if not path.parent.exists() else f"is not a model: it has no {CONFIG}"
        raise IsthmusError(f"{folder} {what}; give the folder that `isthmus train --output` or save() wrote")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IsthmusError(f"{path} is damaged ({error}); copy the folder again") from error
    return read_settings(content, path.parent, CONFIG)


def _seal(weights: str, config: Mapping[str, Any]) -> str:
    """SHA-256 of the weights' digest and the estimator's configuration together."""
    return hashlib.sha256((weights + json.dumps(config, sort_keys=True)).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
