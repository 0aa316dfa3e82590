"""Model folders that travel: to the Hugging Face Hub and back, as they are."""

from __future__ import annotations

import tempfile
from pathlib import Path

from isthmus import __version__
from isthmus.estimators.model_contents import WEIGHTS_NAME
from isthmus.estimators.model_folder import copy_model
from isthmus.remote.hub import pinned, push, repository
from isthmus.remote.paths import as_path


def push_model(folder: str | Path, name: str, *, private: bool = False, token: str | None = None) -> str:
    """Push the files of a model to a repository of the hub, which is created where there is none.

    The settings, the weights, the log of the training and the card go as they are; reports and whatever else lies in
    the folder do not, for they show samples. Weights of an earlier model in the repository go in the same commit.

    name : "user/name". private, token : see `remote.hub.push`.
    Returns the address of the commit, hf://user/name@commit. Raises IsthmusError where the folder holds no whole model.
    """
    repository(name)  # before anything is copied
    with tempfile.TemporaryDirectory(prefix="isthmus-push-") as place:
        copy = copy_model(as_path(folder), Path(place, name.rpartition("/")[2]))
        files = {path.name: path for path in sorted(copy.iterdir())}
        message = f"A model of isthmus {__version__}"
        return push(files, name, replaces=WEIGHTS_NAME.fullmatch, private=private, token=token, message=message)


def pull_model(name: str, folder: str | Path | None = None) -> tuple[Path, str]:
    """Copy a model from the hub to a folder, its files checked as when it is loaded; nothing in them is executed.

    name : "user/name" or "user/name@revision". folder : by default that of `folder_for`.
    Returns the folder and the address of the commit, hf://user/name@commit.
    """
    target = folder_for(name) if folder is None else as_path(folder)
    address = pinned(repository(name))
    return copy_model(address, target), str(address)


def folder_for(name: str) -> Path:
    """The folder that a model of the hub is copied to by default: its name, without the user and the revision."""
    return Path(repository(name).parts[2].partition("@")[0])
