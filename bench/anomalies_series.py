"""Time series with labelled stretches (Numenta's NAB): AUC-PR, VUS-PR and events found, beside windows in other hands.

python bench/anomalies_series.py [--data FOLDER] [--groups NAMES] [--stumpy PYTHON] [--picture FILE.png] [--per-series]

All learn without labels: "whole" from the series that is judged, "first 15 %" from NAB's probationary part, and the
rest is judged. The peers' scores of windows are averaged over the windows that hold a step, as ours are, which helps
them. Each is run with the window that its authors' benchmark (TSB-AD) would take, the highest peak of the
autocorrelation, and with ours. `--stumpy` names a Python in whose environment stumpy is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.signal import argrelmax
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score

import machine
from isthmus import AnomalyDetector
from isthmus.anomalies.windows import StepMeans, choose_window, starts_in
from series_metrics import events_found, vus_pr

DATA = Path(os.environ.get("ISTHMUS_DATA", "data")) / "nab"
GROUPS = "artificialWithAnomaly,realKnownCause"
_MOST_BUFFER = 100  # of VUS-PR
_MOST_WINDOWS = 2000  # that a peer learns from
Peer = Callable[[np.ndarray, np.ndarray], np.ndarray]  # windows to learn from and to judge, each (m, window)


def series_of(data: Path, groups: str) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Name, seconds, values and labels of each series that has labelled stretches."""
    import pandas as pd

    windows = json.loads((data / "labels" / "combined_windows.json").read_text())
    for group in groups.split(","):
        for path in sorted((data / "data" / group).glob("*.csv")):
            frame = pd.read_csv(path, parse_dates=["timestamp"])
            times = frame["timestamp"].to_numpy().astype("datetime64[s]")
            labels = np.zeros(len(frame), bool)
            for first, last in windows[f"{group}/{path.name}"]:
                labels |= (times >= np.datetime64(first, "s")) & (times <= np.datetime64(last, "s"))
            if labels.any():
                yield f"{group}/{path.stem}", times.astype(np.int64), frame["value"].to_numpy(float), labels


def tsb_window(x: np.ndarray) -> int:
    """The window that TSB-AD takes: the highest local maximum of the autocorrelation at lags 3 to 300, else 125."""
    x = x[:20_000] - x[:20_000].mean()
    correlation = np.fft.irfft(np.abs(np.fft.rfft(x, 2 * len(x))) ** 2)[3:401]
    peaks = argrelmax(correlation)[0]
    best = int(peaks[correlation[peaks].argmax()]) if len(peaks) else 0
    return best + 3 if 3 <= best <= 300 else 125


def pca(train: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """PyOD's: distances to the components, weighted by their inverse variances."""
    mean, scale = train.mean(0), train.std(0) + 1e-12
    model = PCA(svd_solver="covariance_eigh").fit((train - mean) / scale)
    ratio = model.explained_variance_ratio_
    kept = ratio > 1e-12
    total: np.ndarray = (cdist((windows - mean) / scale, model.components_[kept]) / ratio[kept]).sum(1)
    return total


def pca_error(train: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The error of a reconstruction from the components with nine tenths of the variance."""
    mean, scale = train.mean(0), train.std(0) + 1e-12
    z = (windows - mean) / scale
    model = PCA(0.9, svd_solver="covariance_eigh").fit((train - mean) / scale)
    error: np.ndarray = np.sqrt(((z - model.inverse_transform(model.transform(z))) ** 2).mean(1))
    return error


def forest(train: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """An isolation forest of 100 trees."""
    scores: np.ndarray = -IsolationForest(n_estimators=100, random_state=0).fit(train).decision_function(windows)
    return scores


PEERS: dict[str, Peer] = {"PCA": pca, "PCA, error": pca_error, "isolation forest": forest}


def judged_by(peer: Peer, x: np.ndarray, train: int, window: int) -> np.ndarray:
    """A peer's score of each step, (n,)."""
    z = (x - x[:train].mean()) / (x[:train].std() or 1.0)
    views, starts = np.lib.stride_tricks.sliding_window_view(z, window), starts_in(len(z), window)
    learned = np.unique(np.linspace(0, train - window, _MOST_WINDOWS).astype(int))
    return averaged(peer(views[learned], views[starts]), starts, window, len(x))


def averaged(scores: np.ndarray, starts: np.ndarray, window: int, n: int) -> np.ndarray:
    """Scores of windows as scores of the steps that they hold."""
    means = StepMeans(n, window)
    means.add(starts, scores)
    return means.means()


def profiles(python: str, jobs: dict[str, tuple[np.ndarray, int, int]]) -> dict[str, np.ndarray]:
    """Matrix profiles, averaged over the windows that hold a step, (n,). jobs : values, window and steps to train."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "in.npz", Path(folder) / "out.npz"
        arrays = {f"x_{job}": x for job, (x, _, _) in jobs.items()}
        np.savez(given, **arrays, **{f"settings_{job}": np.array(job_[1:]) for job, job_ in jobs.items()})  # type: ignore[arg-type]
        script = Path(__file__).parent / "peers" / "stumpy_profile.py"
        subprocess.run([python, str(script), str(given), str(found)], check=True)
        read = np.load(found)
        windows = {job: window for job, (_, window, _) in jobs.items()}
        return {job: averaged(read[job], np.arange(len(read[job])), windows[job], len(jobs[job][0])) for job in jobs}


def windows_of(x: np.ndarray, train: int) -> dict[str, int]:
    """The windows that peers are run with."""
    ours = choose_window([x[:train, None]], None)[0]
    return {"TSB-AD's window": min(tsb_window(x[:train]), train // 3), "our window": ours}


def ways_of(x: np.ndarray, train: int) -> Iterator[tuple[str, np.ndarray, float]]:
    """Each way's name, scores (n,) and CPU seconds, but for the matrix profile."""
    started = time.process_time()
    contamination: Literal["unknown"] | None = "unknown" if train == len(x) else None
    detector = AnomalyDetector(contamination, kind="series", random_state=0).fit(x[:train])
    yield "isthmus", -detector.score_samples(x), time.process_time() - started
    for whose, window in windows_of(x, train).items():
        for name, peer in PEERS.items():
            started = time.process_time()
            scores = judged_by(peer, x, train, window)
            yield f"{name}, {whose}", scores, time.process_time() - started


@dataclass(frozen=True)
class Case:
    """A series, of which the steps from `first` on are judged; 0: all, by what was learned from the whole."""

    name: str
    seconds: np.ndarray
    x: np.ndarray
    labels: np.ndarray
    first: int

    @property
    def train(self) -> int:
        """How many steps are learned from."""
        return self.first or len(self.x)

    @property
    def protocol(self) -> str:
        """In words."""
        return "first 15 %" if self.first else "whole"

    def judged(self, way: str, scores: np.ndarray, cpu: float) -> dict[str, Any]:
        """A row of the results."""
        labels, scores = self.labels[self.first :], scores[self.first :]
        return {
            "protocol": self.protocol,
            "way": way,
            "series": self.name,
            "AUC-PR": float(average_precision_score(labels, scores)),
            "VUS-PR": vus_pr(labels, scores, min(tsb_window(self.x), _MOST_BUFFER)),
            "events": events_found(labels, scores, self.seconds[self.first :]),
            "seconds": cpu,
        }


def measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each series, protocol and way."""
    found = list(series_of(options.data, options.groups))
    every = [Case(*one, int(share * len(one[2]))) for share in (0, 0.15) for one in found]
    cases = [case for case in every if case.labels[case.first :].any()]
    rows: list[dict[str, Any]] = []
    jobs: dict[str, tuple[np.ndarray, int, int]] = {}
    cases_of: dict[str, tuple[Case, str]] = {}
    for case in cases:
        rows += [case.judged(*way) for way in ways_of(case.x, case.train)]
        for whose, window in windows_of(case.x, case.train).items():
            job = str(len(jobs))
            jobs[job], cases_of[job] = (case.x, window, case.train), (case, f"matrix profile, {whose}")
        print(case.name, case.protocol, file=sys.stderr, flush=True)
    if options.stumpy is not None:
        for job, scores in profiles(options.stumpy, jobs).items():
            case, way = cases_of[job]
            rows.append(case.judged(way, scores, float("nan")))
    return rows


def summary(rows: list[dict[str, Any]], groups: str) -> str:
    """Means over the series, and AUC-PR and VUS-PR in each group."""
    shown = []
    for protocol, way in dict.fromkeys((row["protocol"], row["way"]) for row in rows):
        own = [row for row in rows if (row["protocol"], row["way"]) == (protocol, way)]
        entry = {"learned from": protocol, "way": way, "series": len(own)}
        entry |= {key: f"{np.mean([row[key] for row in own]):.3f}" for key in ("AUC-PR", "VUS-PR", "events")}
        for group in groups.split(","):
            part = [row for row in own if row["series"].startswith(group)]
            entry[group] = " / ".join(f"{np.mean([row[key] for row in part]):.3f}" for key in ("AUC-PR", "VUS-PR"))
        shown.append(entry | {"CPU s": f"{sum(row['seconds'] for row in own):.1f}"})
    return machine.table(shown)


def per_series(rows: list[dict[str, Any]]) -> str:
    """AUC-PR / VUS-PR of each series, of ours and the best peer's in the mean of its protocol."""
    shown: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        if row["way"] in ("isthmus", "isolation forest, our window", "PCA, error, our window"):
            entry = shown.setdefault((row["series"], row["protocol"]), {"series": row["series"], "": row["protocol"]})
            entry[row["way"]] = f"{row['AUC-PR']:.3f} / {row['VUS-PR']:.3f}"
    return machine.table(list(shown.values()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--groups", default=GROUPS)
    parser.add_argument("--stumpy", metavar="PYTHON")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--per-series", action="store_true")
    options = parser.parse_args()
    if options.picture is not None:
        from series_picture import picture

        _, seconds, x, labels = next(s for s in series_of(options.data, options.groups) if "machine" in s[0])
        detector = AnomalyDetector("unknown", kind="series", random_state=0).fit(x)
        options.picture.write_bytes(picture(seconds, x, -detector.score_samples(x), labels))
        return
    print(machine.machine())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = measured(options)
    print(summary(rows, options.groups))
    if options.per_series:
        print(per_series(rows))


if __name__ == "__main__":
    main()
