"""Rows that never were: of the same columns, within what was learned, as conditions want them, and no copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus import AutoEncoder, IsthmusError
from isthmus.latent import row_density

ROWS = 400


def people(n: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Columns of every kind with holes; the height follows from the sex."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], n)
    frame = pd.DataFrame(
        {
            "name": [f"person {i}" for i in rng.integers(10**9, size=n)],
            "sex": sex,
            "age": rng.integers(18, 90, n),
            "height": (165.0 + 30 * (sex == "m") + rng.normal(0, 3, n)).round(1),
            "born": pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 20_000, n), "D"),
            "member": rng.random(n) < 0.3,
            "size": pd.Categorical(rng.choice(["S", "M", "L"], n), categories=["S", "M", "L", "XL"]),
        }
    )
    frame.loc[rng.random(n) < 0.2, "height"] = np.nan
    frame.loc[rng.random(n) < 0.1, "size"] = None
    return frame


@pytest.fixture(scope="module")
def model() -> AutoEncoder:
    return AutoEncoder(latent_dim=4, epochs=40, batch_size=200, random_state=0).fit(people())


def test_rows_are_like_those_of_the_table(model: AutoEncoder) -> None:
    frame, rows = people(), model.sample(1000, random_state=1)
    assert rows.columns.tolist() == frame.columns.tolist()
    assert (
        rows.drop(columns="name").dtypes.astype(str).tolist() == frame.drop(columns="name").dtypes.astype(str).tolist()
    )
    assert rows["name"].isna().all() and len(rows) == 1000
    for column in ("age", "height", "born"):
        assert rows[column].min() >= frame[column].min() and rows[column].max() <= frame[column].max()
    assert set(rows["size"].dropna()) <= {"S", "M", "L"} and set(rows["sex"]) == {"f", "m"}
    np.testing.assert_allclose(rows["height"].dropna(), rows["height"].dropna().round(1))
    assert 0.1 < rows["height"].isna().mean() < 0.3 and rows["sex"].notna().all()
    means = rows.groupby("sex")["height"].mean()
    assert means["m"] - means["f"] > 15  # of 30


def test_a_seed_draws_the_same_rows_also_from_the_disk(model: AutoEncoder, tmp_path: Path) -> None:
    rows = model.sample(50, random_state=3)
    pd.testing.assert_frame_equal(rows, model.sample(50, random_state=3))
    assert not rows.equals(model.sample(50, random_state=4))
    pd.testing.assert_frame_equal(rows, isthmus.load(model.save(tmp_path / "m")).sample(50, random_state=3))


def test_a_run_that_was_resumed_draws_the_same_rows(tmp_path: Path) -> None:
    def drawn(epochs: int, **options: Any) -> pd.DataFrame:
        model = AutoEncoder(latent_dim=2, epochs=epochs, batch_size=200, random_state=0)
        return model.fit(people(100), checkpoint=tmp_path / "run", **options).sample(20, random_state=0)

    rows = drawn(2)
    assert (tmp_path / "run-2").exists()
    (tmp_path / "run-2").unlink()  # as if it had been stopped before its second part
    pd.testing.assert_frame_equal(drawn(2, resume=True), rows)


def test_rows_fulfil_conditions(model: AutoEncoder) -> None:
    rows = model.sample(100, random_state=0, where={"sex": "m", "age": (30, 40), "size": ["S", None]})
    assert (rows["sex"] == "m").all() and rows["age"].between(30, 40).all()
    assert (rows["size"].isna() | (rows["size"] == "S")).all() and rows["size"].isna().any()
    assert rows["height"].mean() > 185  # what follows from a condition is drawn so
    rows = model.sample(20, random_state=0, where={"born": ("1960-01-01", "1961-12-31"), "height": (None, 170.04)})
    assert rows["born"].between("1960-01-01", "1961-12-31").all() and (rows["height"] <= 170).all()
    rows = model.sample(20, random_state=0, where={"height": [166.2, 195.1, None]})
    assert set(rows["height"].dropna()) == {166.2, 195.1} and rows["height"].isna().any()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"sex": "x"}, "unknown value of column 'sex' 'x'"),
        ({"sax": "f"}, "unknown column 'sax'; did you mean 'sex'"),
        ({"name": "Ann"}, "'name' was left out in training"),
        ({"age": (100, 110)}, "no value from 100 to 110; in the training data it goes from 18 to 89"),
        ({"age": (40, 30)}, "goes from 40 to 30"),
        ({"age": "old"}, "holds a number, which 'old' is not"),
        ({"sex": None}, "no missing cell"),
        ({"age": 30.5}, "is never 30.5"),
    ],
)
def test_conditions_that_no_row_fulfils(model: AutoEncoder, where: dict[str, Any], message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        model.sample(5, where=where)


def test_conditions_that_hardly_a_row_fulfils(model: AutoEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_density, "_LEAST_ROWS", 100)  # of 360
    with pytest.raises(IsthmusError, match="of all rows are expected to be like that, which is too few"):
        model.sample(5, where={"sex": "m", "height": (None, 165)})


def test_copies_are_refused() -> None:
    frame = pd.DataFrame({"a": ["x", "y"] * 30, "b": ["u", "v"] * 30})
    model = AutoEncoder(latent_dim=1, epochs=200, batch_size=60, random_state=0).fit(frame)
    drawn = model.sample(200, random_state=0, copies="allow")
    copies = [(row.a, row.b) in {("x", "u"), ("y", "v")} for row in drawn.itertuples()]
    assert np.mean(copies) > 0.5
    with pytest.raises(IsthmusError, match="are copies of training rows; copies='allow'"):
        model.sample(2000, random_state=0)


def test_how_near_rows_come_to_the_training_rows(model: AutoEncoder) -> None:
    frame = people()
    privacy = model.row_privacy(model.sample(300, random_state=0), frame)
    assert privacy.copies == 0 and privacy.usual_copies == 0 and privacy.held_out == ROWS // 10
    assert 0.7 < privacy.distance / privacy.usual_distance < 1.4 and privacy.too_near < 0.2
    copied = model.row_privacy(frame, frame)
    assert copied.copies == 0.9 and copied.distance == 0 and copied.too_near > 0.8
    with pytest.raises(IsthmusError, match="0 were trained on"):
        model.row_privacy(frame, people(50, seed=1))


def test_models_that_draw_no_rows(model: AutoEncoder) -> None:
    partly = AutoEncoder(latent_dim=2, random_state=0).partial_fit(people())
    with pytest.raises(IsthmusError, match="trained by partial_fit"):
        partly.sample(3)
    numbers = AutoEncoder(latent_dim=1, epochs=1, random_state=0).fit(np.random.default_rng(0).normal(size=(40, 3)))
    with pytest.raises(IsthmusError, match="where and copies are for rows of tables"):
        numbers.sample(3, where={"x0": 1})
    with pytest.raises(IsthmusError, match="n \\(=0\\)"):
        model.sample(0)
