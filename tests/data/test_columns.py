"""Columns of every kind, of every type, with holes and without: to numbers and back."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import tables_of_every_kind as tables

from isthmus.data.cells import Numbers
from isthmus.data.column_kinds import ColumnKind
from isthmus.data.columns import TableSchema
from isthmus.data.table_source import open_table
from isthmus.errors import IsthmusError
from isthmus.registry import column_kinds

HOLES = pytest.mark.parametrize("holes", [False, True], ids=["whole", "holes"])
LIBRARIES = pytest.mark.parametrize("library", tables.LIBRARIES)


def the_only(name: str, array: Any, **options: Any) -> Any:
    """The column that an array is taken for."""
    return TableSchema.of(pa.table({name: array, "other": np.sin(np.arange(len(array)))}), **options).columns[0]


@HOLES
@LIBRARIES
def test_every_type_goes_to_numbers_and_back_unchanged(library: str, holes: bool) -> None:
    frame = tables.LIBRARIES[library](holes)
    source = open_table(frame)
    values = source.take(np.arange(len(source)))
    assert values.shape == (tables.ROWS, len(source.schema.used)) and len(source.schema.used) == len(
        source.schema.columns
    )
    rebuilt = source.rebuilt(values)
    assert tables.types_of(rebuilt) == tables.types_of(frame)
    for name in tables.types_of(frame):
        assert tables.column_of(rebuilt, name) == tables.column_of(frame, name), name
        position = next(i for i, c in enumerate(source.schema.used) if c.name == str(name))
        missing = [cell is None for cell in tables.column_of(frame, name)]
        assert np.isnan(values[:, position]).tolist() == missing


@HOLES
@LIBRARIES
def test_a_schema_comes_back_from_json(library: str, holes: bool) -> None:
    source = open_table(tables.LIBRARIES[library](holes))
    again = TableSchema.from_dict(json.loads(json.dumps(source.schema.to_dict(), allow_nan=False)))
    assert again == source.schema and again.arrow.equals(source.schema.arrow)
    np.testing.assert_array_equal(again.encode(source.table), source.schema.encode(source.table))


@HOLES
@pytest.mark.parametrize("kind", column_kinds.names())
@pytest.mark.parametrize("name", tables.arrow_types())
def test_every_kind_takes_a_type_or_refuses_it_in_one_line(kind: str, name: str, holes: bool) -> None:
    """What is taken comes back in its own type, and each cell is one that occurs or lies between such."""
    table = tables.arrow(holes).select([name, "float64"])
    try:
        schema = TableSchema.of(table, {name: kind})
    except IsthmusError as error:
        assert f"'{name}'" in str(error) and "\n" not in str(error)
        return
    handler: type[ColumnKind] = column_kinds[kind]
    assert schema.columns[0].kind == kind and schema.columns[0].treatment.startswith(handler.summary)
    matrix = schema.encode(table)
    assert not np.isinf(matrix).any()
    assert schema.decode(matrix, table).select([name]).equals(table.select([name]))
    blurred = matrix + np.random.default_rng(0).normal(size=matrix.shape) * np.nanstd(matrix, 0)
    cells = schema.decode(blurred, table).column(name)
    known, allowed = cells.drop_null().to_pylist(), table.column(name).drop_null().to_pylist()
    assert cells.type == table.schema.field(name).type and cells.null_count == table.column(name).null_count
    if handler.block == "categories" or kind == "ordinal":
        assert set(known) <= set(allowed)
    else:
        assert min(known) >= min(allowed) and max(known) <= max(allowed)


@pytest.mark.parametrize(
    ("cells", "kind", "note"),
    [
        ([1, 2, 2, None], "number", ""),
        ([1.5, None], "number", ""),
        ([True, None], "boolean", ""),
        (["a", "b", "?", None], "category", ""),
        (["1.5", "2", "NA"], "number", "numbers written as text"),
        (["007", "012"], "category", ""),
        (["2020-01-31", ""], "date", "read as %Y-%m-%d"),
        (["2020-01-31 12:05:00"], "date", "read as %Y-%m-%d %H:%M:%S"),
        (["2020-01-31T12:05:00+02:00"], "date", "read as %Y-%m-%dT%H:%M:%SZ, in UTC"),
        (["31.12.2020", "01.02.2021"], "date", "read as %d.%m.%Y"),
        (["31/12/2020 08:30"], "date", "read as %d/%m/%Y %H:%M"),
        (["12/31/2020"], "date", "read as %m/%d/%Y"),
        (["01/02/2020"], "date", "read as %d/%m/%Y; month and day could be exchanged"),
        (["05-Mar-2021"], "date", "read as %d-%b-%Y"),
        (["01/02/21"], "date",
         "read as %d/%m/%y; years of two digits are 1969 to 2068; month and day could be exchanged"),
        (["3/14/2021 1:05 PM"], "date", "read as %m/%d/%Y %I:%M %p"),
        (["2:05:00", "12:30:59"], "duration", "spans of time"),
        (["3 kg", "4 kg"], "number", "read as numbers: '3 kg' is 3"),
        (["1.234,50 €", "-3,00 €"], "number", "read as numbers: '1.234,50 €' is 1234.5"),
        (["1.234 €", "980 €"], "number", "read as numbers: '1.234 €' is 1234"),
        (["$1,234", "$980"], "number", "read as numbers: '$1,234' is 1234"),
        (["($5.00)", "$1,000.25"], "number", "read as numbers: '$1,000.25' is 1000.25"),
        (["5.5-", "12.0"], "number", "read as numbers: '5.5-' is -5.5"),
        (["12,5 %", "3 %"], "number", "read as numbers: '12,5 %' is 12.5"),
        (["1,234 kg", "3,500 kg"], "category", ""),  # three decimals, or a thousand
        (["1A", "2A"], "category", ""),
        (["A11", "A12"], "category", ""),
        (["007 kg", "012 kg"], "category", ""),
        (["OK", "no", "ok "], "category", "'OK' and 'ok ' differ in capitals or spaces only, and count as two"),
        (["x", None], "category", "'x' or nothing: if nothing means no, write that into the table"),
        ([-999.0, 1.5, 2.5, -999.0], "number", "2 cells hold -999, far from all others: if that means missing, say "
                                               "missing_values=[-999] (--missing-value -999)"),
        ([99, 99, 98, 40], "number", ""),
        (["<0.5", *map(str, range(60))], "ignore",
         "numbers, but for '<0.5' in row 0; make such cells numbers or dates, or missing"),
        ([None, *(f"{d % 28 + 1:02d}.{d % 12 + 1:02d}.2021" for d in range(60)), "31.02.2021"], "ignore",
         "dates, but for '31.02.2021' in row 61; make such cells numbers or dates, or missing"),
        ([f"word {i}" for i in range(60)], "ignore", "free text: 60 different texts in 60 rows"),
        ([f"k{i}" for i in range(60)], "ignore", "an identifier: 60 different texts in 60 rows"),
        (list(range(7, 40)), "ignore", "counts the rows"),
        ([530_000 + 7 * (i * i % 61) for i in range(30)], "ignore", "an identifier: 30 different numbers in 30 rows"),
        ([2**60 + i for i in range(5)], "ignore", "whole numbers beyond 2^53: identifiers"),
        ([None, None], "ignore", "no value at all"),
        (["", "?"], "ignore", "no value at all"),
        ([[1, 2], [3]], "ignore", "holds list<item: int64>"),
        ([{"a": 1}], "ignore", "holds struct<a: int64>"),
        ([b"x", b"y"], "ignore", "holds binary"),
    ],
)  # fmt: skip
def test_kinds_are_guessed_and_say_why(cells: list[Any], kind: str, note: str) -> None:
    column = the_only("x", pa.array(cells))
    assert (column.kind, column.note) == (kind, note)


def test_a_name_can_say_that_numbers_are_identifiers() -> None:
    numbers = pa.array(np.random.default_rng(0).permutation(5000)[:60])
    kinds = {name: the_only(name, numbers).kind for name in ("customer_id", "PatientID", "id", "paid", "price")}
    assert kinds == {
        "customer_id": "ignore",
        "PatientID": "ignore",
        "id": "ignore",
        "paid": "number",
        "price": "number",
    }


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%d.%m.%Y", "%d/%m/%Y %H:%M"])
def test_text_that_spells_dates_is_written_as_it_came(form: str) -> None:
    texts = [day.strftime(form) for day in pd.date_range("2020-01-13", periods=40, freq="28h10min")]
    table = pa.table({"day": texts})
    schema = TableSchema.of(table)
    assert schema.columns[0].kind == "date"
    assert schema.decode(schema.encode(table)).column("day").to_pylist() == texts


@pytest.mark.parametrize(
    "cells",
    [
        ["1.234,50 €", "-3,99 €", "12,00 €"],
        ["$1,234", "$980", "-$5"],
        ["(1,234.50)", "866.97"],
        ["5.5-", "12.0"],
        ["CHF 12'000.50", "CHF 3.20"],
        ["12,5 %", "3 %"],
        ["2:05:00", "112:30:59"],
        ["05:30", "12:05"],
    ],
)
def test_text_with_marks_is_written_as_it_came(cells: list[str]) -> None:
    table = pa.table({"x": [*cells, None]})
    schema = TableSchema.of(table)
    assert schema.columns[0].kind in ("number", "duration")
    assert schema.decode(schema.encode(table)).equals(table)
    with pytest.raises(IsthmusError, match=r"column 'x' holds 'some' .* in row 1, where"):
        schema.encode(pa.table({"x": [cells[0], "some"]}))


def test_of_many_categories_the_commonest_are_told_apart() -> None:
    table = pa.table({"x": [f"k{i % 10_000}" for i in range(30_000)] + ["often"] * 30})
    column = TableSchema.of(table).columns[0]
    assert column.distinct == 10_001 and len(column.settings["counts"]) == 256
    assert "the 255 commonest of 10,001 are told apart" in column.treatment
    assert column.settings["values"][0] == "often" and sum(column.settings["counts"]) == 30_030


@pytest.mark.parametrize("scale", [1e-300, 1e-5, 1e15, 1e300])
def test_numbers_of_any_size_stay_finite(scale: float) -> None:
    values = np.random.default_rng(0).standard_cauchy(200) * scale
    values = values[np.isfinite(values)]
    column = the_only("x", values)
    assert all(np.isfinite(v) for v in column.settings.values() if isinstance(v, float))
    block = Numbers([0], [column])
    features = block.features(torch.from_numpy(values)[:, None])
    assert features.isfinite().all()
    for outputs in (features, torch.tensor([[1e3], [-1e3], [1e30]])):
        decoded = column.handler.decode(block.values(outputs)[:, 0].numpy(), column.settings).to_numpy()
        assert values.min() <= decoded.min() and decoded.max() <= values.max()


@pytest.mark.parametrize(
    ("trained", "given", "codes"),
    [
        (["a", "b", "a"], ["b", "new", None], [1, 2, np.nan]),
        ([1, 2, 1], [2.0, 1.5, np.nan], [1, 2, np.nan]),
        ([1, 2, 1], ["2", "x", None], [1, 2, np.nan]),
        (["1", "2", "1"], [2, 3, None], [1, 2, np.nan]),
        ([True, False, True], [False, True, None], [1, 0, np.nan]),
    ],
)
def test_categories_that_training_never_saw_are_one_of_their_own(trained: Any, given: Any, codes: Any) -> None:
    schema = TableSchema.of(pa.table({"x": trained}), {"x": "category"})
    np.testing.assert_array_equal(schema.encode(pa.table({"x": pa.array(given, from_pandas=True)}))[:, 0], codes)


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_dates_of_all_years_come_back_to_the_second(unit: str) -> None:
    cells = [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59), dt.datetime(2020, 2, 29), None]
    table = pa.table({"x": pa.array(cells, pa.timestamp(unit))})
    schema = TableSchema.of(table)
    assert schema.decode(schema.encode(table)).equals(table)
    with pytest.raises(IsthmusError, match="column 'x' cannot be a date: it holds dates more than 285,000 years"):
        TableSchema.of(pa.table({"x": pa.array([0, 2**60]).cast(pa.timestamp("s"))}))


CELLS = st.one_of(
    st.lists(st.integers(-(2**50), 2**50) | st.none(), min_size=6, max_size=6),
    st.lists(st.floats(-1e12, 1e12, allow_subnormal=False) | st.none(), min_size=6, max_size=6),
    st.lists(st.booleans() | st.none(), min_size=6, max_size=6),
    st.lists(st.text("abc ", min_size=1) | st.none(), min_size=6, max_size=6),
    st.lists(st.datetimes(dt.datetime(1880, 1, 1), dt.datetime(2100, 1, 1)), min_size=6, max_size=6),
    st.lists(st.dates() | st.none(), min_size=6, max_size=6),
    st.lists(st.times() | st.none(), min_size=6, max_size=6),
    st.lists(st.timedeltas(dt.timedelta(-40_000), dt.timedelta(40_000)) | st.none(), min_size=6, max_size=6),
    st.lists(st.decimals(-1000, 1000, places=2) | st.none(), min_size=6, max_size=6),
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=5), CELLS, min_size=1, max_size=4))
def test_any_frame_keeps_its_shape_names_types_and_values(columns: dict[str, list[Any]]) -> None:
    """Whatever numbers come out of a network, too: no cell is one that the column could not hold."""
    table = pa.table({name: pa.array(cells) for name, cells in columns.items()})
    try:
        schema = TableSchema.of(table)
    except IsthmusError as error:
        assert "no column of the table can be used" in str(error)
        return
    matrix = schema.encode(table)
    rebuilt = schema.decode(matrix, table)
    assert rebuilt.schema.equals(table.schema) and rebuilt.num_rows == 6
    rng = np.random.default_rng(0)
    wild = schema.decode(rng.normal(size=matrix.shape) * 10.0 ** rng.integers(-3, 300, matrix.shape), table)
    assert wild.schema.equals(table.schema)
    for column in schema.used:
        cells = [None if str(cell).strip() == "" else cell for cell in table.column(column.name).to_pylist()]
        found = rebuilt.column(column.name).to_pylist()
        assert found == cells, column
        known = [cell for cell in cells if cell is not None]
        for cell in wild.column(column.name).to_pylist():
            assert cell in known if column.kind in ("category", "boolean") else min(known) <= cell <= max(known)
