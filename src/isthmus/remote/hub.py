"""Repositories of models on the Hugging Face Hub: which commit an address means, and files that become a new commit.

Files of a repository are read like all other files elsewhere, by a `RemotePath` of `hf://`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.errors import IsthmusError
from isthmus.remote.paths import RemotePath, as_path
from isthmus.remote.stores import check_scheme, patiently

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_ADDRESS = re.compile(
    r"hf://(?P<kind>datasets/|spaces/)?(?P<name>[^/@]+/[^/@]+)(@(?P<revision>refs/(?:pr|convert)/\w+|[^/]+))?(?P<rest>/.*)?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAIN = "main"


def repository(name: str) -> RemotePath:
    """The address of "user/name" or "user/name@revision", with or without hf:// before it.

    Raises IsthmusError for anything else, and where huggingface_hub is not installed.
    """
    address = f"hf://{name.removeprefix('hf://')}"
    found = _ADDRESS.fullmatch(address)
    if found is None or not _NAME.fullmatch(found["name"]) or found["kind"] or found["rest"]:
        raise IsthmusError(f"{name!r} is no repository of the hub; give user/name or user/name@revision")
    path = as_path(address)
    assert isinstance(path, RemotePath)
    return path


def pinned(path: Path) -> Path:
    """An address of the hub at the commit that its revision means now; any other path as it is.

    All that is read below the result is of one commit, whatever is pushed meanwhile. Raises IsthmusError where there is
    no such repository or revision.
    """
    found = _ADDRESS.fullmatch(path.address) if isinstance(path, RemotePath) else None
    if found is None or _COMMIT.fullmatch(found["revision"] or ""):
        return path
    check_scheme("hf")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    kind, name, revision = found["kind"] or "", found["name"], found["revision"] or _MAIN

    def ask() -> str:
        try:
            return str(HfApi().repo_info(name, revision=revision, repo_type=kind.removesuffix("s/") or None).sha)
        except RevisionNotFoundError:
            raise IsthmusError(
                f"hf://{kind}{name} has no revision {revision!r}; give a branch, a tag or a commit"
            ) from None
        except RepositoryNotFoundError:
            raise _unknown(f"{kind}{name}") from None

    commit = patiently(str(path), ask)
    return as_path(f"hf://{kind}{name}@{commit}{found['rest'] or ''}")


def push(
    files: dict[str, Path], name: str, *, replaces: Callable[[str], Any], private: bool, token: str | None, message: str
) -> str:
    """Make files the newest commit of a repository of models, which is created where there is none.

    files : by their names there. replaces : whether a file of that name that is already there is to be removed.
    private : whether only its owner sees the repository. token : a write token; by default HF_TOKEN or
    that of `hf auth login`.

    Returns the address of the commit, hf://user/name@commit. Raises IsthmusError where the repository cannot be
    written, and where it can be seen by everybody while `private` is asked for.
    """
    address = repository(name)
    name = str(address).removeprefix("hf://")
    if "@" in name:
        raise IsthmusError(f"cannot push to {name!r}: a push makes the next revision of a repository; give user/name")
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    hub: HfApi = HfApi(token=token)

    def commit() -> str:
        hub.create_repo(name, private=private, exist_ok=True)
        if private and not hub.repo_info(name).private:
            raise IsthmusError(f"{address} can be seen by everybody; make it private on the hub or name another one")
        gone = [there for there in hub.list_repo_files(name) if there not in files and replaces(there)]
        new = [CommitOperationAdd(there, file) for there, file in files.items()]
        old = [CommitOperationDelete(there) for there in gone]
        return str(hub.create_commit(name, [*new, *old], commit_message=message).oid)

    return f"{address}@{patiently(str(address), commit, to='written')}"


def _unknown(name: str) -> IsthmusError:
    return IsthmusError(
        f"there is no repository hf://{name}, or it is private: set HF_TOKEN to a token that may read it"
    )
