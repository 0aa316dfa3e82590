"""The page of a detector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus import AnomalyDetector, IsthmusError
from isthmus.anomalies.findings import Findings
from isthmus.serving.explorer.detector_page import DetectorPage
from isthmus.serving.explorer.explanations import Rows
from isthmus.serving.explorer.labelled_data import LabelledData
from isthmus.serving.explorer.prepared import prepared


def frame(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(50, 5, n).round(2)
    return pd.DataFrame({"x": x, "<i>twice": (2 * x + rng.normal(0, 1, n)).round(2), "word": rng.choice(["a", "b"], n)})


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector(epochs=2, random_state=0).fit(frame(400, 0))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Rows of which ten are strange in one column, the hundredth the most."""
    table = frame(200, 1)
    table.loc[90:99, "<i>twice"] = 400.0
    table.loc[100, "<i>twice"] = 900.0
    return table


@pytest.mark.filterwarnings("ignore:.*none is flagged")
def test_a_list_at_any_rate_and_why(detector: AnomalyDetector, rows: pd.DataFrame) -> None:
    data = detector.scorer_.open(rows, detector)
    findings = Findings.of(detector, data)
    page = DetectorPage(detector, findings, Rows(detector, data), LabelledData.of(data).title)
    for rate in (0.01, 0.1, 0.5):
        flagged, cut = page._flagged((rate,))
        expected = detector.detect(rows, fdr=rate)
        assert flagged == expected.sum() and ((findings.p < cut) == expected).all()
    content = Rows(detector, data)(100)
    assert content.index("&lt;i&gt;twice") < content.index("x<") and "<i>twice" not in content
    assert content.count("wrong") == 1 and "900" in content
    assert page._tapped((100.2, float(findings.strangeness[100]))) == 100
    with pytest.raises(IsthmusError, match="give some, as data"):
        prepared(detector, None)


def test_in_a_browser(detector: AnomalyDetector, rows: pd.DataFrame, explorer: Any) -> None:
    cell = isthmus.explore(detector, rows)
    try:
        explorer.open(cell.url, ".blame tr")
        page = explorer.page

        def facts() -> list[str]:
            return [text.replace(",", "") for text in page.locator(".figures b").all_inner_texts()]

        first = facts()
        assert "1" in first and page.locator("input[type=text]").first.input_value() == "100"
        page.get_by_text("Next strangest", exact=True).click()
        explorer.until(lambda: "2" in facts())
        page.locator(".noUi-handle").focus()
        page.keyboard.press("End")
        explorer.until(lambda: facts()[0] != first[0])
        x = 0.12 + 0.8 * 20 / 200
        page.mouse.click(*explorer.place(x, 0.7))
        explorer.until(lambda: "2" not in facts()[3:4] and facts()[3:4] != first[3:4])
    finally:
        explorer.page.goto("about:blank")
        cell.stop()
