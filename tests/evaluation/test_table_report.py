"""The report of models of tables with columns of any kind: what is measured, and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from isthmus import AutoEncoder
from isthmus.data.columns import TableSchema
from isthmus.data.table_scaling import TableScaler
from isthmus.errors import IsthmusError
from isthmus.evaluation import evaluate_representation
from isthmus.evaluation.page import Cell
from isthmus.evaluation.table_report import _samples
from isthmus.evaluation.table_study import cell_costs, table_study

RNG = np.random.default_rng(0)


def frame(n: int = 120) -> pd.DataFrame:
    size = RNG.normal(size=n)
    colour = np.where(size > 0.5, "<b>red</b>", np.where(RNG.random(n) < 0.5, "blue", "green"))
    table = pd.DataFrame({"size": size.round(2), "twice": (2 * size).round(2), "colour": colour})
    table["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n), unit="D")
    table["id"] = [f"customer {i}" for i in range(n)]
    table.loc[::7, ["size", "colour"]] = None
    return table


@pytest.fixture(scope="module")
def model() -> AutoEncoder:
    return AutoEncoder(2, epochs=2, random_state=0).fit(frame())


def test_costs_are_those_of_the_simplest_guess() -> None:
    schema = TableSchema.of(
        pa.table({"x": [0.0, 2.0, 4.0, None], "c": ["a", "a", "b", "b"], "k": ["u", "u", "u", "u"]})
    )
    scaler = TableScaler.of(schema, "arrow")
    values = schema.encode(pa.table({"x": [0.0, 2.0, 4.0, None], "c": ["a", "a", "a", "b"], "k": ["u"] * 4}))
    means = np.array([[2.0, 0.0, 0.0]] * 4)  # the mean, and the commonest values
    costs = cell_costs(scaler, values, means)
    np.testing.assert_allclose(np.nanmean(costs[:, :2], axis=0), 1)
    assert np.isnan(costs[3, 0]) and np.isnan(costs[:, 2]).all()  # a column of one value says nothing
    assert not np.nan_to_num(cell_costs(scaler, values, values)).any()


def test_shares_of_columns_add_up_to_likelihoods(model: AutoEncoder, tmp_path: Path) -> None:
    rows = frame(20)
    shares = model.score_columns(rows)
    assert list(shares.columns) == ["size", "twice", "colour", "day"] and shares.index.equals(rows.index)
    np.testing.assert_allclose(shares.sum(axis=1), model.score_samples(rows), rtol=1e-5)
    assert (shares.loc[::7, ["size", "colour"]] == 0).all(axis=None)
    odd = rows.assign(twice=99.0)
    assert (model.score_columns(odd)["twice"] < shares["twice"]).all()
    loaded = AutoEncoder.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.score_samples(rows), model.score_samples(rows))


def test_numbers_alone_have_no_shares() -> None:
    x = RNG.normal(size=(60, 4))
    with pytest.raises(IsthmusError, match="score_samples"):
        AutoEncoder(2, epochs=1, random_state=0).fit(x).score_columns(x)


def test_wrong_cells_are_coloured_and_right_ones_are_not(model: AutoEncoder) -> None:
    measured = table_study(model, train=frame(), test=frame(30))
    shown = _samples(measured)
    for name, cells in shown.lines:
        for original, rebuilt in zip(cells[::2], cells[1::2], strict=True):
            assert original.shade == 0
            if original.text == "–":
                assert rebuilt.shade == 0
            elif name == "colour":
                assert (rebuilt.shade > 0) == (original.text != rebuilt.text)
    assert any(isinstance(cell, Cell) and cell.shade for _, cells in shown.lines for cell in cells)
    simplest = [quality.simple for quality in measured.qualities]
    assert simplest[0] == 0 and 0.2 < simplest[2] < 0.8


def test_the_page_says_all_and_runs_no_cell(model: AutoEncoder, tmp_path: Path) -> None:
    page = model.report(frame(40), tmp_path, train=frame()).read_text(encoding="utf-8")
    assert "<b>red" not in page and "&lt;b&gt;red" in page
    for said in ("PCA with as many numbers", "what is done with it", "free text", "score_columns", "1 more left out"):
        assert said in page, said
    assert (tmp_path / "figures" / "map_0.png").is_file() and (tmp_path / "figures" / "categories-dark.png").is_file()


def test_one_row_and_one_column_have_a_report(tmp_path: Path) -> None:
    words = pd.DataFrame({"word": ["a", "b", None, "a"] * 5})
    model = AutoEncoder(1, epochs=1, random_state=0).fit(words)
    assert model.report(words[:1], tmp_path, train=words).is_file()


def test_codes_of_tables_are_evaluated(model: AutoEncoder) -> None:
    rows = frame(100)
    found = evaluate_representation(model, rows, np.arange(100) % 2)
    assert (
        found.error == "error left" and found.code.reconstruction is not None and found.pca.reconstruction is not None
    )
    with pytest.raises(IsthmusError, match="takes tables"):
        evaluate_representation(model, np.zeros((10, 4)))
