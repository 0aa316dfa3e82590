"""The models of a server: by name and version, loaded again when their folders change."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isthmus.errors import IsthmusError
from isthmus.estimators.loading import load
from isthmus.estimators.model_folder import CONFIG, read_config
from isthmus.remote.paths import as_path
from isthmus.serving.http.limits import Refusal
from isthmus.serving.http.served import Served, served

ONLY = "1"  # the version of a model that has no others


class Repository:
    """The models that requests can name.

    models : by name: a fitted model, its folder, or a folder of folders that are called by whole numbers, its versions.
    device : where models of folders compute.

    Names are fixed when the server starts: no request says where anything is read.

    Raises IsthmusError where a folder holds no model, or a name is not valid.
    """

    def __init__(self, models: Mapping[str, Any], device: str = "auto") -> None:
        if not models:
            raise IsthmusError("there is no model to serve; give at least one")
        for name in models:
            if not name or not all(letter.isalnum() or letter in "-_." for letter in name):
                raise IsthmusError(f"{name!r} cannot be part of an address; use letters, numbers, -, _ and .")
        self._given, self._device = dict(models), device
        self._loading = threading.Lock()
        self._digests: dict[str, str] = {}
        self._versions = {name: self._load(name) for name in models}

    def __iter__(self) -> Any:
        """All models, of each name in the order of their versions."""
        return (one for versions in list(self._versions.values()) for one in versions.values())

    def find(self, name: str, version: str | None = None) -> Served:
        """A model, by default its latest version; `Refusal` (404) where there is none."""
        versions = self._versions.get(name)
        if versions is None:
            raise Refusal(404, f"there is no model {name[:60]!r}; there are: {', '.join(self._versions)}")
        if version is None:
            return next(reversed(versions.values()))
        if version not in versions:
            raise Refusal(404, f"{name!r} has no version {version[:20]!r}; there are: {', '.join(versions)}")
        return versions[version]

    def versions(self, name: str) -> list[str]:
        """The versions of a model, the latest one last."""
        self.find(name)
        return list(self._versions[name])

    def reload(self, name: str) -> None:
        """Load a model's folder again. Requests that have begun keep the old one; all do if that fails."""
        self.find(name)
        with self._loading:
            self._versions[name] = self._load(name)

    def names(self) -> Sequence[str]:
        """The names of all models."""
        return list(self._versions)

    def digest(self, name: str) -> str | None:
        """The digest of the latest version's folder, as stores of codes know their model; None for one in memory."""
        self.find(name)
        return self._digests.get(name)

    def _load(self, name: str) -> dict[str, Served]:
        given = self._given[name]
        if not isinstance(given, str | Path):
            return {ONLY: served(name, ONLY, given)}
        folder = as_path(given)
        numbered = []
        if not (folder / CONFIG).is_file() and folder.is_dir():
            numbered = sorted((int(path.name), path) for path in folder.iterdir() if _is_version(path))
        versions = [(str(number), path) for number, path in numbered] or [(ONLY, folder)]
        self._digests[name] = str(read_config(versions[-1][1])["sha256"])
        return {version: served(name, version, load(path, device=self._device)) for version, path in versions}


def _is_version(path: Path) -> bool:
    return path.name.isascii() and path.name.isdigit() and (path / CONFIG).is_file()
