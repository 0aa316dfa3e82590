"""The matrix profile of a series, in an environment that holds stumpy 1.14.1.

python bench/peers/stumpy_profile.py IN.npz OUT.npy, where IN has x (n,), window, and train: how many of the first steps
are compared with; all of them: a self-join. Writes the distance of each window, (n - window + 1,).
"""

from __future__ import annotations

import sys

import numpy as np
import stumpy

given = np.load(sys.argv[1])
x, window, train = given["x"].astype(np.float64), int(given["window"]), int(given["train"])
profile = stumpy.stump(x, window) if train == len(x) else stumpy.stump(x, window, x[:train], ignore_trivial=False)
distances = profile[:, 0].astype(np.float64)
np.save(sys.argv[2], np.where(np.isfinite(distances), distances, 0.0))
