"""`AnomalyDetector`: the contract of scikit-learn's outlier detectors, and what is asked beyond it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from isthmus import AnomalyDetector, IsthmusError, load


@parametrize_with_checks([AnomalyDetector(epochs=2, random_state=0)])
def test_check_estimator(estimator: AnomalyDetector, check: Any) -> None:
    if check.func.__name__ == "check_dataframe_column_names_consistency":  # columns in another order are put in ours
        with pytest.raises(AssertionError, match=r"DID NOT RAISE|Did not raise"):
            check(estimator)
        return
    check(estimator)


def people(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Height and weight that go together, a word and a date, and some holes."""
    rng = np.random.default_rng(seed)
    height = rng.normal(175, 8, n)
    frame = pd.DataFrame(
        {
            "height": height.round(1),
            "weight": (0.9 * (height - 100) + rng.normal(0, 3, n)).round(1),
            "smoker": rng.choice(["yes", "no"], n),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, n), "D"),
        }
    )
    return frame.mask(rng.random(frame.shape) < 0.05)


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector(epochs=3, random_state=0).fit(people())


def test_the_scores_of_columns_add_up_to_that_of_the_row(detector: AnomalyDetector) -> None:
    rows = people(50, seed=1)
    explained = detector.explain(rows)
    assert list(explained.expected.columns) == list(rows.columns)
    assert explained.expected.dtypes["since"].kind == "M"
    np.testing.assert_allclose(np.asarray(explained.scores).sum(1), -detector.score_samples(rows), rtol=1e-4)


def test_a_clean_batch_may_flag_nothing_and_a_bad_one_everything(detector: AnomalyDetector) -> None:
    rows = people(50, seed=2).dropna()
    assert detector.detect(rows, fdr=0.1).mean() < 0.1
    assert detector.detect(rows.assign(height=900.0, weight=-500.0), fdr=0.1).all()


def test_a_saved_detector_says_the_same(detector: AnomalyDetector, tmp_path: Path) -> None:
    rows = people(50, seed=3)
    again = load(detector.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.score_samples(rows), detector.score_samples(rows))
    np.testing.assert_array_equal(again.p_values(rows), detector.p_values(rows))
    np.testing.assert_array_equal(again.predict(rows), detector.predict(rows))


@pytest.mark.parametrize("share", [0, 0.6, -1, "some", True])
def test_a_share_that_is_none_is_refused(share: Any) -> None:
    with pytest.raises(IsthmusError, match="contamination"):
        AnomalyDetector(share).fit(people())
