"""Strange rows of tables: what judges say, column by column, and that they find what columns alone do not show."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tests.anomalies.test_detector import people

from isthmus import AnomalyDetector
from isthmus.anomalies.neighbours import Nearest
from isthmus.anomalies.rows import Rows
from isthmus.anomalies.tasks import group_of

WAYS = (None, "unknown")


def on_a_plane(n: int, seed: int) -> np.ndarray:
    """Six columns that two numbers make: (n, 6)."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ np.random.default_rng(9).normal(size=(2, 6)) + 0.05 * rng.normal(size=(n, 6))


@pytest.fixture(scope="module", params=WAYS)
def detector(request: Any) -> AnomalyDetector:
    return AnomalyDetector(request.param, epochs=15, random_state=0).fit(on_a_plane(600, 0))


def shuffled(rows: np.ndarray, seed: int) -> np.ndarray:
    """The columns one by one in another order: each looks as before, rows do not."""
    return np.random.default_rng(seed).permuted(rows, axis=0)


def test_rows_whose_cells_do_not_go_together_are_found(detector: AnomalyDetector) -> None:
    good, bad = on_a_plane(200, 1), shuffled(on_a_plane(200, 2), 3)
    truth, rows = np.repeat([0, 1], 200), np.concatenate([good, bad])
    distance = np.linalg.norm((rows - good.mean(0)) / good.std(0), axis=1)
    found = roc_auc_score(truth, -detector.score_samples(rows))
    assert found > 0.9 if detector.contamination is None else found > 0.75
    assert found > roc_auc_score(truth, distance) + 0.15


def test_the_column_of_a_wrong_cell_is_blamed(detector: AnomalyDetector) -> None:
    rows, columns = on_a_plane(60, 1), np.arange(60) % 6
    rows[np.arange(60), columns] = 3.5 * rows.std(0)[columns]
    explained = detector.explain(rows)
    np.testing.assert_allclose(np.asarray(explained.scores).sum(1), -detector.score_samples(rows), rtol=1e-4)
    assert (np.asarray(explained.scores) >= 0).all()
    assert (np.asarray(explained.scores).argmax(1) == columns).mean() > 0.7


def test_a_row_is_judged_alike_alone_and_among_others(detector: AnomalyDetector) -> None:
    rows = on_a_plane(70, 4)
    alone = np.concatenate([detector.score_samples(rows[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, detector.score_samples(rows)[:5], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*share the largest score")
@pytest.mark.parametrize("contamination", WAYS)
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(np.array([[0.0, 1.0], [1.0, 3.0]]), id="two rows"),
        pytest.param(np.tile([[1.0, 2.0, 3.0]], (30, 1)), id="one row thirty times"),
        pytest.param(np.c_[np.arange(40.0), np.full(40, 7.0)], id="a constant column"),
        pytest.param(pd.DataFrame({"a": list("xyxz") * 15, "b": list("uuvv") * 15}), id="words alone"),
        pytest.param(people(7), id="seven people"),
    ],
)
def test_small_and_odd_tables(rows: Any, contamination: Literal["unknown"] | None) -> None:
    detector = AnomalyDetector(contamination, epochs=2, random_state=0).fit(rows)
    scores = detector.score_samples(rows)
    assert scores.shape == (len(rows),) and np.isfinite(scores).all()
    assert len(detector.calibration_.scores) == len(rows)
    explained = np.asarray(detector.explain(rows).scores)
    np.testing.assert_allclose(explained.sum(1), -scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("contamination", WAYS)
def test_a_missing_cell_adds_nothing(contamination: Literal["unknown"] | None) -> None:
    detector = AnomalyDetector(contamination, epochs=2, random_state=0).fit(people())
    rows = people(20, seed=1)
    scores = np.asarray(detector.explain(rows).scores)
    assert (scores[rows.isna().to_numpy()] == 0).all()


def test_a_far_value_of_a_column_with_a_heavy_tail_stays_finite() -> None:
    rows = np.exp(np.random.default_rng(0).normal(0, 3, (200, 2)))
    detector = AnomalyDetector(epochs=2, random_state=0).fit(rows)
    far = detector.score_samples([[1e30, 1.0], [1.0, 1.0]])
    assert np.isfinite(far).all() and far[0] < far[1]


def test_a_row_of_the_training_data_is_not_its_own_neighbour() -> None:
    detector = AnomalyDetector(epochs=1, random_state=0).fit(on_a_plane(100, 0))
    view = detector.scorer_.view  # type: ignore[attr-defined]
    x = torch.randn(40, 6)
    rows, groups = Rows(x, x.arcsinh(), torch.ones(40, 6, dtype=torch.bool)), torch.arange(40) % 4
    near = Nearest.of(view, rows, groups, 3, math.inf, relative=False)
    scores = near.scores(rows)
    apart = torch.cdist(x.double(), x.double())
    for group in range(4):
        others = torch.where(groups[None] == group, torch.inf, apart).fill_diagonal_(torch.inf)
        wanted = others.sort(1).values[:, :3].mean(1)
        np.testing.assert_allclose(scores[group], wanted, rtol=3e-3)  # what is hardly further counts in part


def test_groups_are_even_where_rows_are_few() -> None:
    assert np.bincount(group_of(np.arange(7), 5, 3, 7)).tolist() == [2, 2, 1, 1, 1]
    counts = np.bincount(group_of(np.arange(10_000), 5, 3, 10_000))
    assert len(counts) == 5 and counts.min() > 1_800
