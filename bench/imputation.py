"""How well hidden cells of real tables are found, beside other ways to fill holes.

python bench/imputation.py [--sets penguins,wine] [--seeds 3] [--rows 1000] [--how random,other] [--miceforest PYTHON]

Known cells are hidden: 20 % completely at random ("random"), or the more likely the larger the cell of another column
is ("other"). Of numbers, the root mean squared error in standard deviations; of categories, the share that is wrong;
means over columns. Every way's numbers are kept to the range and the decimals of their column, as a table needs them.
And the downstream test: the AUROC of a gradient-boosted classifier of the table's labels, which no way to fill sees,
that learns from one half of the filled rows and is judged by the other.
`--miceforest` names a Python in whose environment miceforest is (see bench/peers/miceforest_impute.py).
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import imputers

DATA = Path(os.environ.get("ISTHMUS_DATA", "data"))
TABLES = ("adult-train", "german", "horse-colic", "titanic", "penguins", "diamonds")
SCIKIT_LEARN = ("diabetes", "wine", "iris", "breast_cancer")
ADBENCH = ("6_cardio", "18_Ionosphere", "20_letter", "29_Pima", "38_thyroid")
_COPIES = {"titanic": ["class", "alive", "embark_town", "adult_male", "alone", "who"]}  # other columns in other words
_CODES = {"horse-colic": 12, "titanic": 3, "german": 4}  # whole numbers with at most so many values are codes
_LABELS = {
    "adult-train": "x14",
    "german": "x20",
    "horse-colic": "x22",
    "titanic": "survived",
    "penguins": "species",
    "diamonds": "price",
    "diabetes": "target",
    "wine": "target",
    "iris": "target",
    "breast_cancer": "target",
}  # of numbers: whether they are above the median
WAYS = ("isthmus", "mean_or_mode", "nearest", "ridge", "forests")


def table(name: str, rows: int) -> tuple[np.ndarray, list[int], np.ndarray]:
    """A data set as numbers and codes (n, columns), NaN where it has holes; how many categories a column has; labels.

    Labels are codes (n,), -1 where they are not known.
    """
    import pandas as pd

    if name in TABLES:
        from isthmus.data.table_files import read_table

        frame = read_table(DATA / "tables" / f"{name}.csv")[0].to_pandas().drop(columns=_COPIES.get(name, []))
        frame = frame.replace("?", None)
    elif name in SCIKIT_LEARN:
        from sklearn import datasets

        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    else:
        with np.load(DATA / "adbench" / f"{name}.npz") as file:
            frame = pd.DataFrame(file["X"]).assign(target=file["y"])
    frame = frame.sample(min(rows, len(frame)), random_state=0)
    label = frame.pop(_LABELS.get(name, "target"))
    labels = pd.Categorical(label > label.median() if name in ("diamonds", "diabetes") else label).codes.astype(int)
    columns, categories = [], []
    for _, column in frame.items():
        is_text = not pd.api.types.is_numeric_dtype(column) or column.dtype == bool
        distinct = column.nunique()
        is_code = distinct <= _CODES.get(name, 0) and bool((column.dropna() == column.dropna().round()).all())
        if distinct < 2 or (is_text and distinct > len(frame) / 2):
            continue
        codes = pd.Categorical(column).codes.astype(float)
        columns.append(np.where(codes < 0, np.nan, codes) if is_text or is_code else column.to_numpy(float))
        categories.append(distinct if is_text or is_code else 0)
    return np.stack(columns, 1), categories, labels


def hidden(X: np.ndarray, seed: int, how: str) -> np.ndarray:
    """Which known cells are hidden, bool (n, columns): a fifth of each column, and never all of a row."""
    rng = np.random.default_rng(seed)
    chance = np.full(X.shape, 0.2)
    if how == "other":
        other = np.roll(rng.permutation(X.shape[1]), 1)
        for j in range(X.shape[1]):
            values = np.nan_to_num(X[:, other[j]], nan=np.nanmedian(X[:, other[j]]))
            rank = np.argsort(np.argsort(values + 1e-9 * rng.standard_normal(len(X))))
            chance[:, j] = 0.4 * (rank + 0.5) / len(X)
    mask: np.ndarray = (rng.random(X.shape) < chance) & ~np.isnan(X)
    mask[np.flatnonzero((mask | np.isnan(X)).all(1))] = False
    return mask


def as_in_column(filled: np.ndarray, X: np.ndarray, categories: Sequence[int]) -> np.ndarray:
    """Numbers within the range and with the decimals of the known ones."""
    kept = filled.copy()
    for j, n in enumerate(categories):
        known = X[~np.isnan(X[:, j]), j]
        if not n:
            decimals = next((d for d in range(7) if np.array_equal(np.round(known, d), known)), 12)
            kept[:, j] = np.round(np.clip(filled[:, j], known.min(), known.max()), decimals)
    return kept


def errors(X: np.ndarray, filled: np.ndarray, mask: np.ndarray, categories: Sequence[int]) -> dict[str, float | None]:
    """The mean error of columns of numbers, and of categories."""
    found: dict[str, list[float]] = {"numbers": [], "categories": []}
    for j, n in enumerate(categories):
        rows = mask[:, j]
        if rows.any() and n:
            found["categories"].append(float(np.mean(filled[rows, j] != X[rows, j])))
        elif rows.any():
            deviation = np.nanstd(X[:, j])
            found["numbers"].append(float(np.sqrt(np.mean((filled[rows, j] - X[rows, j]) ** 2)) / deviation))
    return {kind: float(np.mean(values)) if values else None for kind, values in found.items()}


def cpu_seconds() -> float:
    """Of this process and those it started: all cores together, whatever else runs on the machine."""
    return sum(os.times()[:4])


def downstream(filled: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """AUROC of a gradient-boosted classifier on one half of the rows that learned from the other."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split

    X, y = filled[labels >= 0], labels[labels >= 0]
    train, test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=seed, stratify=y)
    chances = HistGradientBoostingClassifier(random_state=0).fit(train, y_train).predict_proba(test)
    return float(roc_auc_score(y_test, chances if chances.shape[1] > 2 else chances[:, 1], multi_class="ovr"))


def summary(results: list[dict[str, object]]) -> str:
    """A table in Markdown: the mean error per set and way, the mean rank, and the seconds."""
    ways = list(dict.fromkeys(str(result["way"]) for result in results))
    tasks: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for result in results:
        for kind in ("numbers", "categories"):
            if result[kind] is not None:
                cells = tasks.setdefault((str(result["set"]), str(result["how"]), kind), {})
                cells.setdefault(str(result["way"]), []).append(float(str(result[kind])))
    lines = ["| set | hidden | cells | " + " | ".join(ways) + " |", "|---" * (3 + len(ways)) + "|"]
    ranks: dict[str, list[float]] = {way: [] for way in ways}
    for (name, how, kind), cells in sorted(tasks.items()):
        means = {way: float(np.mean(values)) for way, values in cells.items()}
        for way in means:
            ranks[way].append(1 + sum(other < means[way] for other in means.values()))
        best = min(means.values())
        shown = (
            f"**{means[w]:.3f}**" if means.get(w) == best else f"{means[w]:.3f}" if w in means else "–" for w in ways
        )
        lines.append(f"| {name} | {how} | {kind} | " + " | ".join(shown) + " |")
    lines.append("| **mean rank** | | | " + " | ".join(f"{np.mean(ranks[w]):.2f}" for w in ways) + " |")
    seconds = {w: sum(float(str(r["seconds"])) for r in results if r["way"] == w) for w in ways}
    lines.append("| CPU seconds in total | | | " + " | ".join(f"{seconds[w]:,.0f}" for w in ways) + " |")
    lines += ["", *_downstream(results, ways)]
    return "\n".join(lines)


def _downstream(results: list[dict[str, object]], ways: list[str]) -> list[str]:
    """The AUROC of classifiers per way, and how far it is from the first way's, with the standard error over sets."""
    found = {(str(r["set"]), str(r["how"]), str(r["seed"]), str(r["way"])): float(str(r["auroc"])) for r in results}
    sets = sorted({name for name, *_ in found})

    def mean(name: str, way: str) -> float:
        return float(np.mean([v for (s, _, _, w), v in found.items() if (s, w) == (name, way)]))

    means = np.array([[mean(name, way) for way in ways] for name in sets])
    behind = means - means[:, :1]
    error = behind.std(0, ddof=1) / np.sqrt(len(sets))
    rows = {
        "AUROC of a classifier, mean over sets": means.mean(0),
        f"less that of {ways[0]}": behind.mean(0),
        "standard error of that": error,
    }
    lines = ["| downstream | " + " | ".join(ways) + " |", "|---" * (1 + len(ways)) + "|"]
    return lines + [f"| {name} | " + " | ".join(f"{v:.4f}" for v in row) + " |" for name, row in rows.items()]


def main() -> None:
    """Run what is asked for; results that --log holds already are not measured again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join((*TABLES, *SCIKIT_LEARN, *ADBENCH)))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--how", default="random,other")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--miceforest", metavar="PYTHON")
    parser.add_argument("--log", type=Path, help="JSON lines with the results, which a later run continues")
    options = parser.parse_args()
    ways: dict[str, imputers.Fill] = {name: getattr(imputers, name) for name in options.ways.split(",")}
    if options.miceforest:
        ways["miceforest"] = imputers.miceforest(options.miceforest)
    results: list[dict[str, object]] = []
    if options.log is not None and options.log.exists():
        results = [json.loads(line) for line in options.log.read_text().splitlines()]
    done = {(r["set"], r["how"], r["seed"], r["way"]) for r in results}
    for name in options.sets.split(","):
        X, categories, labels = table(name, options.rows)
        for how in options.how.split(","):
            for seed in range(options.seeds):
                mask = hidden(X, seed, how)
                given = np.where(mask, np.nan, X)
                for way, fill in ways.items():
                    if (name, how, seed, way) in done:
                        continue
                    started = cpu_seconds()
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        filled = fill(given, categories)
                    seconds = cpu_seconds() - started
                    filled = as_in_column(filled, given, categories)
                    found = errors(X, filled, mask, categories) | {"auroc": downstream(filled, labels, seed)}
                    result = {"set": name, "how": how, "seed": seed, "way": way, "seconds": seconds, **found}
                    results.append(result)
                    print(json.dumps(result), flush=True)
                    if options.log is not None:
                        with options.log.open("a") as file:
                            file.write(json.dumps(result) + "\n")
    print(summary(results))


if __name__ == "__main__":
    main()
