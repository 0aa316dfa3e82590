"""The report of an imputer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from isthmus import Imputer


def test_it_shows_what_is_filled_and_how_sure_that_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=150)
    frame = pd.DataFrame(
        {"x": x.round(2), "y": (x + 0.1 * rng.normal(size=150)).round(2), "sign": np.sign(x).astype(str)}
    )
    frame["noise"] = rng.choice(["a", "b"], 150)
    frame.loc[::5, "y"] = np.nan
    imputer = Imputer(members=2, epochs=2, random_state=0).fit(frame)
    page = imputer.report(frame, tmp_path, title="<holes>").read_text(encoding="utf-8")
    assert "&lt;holes&gt;" in page and "30 cells of 600 missing" in page and "± " in page and "hidden to judge" in page
    whole = imputer.report(frame.dropna(), tmp_path / "whole").read_text(encoding="utf-8")
    assert "nothing was filled" in whole
