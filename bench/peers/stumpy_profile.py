"""The matrix profiles of series, in an environment that holds stumpy 1.14.1.

python bench/peers/stumpy_profile.py IN.npz OUT.npz, where IN has for each job x_JOB (n,) and settings_JOB: the window,
and how many of the first steps are compared with; all of them: a self-join. Writes the distance of each window for each
job, (n - window + 1,).
"""

from __future__ import annotations

import sys

import numpy as np
import stumpy

given, found = np.load(sys.argv[1]), {}
for job in (name[2:] for name in given.files if name.startswith("x_")):
    x = given[f"x_{job}"].astype(np.float64)
    window, train = given[f"settings_{job}"].tolist()
    profile = stumpy.stump(x, window) if train == len(x) else stumpy.stump(x, window, x[:train], ignore_trivial=False)
    distances = profile[:, 0].astype(np.float64)
    found[job] = np.where(np.isfinite(distances), distances, 0.0)
np.savez(sys.argv[2], **found)
