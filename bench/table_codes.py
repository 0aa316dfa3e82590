"""Codes of tables of words and numbers as features: beside PCA of numbers and one-hot words, with the same size.

python bench/table_codes.py [adult german titanic penguins diamonds] [--seeds 3] [--size 8]

The label is left out of the table: whether someone earns much, pays back, survived, what kind of penguin it is, whether
a diamond costs more than the median. What was learned from 70 % of the rows (at most 5,000 in all) encodes the
others; a logistic regression and the 5 nearest neighbours tell the labels of these. The peer is FAMD (Pagès 2004,
"Analyse factorielle de données mixtes"): PCA of standardised numbers and of one-hot words, each divided by the root of
its share; holes are filled with the mean, or are a word of their own. Accuracy in %, mean and standard deviation of
the seeds, each of which splits the rows anew.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from isthmus import AutoEncoder
from isthmus.evaluation.features import linear_probe, nearest_neighbours
from machine import machine, table
from synthetic import ADULT, GERMAN

ROWS, HELD_OUT = 5_000, 0.3
TITANIC = ["class", "alive", "embark_town", "adult_male", "alone", "who"]  # other columns, or the label, in other words


def read(name: str, folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """A table without its label, and the label."""
    if name == "adult":
        frame = pd.read_csv(folder / "adult-train.csv", names=ADULT, skipinitialspace=True, na_values="?")
        label = frame.pop("income")
    elif name == "german":
        frame = pd.read_csv(folder / "german.csv", names=[*(f"a{j}" for j in range(GERMAN)), "risk"])
        label = frame.pop("risk")
    elif name == "titanic":
        frame = pd.read_csv(folder / "titanic.csv").drop(columns=TITANIC)
        label = frame.pop("survived")
    elif name == "penguins":
        frame = pd.read_csv(folder / "penguins.csv")
        label = frame.pop("species")
    else:
        frame = pd.read_csv(folder / "diamonds.csv")
        price = frame.pop("price")
        label = price > price.median()
    rows = np.sort(np.random.default_rng(0).permutation(len(frame))[:ROWS])
    return frame.iloc[rows].reset_index(drop=True), np.unique(label.to_numpy()[rows], return_inverse=True)[1]


def famd(train: pd.DataFrame, test: pd.DataFrame, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of numbers and words, fitted to the first table: codes of both."""
    parts = []
    for name in train:
        if pd.api.types.is_numeric_dtype(train[name]) and train[name].dtype != bool:
            mean, deviation = train[name].mean(), train[name].std(ddof=0) or 1.0
            parts.append([((t[name].fillna(mean) - mean) / deviation).to_numpy()[:, None] for t in (train, test)])
            continue
        words = [t[name].fillna("none").astype(str).to_numpy(str)[:, None] for t in (train, test)]
        known = np.unique(words[0])
        shares = (words[0] == known).mean(0)
        parts.append([(w == known) / np.sqrt(shares) for w in words])
    fitted, others = (np.concatenate(part, 1) for part in zip(*parts, strict=True))
    pca = PCA(size).fit(fitted)
    return pca.transform(fitted), pca.transform(others)


def ours(train: pd.DataFrame, test: pd.DataFrame, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    model = AutoEncoder(size, random_state=seed).fit(train)
    return model.transform(train), model.transform(test)


def measured(name: str, folder: Path, seeds: int, size: int) -> dict[str, str]:
    frame, labels = read(name, folder)
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(frame))
        held = int(HELD_OUT * len(frame))
        train, test = (frame.iloc[rows].reset_index(drop=True) for rows in (order[held:], order[:held]))
        classes = labels[order[held:]], labels[order[:held]]
        for who, codes in (("isthmus", ours(train, test, size, seed)), ("FAMD", famd(train, test, size))):
            for judge, score in (("linear", linear_probe), ("5-NN", nearest_neighbours)):
                told = score(codes[0], classes[0], codes[1], classes[1])
                found.setdefault(f"{judge}, {who}", []).append(100 * told)
    common = max(np.bincount(labels)) / len(labels)
    scores = {judge: f"{np.mean(found[judge]):.1f} ± {np.std(found[judge]):.1f}" for judge in sorted(found)}
    return {"table": name, "rows": f"{len(frame):,}", "commonest": f"{common:.1%}"} | scores


def main() -> None:
    names = ("adult", "german", "titanic", "penguins", "diamonds")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar=" | ".join(names))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(os.environ["ISTHMUS_DATA"]) / "tables"
    print(f"{machine()}, codes of {arguments.size} numbers\n")
    print(table([measured(name, folder, arguments.seeds, arguments.size) for name in arguments.tables or names]))


if __name__ == "__main__":
    main()
