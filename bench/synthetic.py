"""Rows that never were: trained on synthetic, tested on real, beside TVAE and CTGAN at the same seconds.

python bench/synthetic.py [adult german diamonds] [--draws 3] [--peer-python PATH] [--fresh]

A gradient-boosted classifier (scikit-learn's, as it comes) is trained on real rows, and on as many synthetic ones; the
area under its ROC curve is measured on real rows that no generator saw: adult-test, or 30 % of german and diamonds
(is the price above the median?). Copies are rows that equal a training row in every cell; distances are those to the
nearest training row, numbers in standard deviations.

isthmus is trained as it comes. CTGAN and TVAE get the same seconds of the processor, those of one core, so that other
work on the machine changes nothing. They run in a virtual environment of their own, made on first use in .bench/, or in
that of --peer-python. Needs the tables in ISTHMUS_DATA/tables. What was drawn is kept in .bench/synthetic.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from isthmus import AutoEncoder
from machine import machine, table
from time_to_quality import ROOT, environment

FOLDER = ROOT / ".bench" / "synthetic"
HELD_OUT = 0.3
PEERS = ("TVAE", "CTGAN")
GERMAN = 20  # its columns before the label
ADULT = [
    *("age", "workclass", "weight", "education", "education-years", "marital-status", "occupation", "relationship"),
    *("race", "sex", "capital-gain", "capital-loss", "hours", "country", "income"),
]
Split = tuple[pd.DataFrame, pd.DataFrame]


def adult(folder: Path) -> Split:
    parts = []
    for part in ("train", "test"):
        frame = pd.read_csv(
            folder / f"adult-{part}.csv", names=ADULT, skipinitialspace=True, na_values="?", comment="|"
        )
        parts.append(frame.assign(income=frame["income"].str.strip(".")))
    return parts[0], parts[1]


def german(folder: Path) -> Split:
    frame = pd.read_csv(folder / "german.csv", names=[*(f"a{j}" for j in range(GERMAN)), "risk"])
    return split(frame.assign(risk=frame["risk"].map({1: "good", 2: "bad"})))


def diamonds(folder: Path) -> Split:
    return split(pd.read_csv(folder / "diamonds.csv"))


def split(frame: pd.DataFrame) -> Split:
    order = np.random.default_rng(0).permutation(len(frame))
    count = int(HELD_OUT * len(frame))
    test, train = (frame.iloc[rows].reset_index(drop=True) for rows in (order[:count], order[count:]))
    return train, test


TABLES = {"adult": (adult, "income"), "german": (german, "risk"), "diamonds": (diamonds, "price")}


def area(rows: pd.DataFrame, test: pd.DataFrame, label: str, median: float) -> float:
    """Under the ROC curve, on real rows, of a classifier that was trained on some rows."""

    def parts(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        features = frame.drop(columns=label)
        for name in features.columns[[not pd.api.types.is_numeric_dtype(d) for d in features.dtypes]]:
            known = sorted(test[name].dropna().unique())
            features[name] = pd.Categorical(features[name].where(features[name].isin(known)), categories=known)
        values = frame[label]
        is_number = pd.api.types.is_numeric_dtype(values)
        return features, np.asarray(values > median if is_number else values == max(test[label].unique()))

    features, labels = parts(rows)
    classifier = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
    classifier.fit(features, labels)
    features, labels = parts(test)
    return float(roc_auc_score(labels, classifier.predict_proba(features)[:, 1]))


def ours(name: str, train: pd.DataFrame, draws: int) -> tuple[list[pd.DataFrame], dict[str, Any]]:
    folder = FOLDER / f"{name}-isthmus"
    if not folder.exists():
        start = time.process_time()
        model = AutoEncoder(random_state=0).fit(train)
        seconds = time.process_time() - start
        model.save(folder)
        (folder / "seconds.txt").write_text(str(seconds))
    model = AutoEncoder.load(folder)
    rows = [model.sample(len(train), random_state=seed) for seed in range(draws)]
    return rows, {"seconds": float((folder / "seconds.txt").read_text())}


def theirs(
    kind: str, name: str, train: pd.DataFrame, seconds: float, draws: int, python: Path
) -> tuple[list[pd.DataFrame], dict[str, Any]]:
    """As many rows as draws ask for, of one training, and what the peer says of its run."""
    data, output, log = (FOLDER / f"{name}-{kind}{suffix}" for suffix in (".train.csv", ".csv", ".json"))
    categories = [c for c in train if not pd.api.types.is_numeric_dtype(train[c])]
    if not log.exists():
        train.to_csv(data, index=False)
        script = ROOT / "bench" / "peers" / "ctgan_rows.py"
        arguments = map(str, (data, output, kind, seconds, draws * len(train), 0, *categories))
        done = subprocess.run([python, script, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{kind} failed:\n{done.stderr}")
        log.write_text(done.stdout.splitlines()[-1])
        data.unlink()
    rows = pd.read_csv(output)
    n = len(train)
    parts = [rows.iloc[i * n : (i + 1) * n].reset_index(drop=True) for i in range(draws)]
    return parts, json.loads(log.read_text())


def measured(name: str, folder: Path, draws: int, python: Path | None) -> list[dict[str, str]]:
    make, label = TABLES[name]
    train, test = make(folder)
    median = float(train[label].median()) if pd.api.types.is_numeric_dtype(train[label]) else 0.0
    rows, run = ours(name, train, draws)
    found = {"isthmus": (rows, run)}
    for kind in PEERS:
        found[kind] = theirs(kind, name, train, run["seconds"], draws, python or environment("ctgan"))
    model = AutoEncoder.load(FOLDER / f"{name}-isthmus")
    both = pd.concat([train, test], ignore_index=True)
    lines = [line(name, "the real table", "", [area(train, test, label, median)])]
    for who, (drawn, told) in found.items():
        near = model.row_privacy(drawn[0], both)
        lines[0] |= {"copies": f"{near.usual_copies:.2%}", "distance": f"{near.usual_distance:.2f}"}
        areas = [area(part, test, label, median) for part in drawn]
        copies, distance = f"{near.copies:.2%}", f"{near.distance:.2f}"
        lines.append(line(name, who, f"{told['seconds']:.0f}", areas) | {"copies": copies, "distance": distance})
    return lines


def line(name: str, who: str, seconds: str, areas: list[float]) -> dict[str, str]:
    spread = f" ± {np.std(areas):.4f}" if len(areas) > 1 else ""
    return {"table": name, "rows from": who, "seconds": seconds, "AUROC": f"{np.mean(areas):.4f}{spread}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar=" | ".join(TABLES))
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--fresh", action="store_true", help="train again what was trained before")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(os.environ["ISTHMUS_DATA"]) / "tables"
    print(f"{machine()}\n")
    lines = [measured(name, folder, arguments.draws, arguments.peer_python) for name in arguments.tables or TABLES]
    print(table([line for part in lines for line in part]))


if __name__ == "__main__":
    main()
