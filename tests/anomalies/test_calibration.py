"""Conformal p-values, thresholds and discoveries from scores alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from isthmus import IsthmusError
from isthmus.anomalies.calibration import Calibration, benjamini_hochberg, normal_weights
from isthmus.errors import IsthmusWarning


def one_group(scores: Any, contamination: Any = None) -> Calibration:
    return Calibration.of(np.asarray(scores, float), np.zeros(len(scores), int), contamination)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=30))
def test_p_values_are_valid_whatever_the_scores_and_their_ties(scores: list[int]) -> None:
    """Each of the scores in turn is the new one: all of these are as likely if they are exchangeable."""
    x = np.array(scores, float)
    p = np.array([one_group(np.delete(x, i)).p_values(x[None, i : i + 1])[0] for i in range(len(x))])
    assert (p > 0).all() and (p <= 1).all()
    for level in p:
        assert (p <= level).mean() <= level + 1e-12


def test_p_values_count_those_at_least_as_strange() -> None:
    calibration = one_group([1, 2, 2, 3])
    assert calibration.p_values(np.array([[0.0, 1, 2, 2.5, 3, 4]])).tolist() == [1, 1, 0.8, 0.4, 0.4, 0.2]
    assert calibration.smallest == 0.2


def test_each_group_is_compared_with_its_own_calibration_samples() -> None:
    calibration = Calibration.of(np.array([1.0, 2, 10, 20]), np.array([0, 0, 1, 1]))
    assert calibration.p_values(np.array([[1.5, 3], [15.0, 30]])).tolist() == [3 / 5, 1 / 5]
    with pytest.raises(IsthmusError, match="1 groups; the calibration has 2"):
        calibration.p_values(np.zeros((1, 3)))


def test_cross_conformal_p_values_of_normal_samples_are_uniform() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(900) % 5
    shift = np.arange(5.0)  # the models of the groups differ
    calibration = Calibration.of(rng.normal(size=900) + shift[groups], groups)
    new = rng.normal(size=900)
    assert kstest(calibration.p_values(new + shift[:, None]), "uniform").pvalue > 0.05


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.sampled_from([0.01, 0.1, 0.5]))
def test_benjamini_hochberg_is_that_of_the_paper(p_values: list[float], fdr: float) -> None:
    p = np.array(p_values)
    ordered = np.sort(p)
    passed = np.flatnonzero(ordered <= fdr * np.arange(1, len(p) + 1) / len(p) * (1 + 1e-12))
    expected = p <= ordered[passed[-1]] if len(passed) else np.zeros(len(p), bool)
    assert np.array_equal(benjamini_hochberg(p, fdr), expected)


def test_a_false_discovery_rate_holds_with_few_calibration_samples() -> None:
    rng = np.random.default_rng(0)
    false = []
    for _ in range(200):
        calibration = one_group(rng.normal(size=200))
        new = np.concatenate([rng.normal(size=180), rng.normal(4, 1, 20)])
        found = benjamini_hochberg(calibration.p_values(new[None]), 0.1)
        false.append(found[:180].sum() / max(1, found.sum()))
    assert np.mean(false) < 0.11


def test_too_few_calibration_samples_are_told_where_they_matter() -> None:
    calibration = one_group(np.arange(99))
    p = calibration.p_values(np.array([[1000.0] + [50.0] * 499]))
    with pytest.warns(IsthmusWarning, match=r"1 of 500 .* all 99 .* 0\.01, and fdr=0\.1 takes 50 .* 5,000 calibration"):
        assert not calibration.discoveries(p, 0.1).any()
    assert calibration.discoveries(calibration.p_values(np.full((1, 500), 1000.0)), 0.1).all()


@pytest.mark.parametrize("n", [5, 99, 100, 1000])
def test_the_threshold_is_where_p_values_reach_alpha(n: int) -> None:
    rng = np.random.default_rng(n)
    calibration, new = one_group(rng.normal(size=n)), rng.normal(size=2000)
    p = calibration.p_values(new[None])
    level = max(0.01, calibration.smallest)
    assert np.array_equal(new > calibration.threshold(0.01), p <= level + 1e-12)
    assert calibration.threshold(0.01) <= calibration.scores.max()


def test_a_threshold_that_no_score_exceeds_is_told() -> None:
    scores = np.concatenate([np.linspace(0, 1, 90), np.full(10, 1.0)])
    with pytest.warns(IsthmusWarning, match="11% of the calibration samples share the largest score, 1:"):
        one_group(scores).threshold(0.01)
    assert one_group(np.ones(50)).threshold(0.01) == 1  # anything that differs is more


@pytest.mark.parametrize(("scores", "message"), [([], "0 samples"), ([1.0, np.inf, np.nan], "2 of 3")])
def test_scores_that_nothing_can_be_held_against_are_refused(scores: list[float], message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        one_group(scores)


def test_anomalies_in_the_calibration_cost_no_validity_and_evident_ones_no_power() -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.exponential(size=920), rng.normal(50, 1, 80)])
    new = np.concatenate([rng.exponential(size=5000), rng.normal(50, 1, 50)])
    as_normal, trimmed = one_group(scores), one_group(scores, "unknown")
    p = trimmed.p_values(new[None])
    assert np.median(p[-50:]) < np.median(as_normal.p_values(new[None])[-50:]) / 2
    assert (p[:-50] <= 0.01).mean() < 0.013
    assert "of 1,000 calibration samples are anomalies" in trimmed.assumed
    assert trimmed.threshold(0.01) < 40 < as_normal.threshold(0.01)


@pytest.mark.parametrize("draw", ["normal", "standard_exponential", "lognormal", "uniform", "standard_cauchy"])
def test_normal_scores_count_as_normal_whatever_their_tail(draw: str) -> None:
    lost = [1000 - normal_weights(getattr(np.random.default_rng(s), draw)(size=1000), 0.5).sum() for s in range(20)]
    assert np.mean(lost) < 5


def test_at_most_the_share_that_was_said_does_not_count() -> None:
    scores = np.concatenate([np.random.default_rng(0).exponential(size=900), np.full(100, 50.0)])
    assert normal_weights(scores, 0.02).sum() == pytest.approx(980)
    assert normal_weights(np.arange(10.0) ** 9, 0.5).sum() == 10  # too few to say


def test_a_calibration_is_restored_as_it_was() -> None:
    scores = np.concatenate([np.random.default_rng(0).exponential(size=500), np.full(20, 99.0)])
    calibration = Calibration.of(scores, np.arange(520) % 2, "unknown")
    again = Calibration.from_dict(calibration.to_dict(), calibration.arrays())
    new = np.linspace(0, 60, 40)[None].repeat(2, 0)
    assert np.array_equal(again.p_values(new), calibration.p_values(new))
    assert again.assumed == calibration.assumed
