"""Alarms on streams: seldom false, soon after a change, and the same however the stream comes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from isthmus import AnomalyDetector, DriftMonitor, IsthmusError
from isthmus.anomalies.martingale import Martingale, Ranks, Wealth


def stream_of(n: int, seed: int, columns: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, columns))


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector(epochs=2, random_state=0).fit(stream_of(600, 0))


@pytest.mark.parametrize("decimals", [9, 0], ids=["continuous", "tied"])
@pytest.mark.parametrize("calibration", [1, 20, 2000])
def test_p_values_of_a_stream_are_uniform_and_independent(calibration: int, decimals: int) -> None:
    found = []
    for seed in range(400):
        rng = np.random.default_rng([seed, decimals])
        values = rng.normal(size=calibration + 30).round(decimals)
        found.append(Ranks(values[:calibration], rng).p_values(values[calibration:], rng.random((30, 2))))
    p = np.array(found)
    assert kstest(p.ravel(), "uniform").pvalue > 0.01
    assert abs(np.corrcoef(p[:, :-1].ravel(), p[:, 1:].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(p[:, 0], p[:, 1:].mean(1))[0, 1]) < 0.15


def test_a_martingale_is_1_on_average() -> None:
    p = np.random.default_rng(0).random((3, 50_000))
    assert np.exp(Wealth(50_000).after(p)[-1]).mean() == pytest.approx(1, rel=0.05)


def test_false_alarms_are_rarer_than_alpha() -> None:
    highest = []
    for seed in range(100):
        values = stream_of(1200, seed)
        wealth = Martingale([*values[:200].T], seed).after(values[200:])
        highest.append((np.logaddexp.reduce(wealth, 1) - np.log(4)).max())
    assert np.mean(np.array(highest) >= np.log(10)) <= 0.1 and max(highest) > 0


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_batches_of_any_size_give_the_same(sizes: list[int]) -> None:
    values, reference = stream_of(sum(sizes), 1), [*stream_of(50, 2).T]
    whole, parts = Martingale(reference), Martingale(reference)
    expected = whole.after(values)
    found = np.concatenate([parts.after(part) for part in np.split(values, np.cumsum(sizes)[:-1])])
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_change_is_found_and_named(detector: AnomalyDetector) -> None:
    monitor = DriftMonitor(detector)
    calm = monitor.update(stream_of(500, 3))
    assert not calm.alarm and calm.since is None and calm.seen == 500
    moved = monitor.update(stream_of(500, 4) + np.array([0, 0.7, 0, 0]))
    assert moved.alarm and 500 <= moved.since < 1000 and moved.strongest == "x1" and moved.value > 100
    assert monitor.update(stream_of(5, 5)).since == moved.since
    monitor.reset()
    assert not monitor.update(stream_of(500, 3)).alarm


def test_missing_cells_and_rare_words_are_changes() -> None:
    def frame(n: int, seed: int, missing: float, rare: float) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        words = np.where(rng.random(n) < rare, "rare", "common")
        return pd.DataFrame({"x": np.where(rng.random(n) < missing, np.nan, rng.normal(size=n)), "word": words})

    detector = AnomalyDetector(epochs=1, random_state=0).fit(frame(1000, 0, 0.05, 0.1))
    for changed, name in [(frame(600, 2, 0.5, 0.1), "x"), (frame(600, 2, 0.05, 0.5), "word")]:
        monitor = DriftMonitor(detector)
        assert not monitor.update(frame(1000, 1, 0.05, 0.1)).alarm
        found = monitor.update(changed)
        assert found.alarm and found.strongest in (name, "strangeness")


def test_a_saved_monitor_raises_the_same_alarms(detector: AnomalyDetector, tmp_path: Path) -> None:
    monitor = DriftMonitor(detector, alpha=0.05, random_state=3)
    monitor.update(stream_of(333, 3))
    again = DriftMonitor.load(monitor.save(tmp_path / "state.json"), detector)
    for seed in (5, 6):
        rows = stream_of(100, seed) + 0.3
        assert again.update(rows) == monitor.update(rows)
    assert again.alpha == 0.05


def test_what_is_no_state_of_this_detector_is_refused(detector: AnomalyDetector, tmp_path: Path) -> None:
    other = AnomalyDetector(epochs=1, random_state=1).fit(stream_of(100, 9))
    with pytest.raises(IsthmusError, match="another detector"):
        DriftMonitor.load(DriftMonitor(other).save(tmp_path / "state.json"), detector)
    (tmp_path / "else.json").write_text("[1]")
    with pytest.raises(IsthmusError, match="no state of a DriftMonitor"):
        DriftMonitor.load(tmp_path / "else.json", detector)
    with pytest.raises(IsthmusError, match="alpha"):
        DriftMonitor(detector, alpha=1)
