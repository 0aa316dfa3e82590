"""Anomaly scores by PyOD, in an environment of its own: pip install pyod==3.6.7 torch==2.13.0.

python bench/peers/pyod_scores.py IN.npz OUT.npz, where IN has train (n, columns), test (m, columns) and seed. OUT has
the scores (m,) and the seconds of each way. Columns are standardised as the training data say, as is usual; the rest
is PyOD's own defaults.
"""

import sys
import time

import numpy as np
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.models.lof import LOF
from pyod.models.pca import PCA
from sklearn.preprocessing import StandardScaler


def main(source: str, target: str) -> None:
    with np.load(source) as file:
        train, test, seed = file["train"], file["test"], int(file["seed"])
    is_same = train.shape == test.shape and np.array_equal(train, test)
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    ways = {
        "AutoEncoder": lambda: AutoEncoder(random_state=seed, verbose=0),
        "kNN": lambda: KNN(),
        "LOF": lambda: LOF(),
        "IForest": lambda: IForest(random_state=seed),
        "ECOD": lambda: ECOD(),
        "PCA": lambda: PCA(random_state=seed),
    }
    found = {}
    for name, make in ways.items():
        start = time.perf_counter()
        model = make().fit(train)
        found[f"{name}.seconds"] = time.perf_counter() - start
        found[name] = model.decision_scores_ if is_same else model.decision_function(test)
    np.savez(target, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
