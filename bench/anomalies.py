"""How well strange rows of tables are found, beside other detectors; how well they are explained, and how fast.

python bench/anomalies.py [--sets 2_annthyroid,6_cardio] [--seeds 3] [--how clean,contaminated] [--pyod PYTHON]

Ten sets of ADBench (Han et al. 2022), whose labels only judge. "clean": trained on half of the normal rows, judged on
the other half and all anomalies; "contaminated": trained and judged on all rows. AUROC and average precision, means
over seeds. `--pyod` names a Python in whose environment PyOD is (see bench/peers/pyod_scores.py).

The explanations: one cell of a normal row that was not trained on is replaced by a value beyond 99 % of its column (or
below 1 %) of another row; the rank of that column among those that `explain` blames.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Literal

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from isthmus import AnomalyDetector

DATA = Path(os.environ.get("ISTHMUS_DATA", "data")) / "adbench"
EXPLAINED = ("6_cardio", "26_optdigits", "29_Pima", "30_satellite")
Scores = dict[str, tuple[np.ndarray, float]]  # of each way: scores (n,), seconds to learn


def split(name: str, how: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows to train on and to judge, float64 (n, columns) and (m, columns), and which of these are anomalies."""
    with np.load(DATA / f"{name}.npz") as file:
        X, y = file["X"].astype(np.float64), file["y"].astype(int)
    if how == "contaminated":
        return X, X, y
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))
    judged = np.concatenate([normal[len(normal) // 2 :], np.flatnonzero(y == 1)])
    return X[normal[: len(normal) // 2]], X[judged], y[judged]


def ours(train: np.ndarray, test: np.ndarray, how: str, seed: int) -> Scores:
    start = time.perf_counter()
    detector = AnomalyDetector(None if how == "clean" else "unknown", random_state=seed).fit(train)
    seconds = time.perf_counter() - start
    return {"isthmus": (-detector.score_samples(test), seconds)}


def peers(train: np.ndarray, test: np.ndarray, seed: int, python: str) -> Scores:
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, train=train, test=test, seed=seed)
        script = Path(__file__).parent / "peers" / "pyod_scores.py"
        subprocess.run([python, script, given, found], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with np.load(found) as file:
            return {name: (file[name], float(file[f"{name}.seconds"])) for name in file.files if "." not in name}


def compare(names: list[str], how: str, seeds: int, python: str | None) -> None:
    """A table in Markdown: AUROC / average precision for each set and way."""
    results: dict[str, dict[str, list[tuple[float, float, float]]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        for seed in range(seeds):
            train, test, y = split(name, how, seed)
            found = ours(train, test, how, seed) | (peers(train, test, seed, python) if python else {})
            for way, (scores, seconds) in found.items():
                scores = np.nan_to_num(scores)  # PyOD's PCA divides by 0 where a column is constant
                quality = roc_auc_score(y, scores), average_precision_score(y, scores)
                results[way][name].append((*quality, seconds))
    ways = list(results)
    print(f"\n{how}\n\n| set | {' | '.join(ways)} |\n|---|{'---|' * len(ways)}")
    means = {way: {name: np.mean(results[way][name], 0) for name in names} for way in ways}
    for name in names:
        cells = [f"{means[way][name][0]:.3f}/{means[way][name][1]:.3f}" for way in ways]
        print(f"| {name.partition('_')[2]} | {' | '.join(cells)} |")
    overall = {way: np.mean([means[way][name] for name in names], 0) for way in ways}
    print(f"| **mean** | {' | '.join(f'{overall[way][0]:.3f}/{overall[way][1]:.3f}' for way in ways)} |")
    print(f"| seconds to learn | {' | '.join(f'{overall[way][2]:.1f}' for way in ways)} |", flush=True)


def explain(names: list[str], seed: int = 0, rows: int = 200) -> None:
    """How often the column of a cell that was replaced is blamed first, and first or second."""
    for name in names:
        train, test, y = split(name, "clean", seed)
        detector = AnomalyDetector(random_state=seed).fit(train)
        rng = np.random.default_rng(seed)
        changed = test[y == 0][:rows].copy()
        low, high = np.quantile(train, [0.01, 0.99], axis=0)
        others = test[y == 0]
        is_tail = (others < low) | (others > high)
        columns = rng.choice(np.flatnonzero(is_tail.any(0)), len(changed))
        for row, column in enumerate(columns):
            tail = others[is_tail[:, column] & (others[:, column] != changed[row, column]), column]
            changed[row, column] = rng.choice(tail) if len(tail) else np.nan
        kept = ~np.isnan(changed).any(1)
        changed, columns = changed[kept], columns[kept]
        blamed = np.asarray(detector.explain(changed).scores)
        rank = (blamed > blamed[np.arange(len(changed)), columns][:, None]).sum(1)
        print(f"| {name.partition('_')[2]} | {np.mean(rank == 0):.1%} | {np.mean(rank <= 1):.1%} |", flush=True)


def speed(n: int = 10_000, columns: int = 30, judged: int = 100_000) -> None:
    """Seconds to learn a table, and rows that are judged in a second."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(judged, 6)) @ rng.normal(size=(6, columns)) + rng.normal(size=(judged, columns))
    shares: dict[str, Literal["unknown"] | None] = {"clean": None, "contaminated": "unknown"}
    for how, share in shares.items():
        start = time.perf_counter()
        detector = AnomalyDetector(share, random_state=0).fit(X[:n])
        middle = time.perf_counter()
        detector.score_samples(X)
        seconds = time.perf_counter() - middle
        print(f"{how}: {n:,} x {columns} learned in {middle - start:.1f} s; {judged / seconds:,.0f} rows/s are judged")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(sorted(path.stem for path in DATA.glob("*.npz"))))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--how", default="clean,contaminated")
    parser.add_argument("--pyod", metavar="PYTHON")
    given = parser.parse_args()
    speed()
    print("\n| set | guilty column first | first or second |\n|---|---|---|")
    explain([name for name in EXPLAINED if name in given.sets.split(",")])
    for how in given.how.split(","):
        compare(given.sets.split(","), how, given.seeds, given.pyod)


if __name__ == "__main__":
    main()
