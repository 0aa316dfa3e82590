"""The page of a model of tables, without a browser."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isthmus import AutoEncoder
from isthmus.errors import IsthmusError
from isthmus.serving.explorer.atlas import Atlas
from isthmus.serving.explorer.labelled_data import LabelledData
from isthmus.serving.explorer.prepared import opened, prepared
from isthmus.serving.explorer.table_rows import Coloring, TableViewer


def frame() -> pd.DataFrame:
    x = np.arange(90.0)
    table = pd.DataFrame({"x": x, "word": np.where(x < 30, "<i>low</i>", "high")})
    table.loc[::9, "x"] = np.nan
    return table


@pytest.fixture(scope="module")
def model() -> AutoEncoder:
    return AutoEncoder(2, epochs=1, random_state=0).fit(frame())


def test_a_row_stands_beside_what_is_decoded(model: AutoEncoder) -> None:
    samples = LabelledData.of(opened(model, frame()))
    atlas = Atlas(model, samples)
    decoded = atlas.decode(atlas.codes[:1])
    assert decoded.shape == (1, 2) and not np.isnan(decoded).any()
    page = TableViewer.of_table(model.scaler_).pair(samples[0], np.array([44.0, 0.0]), 200)  # type: ignore[arg-type]
    assert "–" in page and "&lt;i&gt;low" in page and "<i>low" not in page
    assert page.count("wrong") == 1 and "44" in page  # the word; what was missing cannot be wrong
    assert prepared(model, frame()).build() is not None
    with pytest.raises(IsthmusError, match="rows of a table"):
        prepared(model, None)


def test_points_have_the_colours_of_a_column(model: AutoEncoder) -> None:
    table = opened(model, frame())
    values = table.take(np.arange(90))
    number, word = (Coloring.of_column(c, v) for c, v in zip(model.scaler_.schema.used, values.T, strict=True))  # type: ignore[attr-defined]
    assert sorted(number.names.values()) == ["30 to 60", "above 60", "below 30", "missing"]
    assert sorted(word.names.values()) == ["<i>low</i>", "high"] and len(set(number.slots)) == 4
