"""Loading any model folder: its configuration names the estimator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.estimators.model_folder import read_config
from isthmus.registry import estimators
from isthmus.remote.hub import pinned
from isthmus.remote.paths import as_path


def load(folder: str | Path, *, device: Any = "auto", network: Any = None) -> Any:
    """The model in a folder that `save` wrote, whatever its kind. Nothing in the folder is executed.

    folder : on this machine or elsewhere, as "s3://bucket/model", or on the Hugging Face Hub, as "hf://user/name" or
    "hf://user/name@revision".
    device : where it is to compute. network : the modules (encoder, decoder) again, for a model that was made of
    modules of your own.

    Raises IsthmusError where the folder holds no model, one that was changed, or one of an unknown kind.

    Examples
    --------
    >>> from isthmus import AutoEncoder, datasets, load
    >>> X = datasets.load("digits").train.images
    >>> folder = AutoEncoder(4, epochs=1, random_state=0).fit(X[:200]).save("digits-4")
    >>> load(folder).transform(X).shape
    (1500, 4)
    """
    folder = pinned(as_path(folder))
    entry = estimators[read_config(folder)["estimator"]]
    return entry.estimator().load(folder, device=device, network=network)
