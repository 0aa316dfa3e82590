"""`AnomalyDetector` on time series: where a glitch is, in which channel, and what was expected there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.cli.commandline import ask

from isthmus import AnomalyDetector, IsthmusError, load
from isthmus.anomalies.stretches import block_maxima, chance_of_false_alarm, stretch_p_value
from isthmus.anomalies.windows import choose_window, dominant_period
from isthmus.errors import IsthmusWarning

PERIOD = 25


def waves(n: int = 2000, seed: int = 0) -> np.ndarray:
    """Two channels of one period and a little noise, (n, 2)."""
    angle = 2 * np.pi * np.arange(n)[:, None] / PERIOD + np.array([0.0, 1.0])
    return np.array([10.0, 1.0]) * np.sin(angle) + np.random.default_rng(seed).normal(0, (0.3, 0.03), (n, 2))


def detector(**settings: Any) -> AnomalyDetector:
    return AnomalyDetector(kind="series", random_state=0, **settings)


def test_a_glitch_is_found_in_a_series_that_was_learned_from() -> None:
    x = waves()
    x[700:710, 1] = 0
    scores = detector(contamination="unknown").fit(x).score_samples(x)
    assert scores.shape == (2000,) and abs(int(scores.argmin()) - 705) < 10
    assert np.delete(scores, np.arange(650, 760)).min() > 0.5 * scores.min()


def test_a_shift_of_the_level_is_found_in_new_data_and_little_in_clean_ones() -> None:
    model = detector().fit(waves())
    new = waves(1000, seed=1)
    assert model.detect(new).mean() < 0.05 and (model.predict(new) < 0).mean() < 0.05
    new[400:450] += 5
    found = model.detect(new)
    assert found[400:450].all() and np.delete(found, np.arange(300, 550)).mean() < 0.05
    assert model.p_values(new).min() == pytest.approx(1 / 2001)


def test_the_guilty_channel_is_told_and_what_was_expected() -> None:
    model = detector().fit(waves())
    new, clean = waves(500, seed=2), waves(500, seed=2)
    new[200:205, 1] += 2
    parts = model.explain(new)
    assert parts.scores.shape == parts.expected.shape == (500, 2)
    assert parts.scores.sum(1) == pytest.approx(-model.score_samples(new), rel=1e-4)
    assert (parts.scores[200:205, 1] > 0.9 * parts.scores[200:205].sum(1)).all()
    assert np.abs(parts.expected - clean)[200:205].max(0) == pytest.approx([0, 0], abs=2)


def test_the_window_is_two_periods_as_asked_for_or_what_there_is_room_for() -> None:
    x = waves()
    model = detector().fit(x)
    assert model.describe()["window"] == f"{2 * PERIOD} time steps (period of {PERIOD})"
    assert detector(window=30).fit(x).describe()["window"] == "30 time steps (as asked for)"
    assert dominant_period(np.random.default_rng(0).normal(size=(500, 1))) is None
    assert choose_window([np.zeros((90, 1))], None)[0] == 30


def test_dates_are_read_and_irregular_ones_told(tmp_path: Path) -> None:
    x = waves(400)
    times = pd.date_range("2026-01-01", periods=400, freq="15min")
    frame = pd.DataFrame({"when": times, "load": x[:, 0], "heat": x[:, 1], "note": "fine"})
    frame.to_csv(tmp_path / "series.csv", index=False)
    of_file = detector().fit(tmp_path / "series.csv")
    assert "0:15:00" in of_file.describe()["time"] and list(of_file.explain(frame).scores.columns) == ["load", "heat"]
    assert of_file.score_samples(frame) == pytest.approx(detector().fit(x).score_samples(x), rel=1e-3)
    gaps = frame[np.random.default_rng(0).random(400) < 0.7]
    with pytest.warns(IsthmusWarning, match="% of the time steps are irregular"):
        detector().fit(gaps)


def test_series_of_different_lengths_and_with_holes_are_judged_one_after_the_other() -> None:
    x = [waves(600, 0), waves(300, 1), waves(60, 2)]
    model = detector().fit(x)
    x[1][100:120, 0] = np.nan
    scores = model.score_samples(x)
    assert scores.shape == (960,) and np.isfinite(scores).all()
    assert scores[600:900] == pytest.approx(model.score_samples(x[1]), rel=1e-5)
    assert scores[700:720].min() > 3 * scores.mean()
    assert np.isfinite(detector().fit(x).score_samples(x)).all()


def test_a_saved_one_gives_the_same(tmp_path: Path) -> None:
    x = waves(500)
    model = detector().fit(x)
    again = load(model.save(tmp_path / "model"))
    assert (again.score_samples(x) == model.score_samples(x)).all()
    assert again.describe()["window"] == model.describe()["window"]


def test_channels_are_counted_whatever_they_came_in(tmp_path: Path) -> None:
    wave = np.sin(np.arange(400) / 5)
    for data, channels in ((wave, 1), (np.stack([wave, -wave], 1), 2), (pd.DataFrame({"a": wave, "b": wave}), 2)):
        detector = AnomalyDetector(kind="series", random_state=0).fit(data)
        assert detector.n_features_in_ == channels
        detector.save(tmp_path / "m")
        assert load(tmp_path / "m").n_features_in_ == channels


def test_p_values_of_stretches_are_those_of_blocks_that_are_nearly_independent() -> None:
    rng, small = np.random.default_rng(0), 0
    for _ in range(400):  # runs of five alike, as windows make them
        scores = np.repeat(rng.normal(size=220), 5)
        maxima = block_maxima(scores[:1000], 5)
        small += min(stretch_p_value(peak, maxima) for peak in block_maxima(scores[1000:], 5)) <= 1 / 201
    assert abs(small / 400 - chance_of_false_alarm(100, 5, 1000)) < 0.05


def test_a_constant_series_has_nothing_strange_until_it_changes() -> None:
    model = detector().fit(np.full(300, 7.0))
    assert not model.detect(np.full(200, 7.0)).any()
    changed = np.full(200, 7.0)
    changed[100:] = 8
    assert model.detect(changed)[110:].all()


@pytest.mark.parametrize(
    ("data", "settings", "told"),
    [
        (np.zeros((5, 400)), {}, "transpose it"),
        (np.zeros(20), {}, "at least 24 are needed"),
        (np.zeros(100), {"window": 50}, "window .=50. needs at least 150 time steps"),
        (np.zeros(100), {"window": 1}, "must be an integer of at least 2"),
        (np.zeros((3, 4, 5)), {}, r"shape \(3, 4, 5\)"),
        (np.array([1.0, np.inf] * 50), {}, "time step 1 is infinite"),
        ([np.zeros(100), np.zeros((100, 2))], {}, "same channels"),
        (np.full(100, np.nan), {}, "channel 0 holds no value"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_line(data: Any, settings: Any, told: str) -> None:
    with pytest.raises(IsthmusError, match=told):
        detector(**settings).fit(data)


def test_new_series_must_be_as_long_as_a_window_and_have_the_channels() -> None:
    model = detector().fit(waves(500))
    with pytest.raises(IsthmusError, match="20 time steps; 50 are looked at together"):
        model.score_samples(waves(20))
    with pytest.raises(IsthmusError, match="1 channels; the model was trained on 2"):
        model.score_samples(np.zeros(100))


def test_the_command_lists_times_and_draws_the_series(tmp_path: Path) -> None:
    x = waves(600)
    x[300:310, 1] += 3
    times = pd.date_range("2026-01-01", periods=600, freq="h")
    pd.DataFrame({"when": times, "load": x[:, 0], "heat": x[:, 1]}).to_csv(tmp_path / "series.csv", index=False)
    files = ("-o", tmp_path / "o.csv", "--report", tmp_path / "r")
    said = ask("detect", tmp_path / "series.csv", "--kind", "series", *files)
    assert said.status == 0 and "of 600 time steps" in said.out and "2026-01-13" in said.out
    found = pd.read_csv(tmp_path / "o.csv", parse_dates=["when"])
    strangest = found.loc[found["score"].idxmin()]
    assert abs(strangest["row"] - 305) < 25 and strangest["when"] == times[strangest["row"]]
    assert strangest["column_1"] == "heat"
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "The strangest stretches" in page
    chance = re.search(r"with a chance of ([\d.]+)\s%", page)
    assert chance is not None and 40 < float(chance[1]) < 80  # nearly as many windows calibrate as are judged
