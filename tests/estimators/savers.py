"""A process that saves models into one folder, over and over, until a test kills it.

python savers.py FOLDER
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

from isthmus.estimators.model_folder import StoredModel, load_model, save_model


def model(number: int) -> StoredModel:
    """A model that is `number` through and through."""
    weights = {"w": np.full((300, 300), number, np.float32)}
    return StoredModel("AutoEncoder", {"params": {"latent_dim": number}}, weights, [{"step": number, "epoch": 1}])


def number_of_whole(folder: Path) -> int:
    """The number of the model in a folder, all of which must be of it."""
    found = load_model(folder)
    number = int(found.config["params"]["latent_dim"])
    assert found.history == [{"step": number, "epoch": 1}]
    assert (found.tensors["w"] == number).all()
    return number


if __name__ == "__main__":
    for counter in itertools.count(1):
        save_model(sys.argv[1], model(counter % 7), "# a card\n")
        print(counter, flush=True)
