"""Makes keras_upsampling.npz: what Keras' UpSampling2D returns for a few small images.

Keras is not a dependency of isthmus. To make the file again, run this script in a virtual environment of its own,
once with each backend: JAX does not know "area", and TensorFlow reads the cubic kernel from a table of 1,024 entries,
which is too coarse to compare with.

    python -m venv keras-environment
    keras-environment/bin/pip install keras jax tensorflow-cpu
    KERAS_BACKEND=jax keras-environment/bin/python tests/networks/golden/make_keras_upsampling.py
    KERAS_BACKEND=tensorflow keras-environment/bin/python tests/networks/golden/make_keras_upsampling.py
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

SHAPES = [(1, 11, 7, 1), (2, 3, 4, 2), (1, 1, 6, 3), (1, 2, 35, 1)]  # (N, H, W, C)
METHODS = {"jax": ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"], "tensorflow": ["area"]}
FACTORS = [2, 3, 4]
FILE = Path(__file__).with_name("keras_upsampling.npz")


def main() -> None:
    backend = keras.backend.backend()
    arrays = {}
    if FILE.exists():
        with np.load(FILE, allow_pickle=False) as stored:
            arrays = dict(stored)
    versions = f"keras {keras.__version__}, {backend} {__import__(backend).__version__}"
    arrays[f"versions/{backend}"] = np.array(versions)
    rng = np.random.default_rng(0)
    for i, shape in enumerate(SHAPES):
        x = arrays[f"input/{i}"] = rng.random(shape, dtype=np.float32)
        for method in METHODS[backend]:
            for factor in FACTORS:
                layer = keras.layers.UpSampling2D(factor, data_format="channels_last", interpolation=method)
                arrays[f"{method}/{factor}/{i}"] = np.asarray(layer(x), dtype=np.float32)
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main()
