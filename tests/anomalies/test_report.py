"""The report of a detector: what is flagged, what could not be, and why the strangest samples are strange."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.anomalies.test_detector import people

from isthmus import AnomalyDetector, IsthmusError
from isthmus.anomalies.findings import Findings, Labels
from isthmus.anomalies.scorer import DetectorKind
from isthmus.evaluation.theme import number


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector(epochs=2, random_state=0).fit(people(400).rename(columns={"smoker": "<b>smoker"}))


def new_rows() -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of which the first forty have an impossible height."""
    rows = people(200, seed=1).rename(columns={"smoker": "<b>smoker"})
    rows.loc[:39, "height"] = 912.0
    return rows, (np.arange(200) < 40).astype(int)


def test_the_page_says_what_is_strange_and_why(
    check_page: Any, quick: None, detector: AnomalyDetector, tmp_path: Path
) -> None:
    rows, labels = new_rows()
    page = check_page(detector.report(rows, tmp_path / "model", y=labels, title="<i>people"))
    assert page.figures >= {"strangeness", "p_values", "columns"}
    said = " ".join(page.words)
    assert not {"i", "b"} & {tag for tag, _ in page.tags}
    flagged = int(detector.detect(rows, fdr=0.1).sum())
    assert flagged >= 40 and f"{flagged} rows are flagged out of 200" in said
    assert "height 912 (expected 17" in said and "labelled 1" in said
    assert "AUROC" in said and "normal samples alone" in said and "detector.save('detector')" in said


def test_without_labels_nothing_is_judged_by_them(
    check_page: Any, quick: None, detector: AnomalyDetector, tmp_path: Path
) -> None:
    said = " ".join(check_page(detector.report(new_rows()[0], tmp_path, title="people", saved_as="m")).words)
    assert "AUROC" not in said and "label" not in said.lower()


def test_a_calibration_that_cannot_reach_is_told(
    check_page: Any, quick: None, detector: AnomalyDetector, tmp_path: Path
) -> None:
    rows = people(1000, seed=2).rename(columns={"smoker": "<b>smoker"})
    rows.loc[0, "height"] = 912.0
    findings = Findings.of(detector, detector._open(rows))
    assert findings.p[0] == findings.smallest_p == 1 / (len(findings.usual) + 1)
    assert findings.order[0] == 0 and not findings.flagged().any()
    as_strange = np.where(np.arange(1000) < findings.fewest(), np.inf, 0.0)[None]
    groups = len(detector.calibration_.of_groups())
    for extra, found in ((0, findings.fewest()), (1, 0)):  # as many as are said to be needed, and one fewer
        p = detector.calibration_.p_values(np.tile(np.where(np.arange(1000) < extra, 0.0, as_strange), (groups, 1)))
        assert int(Findings(as_strange[0], p, findings.usual, findings.smallest_p, 0.0).flagged().sum()) == found
    said = " ".join(check_page(detector.report(rows, tmp_path)).words)
    assert "Nothing is flagged" in said and f"at least {findings.fewest()} rows" in said


@pytest.mark.parametrize(
    ("values", "strange"),
    [
        ([0, 1, 0], [0, 1, 0]),
        ([True, False, False], [1, 0, 0]),
        ([1, -1, 1], [0, 1, 0]),
        (["Normal", "scratch", "dent"], [0, 1, 1]),
        (["cat", "dog", "dog"], None),
        ([0, 0, 0], None),
        ([0, 1, 2], None),
    ],
)
def test_which_labels_are_anomalies(values: list[Any], strange: list[int] | None) -> None:
    found = Labels.of(values, 3).strange
    assert found is None if strange is None else found is not None and found.astype(int).tolist() == strange


def test_labels_of_another_number_are_refused(detector: AnomalyDetector, tmp_path: Path) -> None:
    with pytest.raises(IsthmusError, match="3 labels for 200 samples"):
        detector.report(new_rows()[0], tmp_path, y=[0, 1, 0])


def test_rows_are_called_what_people_call_them(
    check_page: Any, quick: None, detector: AnomalyDetector, tmp_path: Path
) -> None:
    rows = new_rows()[0].set_index(pd.Index([f"P-{i}" for i in range(200)], name="patient"))
    strangest = Findings.of(detector, detector._open(rows)).order[0]
    page = detector.report(rows, tmp_path)
    assert f"row {strangest}, P-{strangest}" in " ".join(check_page(page).words)
    page = detector.report(rows.reset_index(), tmp_path)  # a column that the detector was not told of
    assert f"row {strangest}, P-{strangest}" in " ".join(check_page(page).words)


@pytest.mark.parametrize("kind", ["images", "signals"])
def test_samples_are_shown_beside_what_was_expected(check_page: Any, kind: DetectorKind, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    if kind == "images":
        usual = rng.normal(128, 10, (50, 12, 12)) + 60 * np.sin(np.arange(12) + rng.uniform(0, 6, (50, 1, 1)))
        usual = usual.clip(0, 255).astype(np.uint8)
        new = usual[:9].copy()
        new[7, 3:7, 4:8] = 255
    else:
        usual = np.sin(np.arange(64) / 3 + rng.uniform(0, 6, (50, 1))) + 0.05 * rng.normal(size=(50, 64))
        new = usual[:9].copy()
        new[7, 30:34] += 4
    detector = AnomalyDetector(kind=kind, epochs=3, random_state=0).fit(usual)
    page = check_page(detector.report(new, tmp_path, title="parts"))
    said = " ".join(page.words)
    assert page.figures >= {"strangest", "strangeness", "p_values"}
    assert "detector.save('detector') # on the command line: --save-model detector" in re.sub(r"\s+", " ", said)
    unit = kind[:-1]
    assert f"The strangest {kind}" in said and f"Nothing is flagged among 9 {kind}" in said
    assert f"1 {unit} is stranger than every calibration sample" in said and "what would have been expected" in said
    p = detector.p_values(new)
    order = np.argsort(-p, kind="stable")[::-1]
    assert order[0] == 7 and f"{unit} 7 {unit} {order[1]}" in re.sub(r"\s+", " ", said)
    assert all(f"p {number(value)}" in said for value in sorted(p)[:7])  # under the pictures of the strangest
    with Image.open(tmp_path / "figures" / "strangest.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), int)
    assert pixels.std() > 10  # something is drawn
    warm = (pixels[..., 0] - pixels[..., 2] > 60).any()  # what is strange; of signals it is a line
    assert warm == (kind == "images")


def test_a_series_is_shown_over_time_with_its_strange_stretches(check_page: Any, quick: None, tmp_path: Path) -> None:
    rng, steps = np.random.default_rng(0), np.arange(900)
    usual = np.stack([np.sin(steps / 8), rng.normal(size=900)], 1) + 0.05 * rng.normal(size=(900, 2))
    frame = pd.DataFrame(usual, columns=["<b>load", "noise"])
    frame.insert(0, "time", pd.Timestamp("2024-01-01") + pd.to_timedelta(steps, "h"))
    detector = AnomalyDetector(kind="series", random_state=0).fit(frame)
    frame.loc[500:559, "<b>load"] = 3.0
    page = check_page(detector.report(frame, tmp_path / "model", y=(frame["<b>load"] == 3.0).astype(int)))
    said = " ".join(page.words)
    assert "b" not in {tag for tag, _ in page.tags} and "<b>load (" in said
    assert page.figures >= {"series", "stretch_1", "strangeness", "p_values"}
    assert "2024-01-2" in said  # step 500 is on the 21st
