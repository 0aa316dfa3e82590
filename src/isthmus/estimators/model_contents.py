"""What the files of a model folder hold, read as untrusted input: settings, weights and the log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus import __version__
from isthmus.errors import IsthmusError, of_a_file
from isthmus.typed_json import MOST_JSON, read_json, typed

if TYPE_CHECKING:
    import numpy as np

FORMAT = 2  # 1: the weights were always called model.safetensors, and training.jsonl was part of the model
WEIGHTS_NAME = re.compile(r"model(-[0-9a-f]{16})?\.safetensors")
_MOST_ENTRY = 100  # values in a line of the log
_ENTRY = {
    "step": int,
    "epoch": int | float,
    "loss": float | None,
    "validation_loss": float | None,
    "learning_rate": float | None,
    "samples_per_second": float | None,
    "seconds": float | None,
}  # what a line of the log says


def read_settings(content: bytes, folder: Path, name: str) -> dict[str, Any]:
    """The configuration of a model folder; one clear line where it is none, or of another format.

    content : of the file `name` in `folder`.
    """
    path = folder / name
    config = read_json(content, f"{path} is damaged; copy the folder again: it")
    head = [config.get(key) for key in ("estimator", "sha256")] if isinstance(config, dict) else [None]
    if not all(isinstance(value, str) for value in head) or "format" not in config:
        raise IsthmusError(f"{path} is not the configuration of an isthmus model")
    if type(config["format"]) is not int or not 1 <= config["format"] <= FORMAT:
        raise IsthmusError(
            f"{folder} has model format {str(config['format'])[:60]} (written by isthmus "
            f"{str(config.get('isthmus'))[:60]}); this is isthmus {__version__}, which reads format 1 to {FORMAT}: "
            f"upgrade with pip install --upgrade isthmus"
        )
    if config["format"] != 1 and not WEIGHTS_NAME.fullmatch(str(config.get("weights"))):
        raise IsthmusError(f"{path} names no file with weights, as in model-0123456789abcdef.safetensors")
    checked: dict[str, Any] = config
    return checked


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a safetensors file, which are never larger than the file, and the texts beside them.

    One clear line where it is damaged; FileNotFoundError where there is none.
    """
    from safetensors import safe_open

    with of_a_file(f"{path} cannot be read; copy the folder again"):
        try:
            with safe_open(path, "np") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        except FileNotFoundError as error:
            gone = error
    raise gone


def parts_of(tensors: Mapping[str, np.ndarray], *names: str) -> dict[str, dict[str, np.ndarray]]:
    """Arrays that are called "part.name" by part and name; IsthmusError for one of a part that is not among `names`."""
    parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
    for name, array in tensors.items():
        part, _, rest = name.partition(".")
        if part not in parts:
            raise IsthmusError(f"the weights have {name[:100]}, which belongs to none of {', '.join(names)}")
        parts[part][rest] = array
    return parts


def read_log(content: bytes) -> list[dict[str, Any]]:
    """The training log; a line that is no entry of one ends it, since nothing but the report depends on it."""
    entries: list[dict[str, Any]] = []
    for line in content[:MOST_JSON].splitlines():
        try:
            entry = read_json(line, "an entry", most_values=_MOST_ENTRY)
            entries.append(_entry(entry))
        except IsthmusError:
            break
    return entries


def _entry(entry: Any) -> dict[str, Any]:
    values: dict[str, Any] = typed(entry, Mapping[str, int | float | str | bool | None], "an entry")
    for name, kind in _ENTRY.items():
        if name in values:
            typed(values[name], kind, name)
    return values
