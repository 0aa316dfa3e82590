"""Writes the golden detectors that are not there yet; see make_models.py.

python tests/golden/make_detectors.py

The layers are narrowed with constants of that version, so that the files stay small.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isthmus import AnomalyDetector, datasets
from isthmus.anomalies import table_learning
from isthmus.networks import unet

MODELS = Path(__file__).parent / "models"


def table() -> Any:
    """Numbers, counts and words that hang together, with holes."""
    import pandas as pd

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=160), rng.integers(0, 3, 160)
    frame = pd.DataFrame({"size": (a + b).round(2), "count": rng.poisson(np.exp(a)), "kind": np.array(list("oea"))[b]})
    return frame.mask(rng.random(frame.shape) < 0.05)


def main() -> None:
    torch.set_num_threads(1)
    table_learning._NORMAL = dataclasses.replace(table_learning._NORMAL, hidden_units=8)
    unet.SIZES["small"] = ((4, 8), (1, 1))
    rows, images = table(), datasets.load("digits").train.images
    made = {"detector-rows": (rows[:140], rows[140:]), "detector-images": (images[:60], images[400:408])}
    for name, (train, new) in made.items():
        folder = MODELS / name
        if folder.exists():
            continue
        model = AnomalyDetector(epochs=5, random_state=0).fit(train)
        model.save(folder / "model")
        outputs = {method: np.asarray(getattr(model, method)(new)) for method in ("score_samples", "p_values")}
        if name == "detector-rows":
            new.to_csv(folder / "input.csv", index=False)
        else:
            np.save(folder / "input.npy", new)
            outputs["heat_maps"] = np.asarray(model.explain(new).scores)
        np.savez_compressed(folder / "outputs.npz", **outputs)  # type: ignore[arg-type]  # names of arrays


if __name__ == "__main__":
    main()
