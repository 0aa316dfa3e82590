"""`Imputer`: holes are filled with what the columns could hold, better than by simple ways; what is known stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # makes the next import work
from sklearn.impute import IterativeImputer
from tests import tables_of_every_kind as tables

from isthmus import Imputer, IsthmusError, load


def birds(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Three species on three islands, with sizes that follow from both and from the sex, along a curve."""
    rng = np.random.default_rng(seed)
    species, sex = rng.integers(0, 3, n), rng.integers(0, 2, n)
    size = rng.normal(size=n)
    bill = np.array([39, 49, 47])[species] + 2 * sex + size
    mass = np.array([3700, 3750, 5100])[species] + 600 * sex + 300 * np.tanh(size) + 40 * rng.normal(size=n)
    island = np.where(rng.random(n) < 0.9, species, rng.integers(0, 3, n))
    return pd.DataFrame(
        {
            "species": np.array(["Adelie", "Chinstrap", "Gentoo"])[species],
            "island": pd.Categorical(np.array(["Torgersen", "Dream", "Biscoe"])[island]),
            "bill": bill.round(1),
            "depth": (20 - 3 * (species == 2) + sex + 0.2 * (bill - 44) ** 2 / 25 + 0.3 * rng.normal(size=n)).round(1),
            "mass": mass.round().astype("int64"),
            "male": sex.astype(bool),
        }
    )


def holed(frame: pd.DataFrame, share: float = 0.2, seed: int = 1) -> tuple[pd.DataFrame, np.ndarray]:
    """A frame with nullable columns, some cells hidden; and which these are."""
    hidden = np.random.default_rng(seed).random(frame.shape) < share
    nullable = frame.astype({"mass": "Int64", "male": "boolean"})
    return nullable.mask(hidden), hidden


def errors(frame: pd.DataFrame, filled: pd.DataFrame, hidden: np.ndarray) -> tuple[float, float]:
    """Of hidden cells: the error of numbers in standard deviations, and the share of words that are wrong."""
    numbers, words = [], []
    for j, name in enumerate(frame.columns):
        right, found, at = frame[name], filled[name], hidden[:, j]
        if name in ("bill", "depth", "mass"):
            off = (right.astype(float) - found.astype(float))[at] / right.astype(float).std()
            numbers.append(float(np.sqrt((off**2).mean())))
        else:
            words.append(float((right.astype(str) != found.astype(str))[at].mean()))
    return float(np.mean(numbers)), float(np.mean(words))


def linear(holes: pd.DataFrame) -> pd.DataFrame:
    """Chained linear regressions on one-hot columns."""
    columns = {}
    for name in holes.columns:
        column = holes[name]
        if name in ("bill", "depth", "mass"):
            columns[name] = column.astype("Float64").to_numpy(float, na_value=np.nan)
            continue
        for value in column.dropna().unique():
            columns[f"{name}={value}"] = np.where(column.isna(), np.nan, (column == value).fillna(False).astype(float))
    matrix = pd.DataFrame(columns)
    full = pd.DataFrame(IterativeImputer(random_state=0).fit_transform(matrix), columns=matrix.columns)
    found = {}
    for name in holes.columns:
        if name in full:
            found[name] = full[name]
        else:
            mine = full[[c for c in full.columns if c.startswith(f"{name}=")]]
            found[name] = mine.idxmax(axis=1).str.partition("=")[2]
    return pd.DataFrame(found)


def simple(holes: pd.DataFrame) -> pd.DataFrame:
    """Means and the commonest values."""
    means = {name: holes[name].astype("Float64").mean() for name in ("bill", "depth", "mass")}
    return pd.DataFrame({n: holes[n].astype(object).fillna(means.get(n, holes[n].mode()[0])) for n in holes.columns})


@pytest.fixture(scope="module")
def task() -> Any:
    frame = birds()
    holes, hidden = holed(frame)
    return frame, holes, hidden


@pytest.fixture(scope="module")
def fitted(task: Any) -> Imputer:
    return Imputer(epochs=100, random_state=0).fit(task[1])


def test_it_finds_what_was_hidden_better_than_simple_and_linear_ways(task: Any, fitted: Imputer) -> None:
    frame, holes, hidden = task
    ours = errors(frame, fitted.transform(holes), hidden)
    lines, means = errors(frame, linear(holes), hidden), errors(frame, simple(holes), hidden)
    untrained = errors(frame, Imputer(epochs=1, random_state=0).fit(holes).transform(holes), hidden)
    assert ours[0] < 0.75 * means[0] and ours[1] < 0.75 * means[1]
    assert ours[0] < lines[0] and ours[1] < lines[1]
    assert sum(ours) < sum(untrained)


def test_what_it_says_of_itself_is_what_it_is_worth(task: Any, fitted: Imputer) -> None:
    frame, holes, hidden = task
    numbers, words = errors(frame, fitted.transform(holes), hidden)
    said = {entry.column: entry for entry in fitted.recovery_}
    assert list(said) == list(frame.columns)
    assert np.mean([said[n].ours for n in ("bill", "depth", "mass")]) == pytest.approx(numbers, abs=0.15)
    assert 1 - np.mean([said[n].ours for n in ("species", "island", "male")]) == pytest.approx(words, abs=0.1)


def test_what_is_known_stays_and_what_is_filled_could_have_been_there(task: Any, fitted: Imputer) -> None:
    frame, holes, hidden = task
    before = holes.copy()
    filled = fitted.transform(holes)
    pd.testing.assert_frame_equal(holes, before)
    assert (filled.dtypes == holes.dtypes).all() and not filled.isna().any().any()
    for j, name in enumerate(frame.columns):
        assert filled[name][~hidden[:, j]].tolist() == frame[name][~hidden[:, j]].tolist()
        known = holes[name].dropna()
        if name in ("species", "island", "male"):
            assert set(filled[name]) <= set(known)
        else:
            assert filled[name].min() >= known.min() and filled[name].max() <= known.max()
            decimals = 0 if name == "mass" else 1
            assert np.allclose(filled[name].astype(float), filled[name].astype(float).round(decimals))


def test_doubt_is_where_nothing_is_known_and_draws_follow_it(task: Any, fitted: Imputer) -> None:
    _, holes, hidden = task
    filled, doubt = fitted.transform(holes, return_std=True)
    assert doubt.shape == hidden.shape and (doubt[~hidden] == 0).all() and (doubt[hidden] > 0).mean() > 0.99
    assert doubt[:, [0, 1, 5]].max() <= 1
    draws = fitted.sample(holes, 3, random_state=1)
    assert len(draws) == 3 and not draws[0].equals(draws[1])
    again = fitted.sample(holes, 3, random_state=1)
    assert all(first.equals(second) for first, second in zip(draws, again, strict=True))
    for draw in draws:
        assert (draw.dtypes == filled.dtypes).all() and set(draw["species"]) <= set(filled["species"])
        assert draw["species"][~hidden[:, 0]].equals(filled["species"][~hidden[:, 0]])


def test_a_saved_one_gives_the_same(task: Any, fitted: Imputer, tmp_path: Path) -> None:
    _, holes, _ = task
    fitted.save(tmp_path / "m")
    again = load(tmp_path / "m")
    pd.testing.assert_frame_equal(again.transform(holes), fitted.transform(holes))
    np.testing.assert_array_equal(
        again.transform(holes, return_std=True)[1], fitted.transform(holes, return_std=True)[1]
    )
    assert again.recovery_ == fitted.recovery_ and again.schema_ == fitted.schema_
    assert again.get_params()["epochs"] == 100 and list(again.feature_names_in_) == list(holes.columns)


@pytest.mark.parametrize("library", tables.LIBRARIES)
def test_every_library_and_type_is_filled(library: str) -> None:
    """The same kind of frame, names, order and types come out, without a hole; what is known is unchanged."""
    frame = tables.LIBRARIES[library](True)
    filled = Imputer(members=2, epochs=1, random_state=0).fit_transform(frame)
    assert type(filled) is type(frame)
    assert tables.types_of(filled) == tables.types_of(frame)
    for name in tables.types_of(frame):
        before, after = tables.column_of(frame, name), tables.column_of(filled, name)
        assert None not in after, name
        assert [b if b is None else a for a, b in zip(after, before, strict=True)] == before, name
        known = [cell for cell in before if cell is not None]
        if isinstance(known[0], str | bool):
            assert set(after) <= set(known)


CELLS = st.one_of(
    st.lists(st.none() | st.integers(-1000, 1000), min_size=8, max_size=8),
    st.lists(st.none() | st.floats(-1e9, 1e9, width=32), min_size=8, max_size=8),
    st.lists(st.none() | st.sampled_from(["a", "b", "c d"]), min_size=8, max_size=8),
    st.lists(st.none() | st.booleans(), min_size=8, max_size=8),
    st.lists(st.none() | st.dates(), min_size=8, max_size=8),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CELLS, min_size=1, max_size=4))
def test_any_frame_is_filled_with_what_could_be_there(columns: list[list[Any]]) -> None:
    import pyarrow as pa

    table = pa.table({f"c{j}": pa.array(cells) for j, cells in enumerate(columns)})
    imputer = Imputer(members=2, epochs=1, random_state=0)
    try:
        filled = imputer.fit_transform(table)
    except IsthmusError as error:
        assert "no value at all" in str(error)
        return
    assert filled.schema.equals(table.schema) and filled.num_rows == 8
    for column in imputer.schema_.used:
        before, after = table.column(column.name).to_pylist(), filled.column(column.name).to_pylist()
        known = [cell for cell in before if cell is not None]
        assert all(b is None or a == b for a, b in zip(after, before, strict=True))
        for cell in after:
            assert cell in known if column.kind in ("category", "boolean") else min(known) <= cell <= max(known)


def test_columns_of_new_data(fitted: Imputer, task: Any) -> None:
    frame, holes, _ = task
    expected = fitted.transform(holes)
    with pytest.warns(UserWarning, match="ignored: 'extra'"):
        pd.testing.assert_frame_equal(fitted.transform(holes.iloc[:, ::-1].assign(extra=1)), expected)
    with pytest.raises(IsthmusError, match="lacks column 'mass'"):
        fitted.transform(holes.drop(columns="mass"))
    lenient = Imputer(members=2, epochs=1, random_state=0, missing_columns="fill").fit(holes)
    with pytest.warns(UserWarning, match="count as unknown: 'mass'"):
        assert lenient.transform(holes.drop(columns="mass"))["mass"].between(frame["mass"].min(), 9999).all()
    strange = holes.assign(species="Emperor")
    assert set(fitted.transform(strange)["species"]) == {"Emperor"}  # known, though never seen in training


@pytest.mark.parametrize("X", [[[1.0, np.nan]], [[1.0, 1.0], [1.0, np.nan], [1.0, 1.0]]])
def test_one_row_and_constant_tables(X: Any) -> None:
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(c="same")
    filled = Imputer(members=2, epochs=1, random_state=0).fit_transform(frame)
    assert filled.iloc[-1]["c"] == "same" and (filled["a"] == 1).all()
