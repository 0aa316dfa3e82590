"""Tables as sources: what is wrong with one is said in one line, and columns of new data are found by name."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from isthmus.data.sources import subset
from isthmus.data.table_source import TableSource, open_table
from isthmus.errors import IsthmusError

N = 24
FRAME = pd.DataFrame({"size": np.sin(np.arange(N)).round(3), "kind": ["oak", "elm", None] * (N // 3)})


def values(source: TableSource) -> np.ndarray:
    return source.take(np.arange(len(source)))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.concat([FRAME, FRAME[["size"]]], axis=1), "two columns of the name 'size'; rename one of them"),
        (FRAME.rename(columns={"size": 1, "kind": "1"}), "two columns of the name '1'; rename one of them"),
        (pa.table([[1.0], [2.0]], names=["a", "a"]), "two columns of the name 'a'"),
        (FRAME.iloc[:0], "the table has 0 rows; at least 1 is needed"),
        (FRAME.assign(x=[None] * N)[["x"]], r"no column of the table can be used \('x': no value at all\)"),
        (FRAME.assign(x=[1, "a"] * (N // 2)), r"column 'x' mixes types: 'a' \(str\) in row 1, after 1 \(int\) in row"),
        (FRAME.assign(x=[None, *[np.inf] * (N - 1)]), "column 'x' holds inf in row 1; .* missing_values=\\[inf\\]"),
        (FRAME.assign(x=["-inf", *["1"] * (N - 1)]), "column 'x' holds -inf in row 0"),
        (FRAME.assign(x=[1j] * N), "column 'x' holds complex .* in row 0.* leave it out"),
        (FRAME.assign(x=[object()] * N), "column 'x' holds object .* in row 0.* leave it out"),
        (pl.DataFrame({"x": pl.Series([object()], dtype=pl.Object), "y": [1]}), "column 'x' holds Python objects"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_one_line(frame: Any, message: str) -> None:
    with pytest.raises(IsthmusError, match=message) as caught:
        open_table(frame)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ([["1"]] * N, "ignore"),
        ([{"a": 1}] * N, "ignore"),
        ([None] * N, "ignore"),
        ([""] * N, "ignore"),
        (["same"] * N, "category"),
        ([1.0] * N, "number"),
        ([True, None, False] * (N // 3), "boolean"),
        ([None, 1.5, "?"] * (N // 3), "number"),
        (np.arange(N) * 3 + 2**60, "ignore"),
        (np.full(N, 2**64 - 1, np.uint64), "ignore"),
        (pd.arrays.SparseArray([0, 0, 1] * (N // 3)), "number"),
        (pd.Series(np.sin(np.arange(N)).astype("float16")), "number"),
        (pd.PeriodIndex(["2020-01", "2021-03", "2020-07"] * (N // 3), freq="M"), "number"),
        (pd.cut(FRAME["size"], 3), "category"),
        ([dt.date(1, 1, 1), dt.date(9999, 12, 31), None] * (N // 3), "date"),
    ],
)
def test_odd_columns_work_and_come_back(column: Any, kind: str) -> None:
    frame = FRAME.assign(x=column)
    source = open_table(frame)
    assert {c.name: c.kind for c in source.schema.columns}["x"] == kind
    rebuilt = source.rebuilt(values(source))
    if not isinstance(frame["x"].dtype, pd.SparseDtype):
        assert rebuilt["x"].dtype == frame["x"].dtype
    if "?" not in list(frame["x"]):
        assert list(map(str, rebuilt["x"].dropna())) == list(map(str, frame["x"].dropna()))


@pytest.mark.parametrize(
    "columns", [[3, 5], [("a", 1), "b"], pd.MultiIndex.from_tuples([("g", "a"), ("g", "b")]), ["a\nb", ""]]
)
def test_names_and_index_of_a_frame_come_back(columns: Any) -> None:
    frame = FRAME.set_axis(columns, axis=1)
    for index in (pd.Index([1] * N), pd.MultiIndex.from_product([["u", "v"], range(N // 2)])):
        indexed = frame.set_index(index)
        source = open_table(indexed)
        rebuilt = source.rebuilt(values(source))
        assert list(rebuilt.columns) == list(frame.columns) and rebuilt.index.equals(index)
        part = subset(source, [3, 1])
        assert isinstance(part, TableSource) and part.rebuilt(values(part)).index.equals(index[[3, 1]])
        assert part.location(0) == "row 3"


def test_columns_of_new_data_are_found_by_name() -> None:
    schema = open_table(FRAME.assign(note=[f"n {i}" for i in range(N)])).schema
    turned = FRAME[["kind", "size"]].assign(extra=1)
    with pytest.warns(UserWarning, match="columns that the model does not know are ignored: 'extra'"):
        source = open_table(turned, schema=schema)
    np.testing.assert_array_equal(values(source), open_table(FRAME).schema.encode(open_table(FRAME).table))
    with pytest.raises(IsthmusError, match="lacks column 'kind', which the model was trained with"):
        open_table(FRAME[["size"]], schema=schema)
    with pytest.warns(UserWarning, match="trained with are missing, and count as unknown: 'kind'"):
        filled = open_table(FRAME[["size"]], schema=schema, missing_columns="fill")
    assert np.isnan(values(filled)[:, 1]).all() and not np.isnan(values(filled)[:, 0]).any()
    with pytest.raises(IsthmusError, match="unknown missing_columns 'fil'; did you mean 'fill'"):
        open_table(FRAME, schema=schema, missing_columns="fil")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([1.5, "2", "two"], r"column 'size' holds 'two' \(.*string\) in row 2, where .* trained with a number"),
        ([None, pd.Timestamp("2020-01-01")], r"'size' holds .*2020.* in row 1, where .* trained with a number"),
        ([1.0, -np.inf], "column 'size' holds -inf in row 1"),
        ([[1]], r"column 'size' holds \[1\] \(list.*\) in row 0"),
    ],
)  # fmt: skip
def test_cells_of_another_kind_are_named_with_their_row(cells: Any, message: str) -> None:
    column = pd.Series(list(map(str, cells)) if "two" in cells else cells)
    with pytest.raises(IsthmusError, match=message):
        open_table(pd.DataFrame({"size": column, "kind": "oak"}), schema=open_table(FRAME).schema)


def test_what_is_known_is_never_touched_by_filling() -> None:
    """In the type of the new table, also where that is another one than the training data's."""
    whole = pd.DataFrame({"n": [1, 2, 3, 4], "k": pd.Categorical(["a", "b", "a", "b"])})
    schema = open_table(whole).schema
    new = pd.DataFrame({"n": [1.5, np.nan, 2.5], "k": pd.Categorical(["new", None, "a"], ["new", "a"])})
    source = open_table(new, schema=schema)
    filled = source.as_given(source.filled(np.array([[1, 0], [3, 1], [1, 0.0]])))
    assert filled["n"].tolist() == [1.5, 3.0, 2.5]
    assert filled["k"].tolist() == ["new", "b", "a"]


def test_text_that_stands_for_nothing_and_values_that_do_on_request() -> None:
    frame = pd.DataFrame({"a": ["x", " ? ", "N/A", "y"], "b": [1.0, -999, 3, 4]})
    source = open_table(frame, markers=[-999])
    assert np.isnan(values(source)).tolist() == [[False, False], [True, True], [True, False], [False, False]]
    assert source.holes == 3
    again = open_table(frame, schema=source.schema)  # the schema remembers them
    np.testing.assert_array_equal(values(again), values(source))


ADULT = "number category number category number category category category category category number number number"
SIX = {
    "adult-train": f"{ADULT} category category",
    "adult-test": f"{ADULT} category category",
    "german": "category number category category number category category number category category number category "
    "number category category number category number category category number",
    "horse-colic": "number number ignore " + "number " * 21 + "category category category number",
    "titanic": "number number category number number number number category category category boolean category "
    "category category boolean",
    "penguins": "category category number number number number category",
    "diamonds": "number category category category number number number number number number",
}


@pytest.mark.parametrize("name", SIX)
def test_tables_as_people_have_them(real_data: Path, name: str) -> None:
    path = real_data / "tables" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"needs {path}")
    source = open_table(path)
    assert [column.kind for column in source.schema.columns] == SIX[name].split()
    if name == "horse-colic":
        assert "an identifier: 284 different numbers" in source.schema.columns[2].note
        assert source.holes == 1605
    if name.startswith("adult"):
        assert source.schema.columns[1].missing == {"adult-train": 1836, "adult-test": 963}[name]
