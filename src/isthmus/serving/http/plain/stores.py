"""The stores of codes that `similar` looks in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.serving.http.repository import Repository


def open_stores(paths: Mapping[str, str], repository: Repository) -> dict[str, Any]:
    """Stores, each an `isthmus.Store`, by the names of their models.

    paths : by the same names. Raises IsthmusError where there is no such model, or no store of that very model's codes.
    """
    if not paths:
        return {}
    from isthmus.latent.store import Store

    found = {}
    for name, path in paths.items():
        digest = repository.digest(name)
        found[name] = Store(path)
        if digest is not None:
            found[name].check_model(name, digest)
    return found
