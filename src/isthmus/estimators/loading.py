"""Any model folder, by what it says of itself."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from isthmus.errors import unknown_name
from isthmus.estimators.model_folder import read_config

ESTIMATORS = {
    "AutoEncoder": "isthmus.estimators.autoencoder",
    "Codec": "isthmus.compression.codec",
    "Denoiser": "isthmus.denoising.denoiser",
    "ManifoldMap": "isthmus.manifold.manifold_map",
}


def load(folder: str | Path, device: Any = "auto") -> Any:
    """The model in a folder that `save` wrote, of whichever kind it is. Nothing in the folder is executed.

    Raises IsthmusError where the folder holds no model, or one that was changed.
    """
    name = read_config(Path(folder))["estimator"]
    if name not in ESTIMATORS:
        raise unknown_name("estimator", name, tuple(ESTIMATORS))
    return getattr(importlib.import_module(ESTIMATORS[name]), name).load(folder, device=device)
