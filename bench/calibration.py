"""How sure a detector's alarms are: p-values, false discoveries, contaminated training data, and drift.

python bench/calibration.py p-values [--sets 30_satellite,...] [--splits 50] [--rows 1500] [--epochs 5]
python bench/calibration.py groups [--splits 50]
python bench/calibration.py drift [--streams 1000]
python bench/calibration.py steps [--splits 50]

p-values: a random 60 % of a set's normal rows are learned from, at most `--rows`; the others, and as many anomalies as
make a tenth, are judged. Uniform: Kolmogorov-Smirnov of the p-values of normal rows at a level of 5 %, for as many
samples as test and calibration rows together are worth, n m / (n + m). Contaminated: 3 % of the rows learned from are
anomalies. "Trimmed" leaves out the share that is known to be anomalies, "second pass" learns again without those that a
first detector finds strangest, for comparison: the package does neither.
groups: split conformal (half of 150 normal rows held out) beside cross-conformal p-values of small tables, the mean
distance to the 3 nearest rows as strangeness.
drift: streams of ten columns that go together, each with calibration rows of its own, under one trained detector.
Alarms on 10,000 exchangeable rows; then half a standard deviation is added to one column, and rows until the alarm are
counted. The same with normal rows of real tables, in a random order.
steps: series without anomalies, 3,000 steps learned from and 950 judged, windows of 50.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.signal import lfilter

from isthmus import AnomalyDetector, DriftMonitor
from isthmus.anomalies.calibration import Calibration, benjamini_hochberg
from isthmus.anomalies.martingale import Martingale
from isthmus.anomalies.stretches import block_maxima, chance_of_false_alarm, stretch_p_value
from isthmus.errors import IsthmusWarning

DATA = Path(os.environ.get("ISTHMUS_DATA", "data")) / "adbench"
SETS = ("2_annthyroid", "25_musk", "27_PageBlocks", "30_satellite")
FDR, HIGH = 0.1, 0.4
COLUMNS = 10
SMALL = ("18_Ionosphere", "29_Pima", "6_cardio", "30_satellite")


def split(name: str, seed: int, contaminated: float, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows to learn from, rows to judge, and which of these are anomalies."""
    with np.load(DATA / f"{name}.npz") as file:
        X, y = file["X"].astype(np.float64), file["y"]
    rng = np.random.default_rng(seed)
    normal, strange = rng.permutation(np.flatnonzero(y == 0)), rng.permutation(np.flatnonzero(y == 1))
    learned = min(rows, int(0.6 * len(normal)))
    mixed_in = int(contaminated / (1 - contaminated) * learned)
    if mixed_in > len(strange) // 2:
        mixed_in = len(strange) // 2
        learned = int(mixed_in * (1 - contaminated) / contaminated)
    train = rng.permutation(np.concatenate([normal[:learned], strange[:mixed_in]]))
    judged = normal[int(0.6 * len(normal)) :]
    odd = strange[mixed_in:][: len(judged) // 9]
    return X[train], X[np.concatenate([judged, odd])], np.arange(len(judged) + len(odd)) >= len(judged)


def trimmed(calibration: Calibration, share: float) -> Calibration:
    """The same without its strangest samples."""
    kept = calibration.scores <= np.quantile(calibration.scores, 1 - share)
    return Calibration.of(calibration.scores[kept], calibration.groups[kept])


def uniform(p: np.ndarray, calibration: int) -> bool:
    """Whether p-values from so many calibration samples pass as uniform at a level of 5 %."""
    from scipy.stats import kstest, kstwobign

    worth = len(p) * calibration / (len(p) + calibration)
    return bool(kstwobign.sf(kstest(p, "uniform").statistic * np.sqrt(worth)) >= 0.05)


def p_values(sets: list[str], splits: int, most: int, epochs: int | None) -> None:
    """Tables in Markdown: uniformity and rates for each set, with and without contamination."""
    high = f"{HIGH:.0%}"
    heads = ("set", "trained on", "contamination", "calibrated by", "not uniform", "p <= 0.01")
    print("| " + " | ".join((*heads, "false discoveries", "found", f"false at {high}", f"found at {high}")) + " |")
    print("|" + "---|" * (len(heads) + 4))
    cases: tuple[tuple[float, Literal["unknown"] | None], ...] = ((0.0, None), (0.03, None), (0.03, "unknown"))
    for name in sets:
        for contaminated, contamination in cases:
            rows: dict[str, list[tuple[float, ...]]] = {}
            for seed in range(splits):
                train, test, odd = split(name, seed, contaminated, most)
                detector = AnomalyDetector(contamination, epochs=epochs, random_state=seed).fit(train)
                strangeness = detector._strangeness(detector._open(test))
                ways = {str(contamination): detector.calibration_}
                if contamination:
                    ways["(trimmed)"] = trimmed(detector.calibration_, contaminated)
                judged = {way: (calibration, calibration.p_values(strangeness)) for way, calibration in ways.items()}
                if contaminated and contamination is None:
                    judged |= second_pass(detector, train, test, contaminated, epochs, seed)
                for way, (calibration, p) in judged.items():
                    at = [benjamini_hochberg(p, level) for level in (FDR, HIGH)]
                    figures = (
                        len(calibration.scores),
                        not uniform(p[~odd], len(calibration.scores)),
                        (p[~odd] <= 0.01).mean(),
                        *(f for found in at for f in ((found & ~odd).sum() / max(1, found.sum()), found[odd].mean())),
                    )
                    rows.setdefault(way, []).append(tuple(float(figure) for figure in figures))
            learned_from = f"{contaminated:.0%} anomalies" if contaminated else "normal rows"
            for way, results in rows.items():
                size, rejected, at_1, *rates = np.mean(results, 0)
                cells = " | ".join(f"{rate:.1%}" for rate in rates)
                print(
                    f"| {name} | {learned_from} | {way} | {size:,.0f} | {rejected:.0%} | {at_1:.2%} | {cells} |",
                    flush=True,
                )


def second_pass(
    detector: AnomalyDetector, train: np.ndarray, test: np.ndarray, share: float, epochs: int | None, seed: int
) -> dict[str, tuple[Calibration, np.ndarray]]:
    """What comes of learning again without the share of rows that the detector itself finds strangest.

    Calibrations and p-values of test rows: where these rows do not count, and where they do.
    """
    scores = detector.score_samples(train)
    kept = scores >= np.quantile(scores, share)
    again = AnomalyDetector(epochs=epochs, random_state=seed).fit(train[kept])
    strangeness, own = again._strangeness(again._open(test)), again.calibration_
    left_out = again._strangeness(again._open(train[~kept]))
    group = np.arange(left_out.shape[1]) % len(left_out)
    whole = Calibration.of(
        np.concatenate([own.scores, left_out[group, np.arange(len(group))]]), np.concatenate([own.groups, group])
    )
    ways = {"(second pass, without)": own, "(second pass, all count)": whole}
    return {way: (calibration, calibration.p_values(strangeness)) for way, calibration in ways.items()}


def groups(splits: int) -> None:
    """A table in Markdown: what one, 5 and 20 groups come to."""
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    def strangeness(learned: np.ndarray, judged: np.ndarray) -> np.ndarray:
        distances: np.ndarray = NearestNeighbors(n_neighbors=3).fit(learned).kneighbors(judged)[0].mean(1)
        return distances

    print("| set | groups | p <= 0.05 | p <= 0.1 | false discoveries at 20 % | found |\n|---|---|---|---|---|---|")
    for name in SMALL:
        for number in (1, 5, 20):
            results = []
            for seed in range(splits):
                train, test, odd = split(name, seed, 0.0, 150)
                scaler = StandardScaler().fit(train)
                train, test = scaler.transform(train), scaler.transform(test)
                group = np.arange(len(train)) % max(2, number)
                held_out = [strangeness(train[group != g], train[group == g]) for g in range(number)]
                new = np.stack([strangeness(train[group != g], test) for g in range(number)])
                scores = np.concatenate(held_out)
                p = Calibration.of(scores, np.repeat(np.arange(number), [len(s) for s in held_out])).p_values(new)
                found = benjamini_hochberg(p, 0.2)
                at = [(p[~odd] <= level).mean() for level in (0.05, 0.1)]
                results.append((*at, (found & ~odd).sum() / max(1, found.sum()), found[odd].mean()))
            cells = " | ".join(f"{figure:.1%}" for figure in np.mean(results, 0))
            print(f"| {name} | {number} | {cells} |", flush=True)


def rows_of(n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows (n, columns) whose columns go together."""
    factors = rng.normal(size=(n, 3)) @ np.sin(np.arange(3 * COLUMNS).reshape(3, COLUMNS))
    x: np.ndarray = factors + rng.normal(size=(n, COLUMNS))
    return x


def highest(detector: AnomalyDetector, seed: int, calibration: int, n: int, change: int | None) -> np.ndarray:
    """Logarithms of the martingale along a stream of n rows, of which one column moves from row `change` on."""
    rng = np.random.default_rng(seed)
    x = rows_of(calibration + n, rng)
    if change is not None:
        column = seed % COLUMNS
        x[calibration + change :, column] += 0.5 * x[:calibration, column].std()
    statistics = np.column_stack([*detector._strangeness(detector._open(x)), x])
    logs = Martingale([*statistics[:calibration].T], seed).after(statistics[calibration:])
    mean: np.ndarray = np.logaddexp.reduce(logs, 1) - np.log(logs.shape[1])
    return mean


def drift(streams: int, epochs: int | None) -> None:
    """Tables in Markdown: false alarms, and rows until a change is found."""
    detector = AnomalyDetector(epochs=epochs, random_state=0).fit(rows_of(2000, np.random.default_rng(10**6)))
    start = time.process_time()
    found = np.array([highest(detector, seed, 500, 10_000, None).max() for seed in range(streams)])
    seconds = time.process_time() - start
    print("| alpha | streams of 10,000 rows with a false alarm |\n|---|---|")
    for alpha in (0.1, 0.05, 0.01, 0.001):
        print(f"| {alpha:g} | {(found >= -np.log(alpha)).mean():.2%} of {streams:,} |")
    print(f"\n{streams * 10_000 / seconds:,.0f} rows a CPU second, scores included\n")
    print("| calibration rows | change after | median rows until alarm | 90 % within | never |\n|---|---|---|---|---|")
    for calibration in (200, 500, 2000):
        for change in (0, 1000, 5000):
            delays = []
            for seed in range(max(10, streams // 10)):
                alarms = np.flatnonzero(highest(detector, seed, calibration, change + 2000, change) >= np.log(100))
                alarms = alarms[alarms >= change]
                delays.append(alarms[0] - change + 1 if len(alarms) else np.inf)
            middle, most = np.quantile(delays, [0.5, 0.9], method="higher")
            never = np.isinf(delays).mean()
            print(f"| {calibration:,} | {change:,} | {middle:,.0f} | {most:,.0f} | {never:.0%} |", flush=True)


def drift_of_tables(sets: list[str], streams: int, epochs: int | None) -> None:
    """A table in Markdown: what a monitor of a detector of 1,500 normal rows finds in the others."""
    print("\n| set | columns | false alarms before | median rows until alarm | 90 % within | never |")
    print("|---|---|---|---|---|---|")
    for name in sets:
        with np.load(DATA / f"{name}.npz") as file:
            X = file["X"][file["y"] == 0].astype(np.float64)
        X = X[:, X.std(0) > 0]
        false, delays = 0, []
        for seed in range(streams):
            rows = np.random.default_rng(seed).permutation(X)
            before, after = rows[1500 : (len(X) + 1500) // 2], rows[(len(X) + 1500) // 2 :]
            after[:, seed % X.shape[1]] += 0.5 * rows[:1500, seed % X.shape[1]].std()
            detector = AnomalyDetector(epochs=epochs, random_state=seed).fit(rows[:1500])
            monitor = DriftMonitor(detector, random_state=seed)
            false += monitor.update(before).alarm
            since = monitor.update(after).since
            delays.append(np.inf if since is None else since - len(before) + 1)
        middle, most = np.quantile(delays, [0.5, 0.9], method="higher")
        never = np.isinf(delays).mean()
        print(
            f"| {name} | {X.shape[1]} | {false} of {streams} | {middle:,.0f} | {most:,.0f} | {never:.0%} |", flush=True
        )


def steps(series: int) -> None:
    """A table in Markdown: p-values of time steps and of stretches of series without anomalies."""
    learned, judged, window = 3000, 950, 50
    print(
        "| series | steps with p <= 0.05 | with a step flagged at 10 % | foretold | stretches with p <= 0.05 | <= 0.1 |"
    )
    print("|---|---|---|---|---|---|")
    for name in ("sine and noise", "autoregressive, .9"):
        found = []
        for seed in range(series):
            rng, t = np.random.default_rng(seed), np.arange(learned + window + judged)
            noise = rng.normal(size=len(t))
            x = np.sin(t / 8) + 0.3 * noise if name.startswith("sine") else lfilter([1.0], [1.0, -0.9], noise)
            detector = AnomalyDetector(kind="series", window=window, random_state=seed).fit(x[:learned])
            new = x[learned + window :]
            p, scores = detector.p_values(new), -detector.score_samples(new)
            maxima = block_maxima(detector.calibration_.scores, window)
            own = np.array([stretch_p_value(peak, maxima) for peak in block_maxima(scores, window)])
            flagged = benjamini_hochberg(p, FDR).any()
            found.append(((p <= 0.05).mean(), flagged, (own <= 0.05).mean(), (own <= 0.1).mean()))
        at_5, flagged, *own = np.mean(found, 0)
        foretold = chance_of_false_alarm(judged, window, learned)
        print(f"| {name} | {at_5:.1%} | {flagged:.0%} | {foretold:.0%} | {own[0]:.1%} | {own[1]:.1%} |", flush=True)


def main() -> None:
    """Run the part that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["p-values", "groups", "drift", "steps"])
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--rows", type=int, default=10**9)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--epochs", type=int)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", IsthmusWarning)
    if asked.part == "p-values":
        p_values(asked.sets.split(","), asked.splits, asked.rows, asked.epochs)
    elif asked.part == "steps":
        steps(asked.splits)
    elif asked.part == "groups":
        groups(asked.splits)
    else:
        drift(asked.streams, asked.epochs)
        drift_of_tables(asked.sets.split(","), max(10, asked.streams // 20), asked.epochs)


if __name__ == "__main__":
    main()
