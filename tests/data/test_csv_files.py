"""Text tables in every dialect: what pandas writes is read as pandas reads it, or refused."""

from __future__ import annotations

import csv
import io
import string
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isthmus.data.csv_files import read_csv
from isthmus.data.number_texts import MISSING
from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError

WORDS = st.text(string.ascii_letters + " _-#;,.|\t'\"äß€\n", min_size=1, max_size=6).filter(
    lambda word: word.strip() == word and any(letter.isalpha() for letter in word)
)
FLOATS = st.one_of(st.floats(-1e6, 1e6), st.floats(allow_nan=True, allow_infinity=False), st.just(np.nan))
WHOLE = st.integers(-(2**53), 2**53)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Frames of numbers with gaps, whose columns are called by words or, where they are several, by numbers."""
    n, k = draw(st.integers(1, 30)), draw(st.integers(1, 6))
    columns = [draw(st.lists(draw(st.sampled_from([FLOATS, WHOLE])), min_size=n, max_size=n)) for _ in range(k)]
    first, step = draw(st.integers(0, 3000)), draw(st.sampled_from([1, 2, 5]))
    names: list[Any] = draw(st.lists(WORDS, min_size=k, max_size=k, unique=True))
    if n > 2 and k > 2 and draw(st.booleans()):
        start, apart = draw(st.sampled_from([(0, 1), (first, step), (first, 0.5)]))
        names = [start + apart * i for i in range(k)]
    return pd.DataFrame(dict(enumerate(columns))).set_axis(names, axis=1)


OPTIONS = st.fixed_dictionaries({
    "sep": st.sampled_from([",", ";", "\t", "|", " ", ":", "~"]),
    "decimal": st.sampled_from([".", ","]),
    "header": st.booleans(),
    "index": st.booleans(),
    "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    "quotechar": st.sampled_from(['"', "'"]),
    "na_rep": st.sampled_from(["", "NA", "NaN", "null", "?", "-", "missing"]),
    "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    "float_format": st.sampled_from([None, "%.3f", "%.2f", "%g", "%.17g", "%.4e"]),
    "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
    "compression": st.sampled_from([None, None, None, "gzip", "bz2", "xz", "zip"]),
})  # fmt: skip


def as_pandas_reads(path: Path, options: dict[str, Any]) -> np.ndarray:
    same = {name: options[name] for name in ("sep", "decimal", "quotechar", "encoding", "compression")}
    index = 0 if options["index"] and options["header"] else None  # without names nobody can see that it is one
    header = 0 if options["header"] else None
    frame = pd.read_csv(
        path, index_col=index, header=header, float_precision="round_trip", na_values=["?", "-"], **same
    )
    return frame.to_numpy(float)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None)
@given(frame=frames(), options=OPTIONS)
def test_what_pandas_writes_is_read_as_pandas_reads_it_or_refused(
    tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame, options: dict[str, Any]
) -> None:
    assume(options["header"] or options["decimal"] == "." or frame.shape[1] > 1)  # "1,5" may be a row of two numbers
    assume(frame.shape[1] > 1 or str(frame.columns[0]) not in MISSING)  # "NULL" over numbers may be a missing one
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    try:
        frame.to_csv(path, **options)
        expected = as_pandas_reads(path, options)
    except (ValueError, csv.Error):  # pandas cannot write it, or does not read it as numbers
        assume(False)
    try:
        source: Any = open_source(path)
    except IsthmusError as error:
        assert "\n" not in str(error)
        return
    seen = source.take(np.arange(len(source))).astype(float)
    told = f"{options} {vars(source)['dialect']}\n{frame.to_csv(**options | {'compression': None})!r}"
    np.testing.assert_array_equal(seen, expected, err_msg=told)


def read(tmp_path: Path, text: str | bytes, **options: Any) -> Any:
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_source(path, **options)


NAN = np.nan


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a;b\n1;2\n3,5;4,5\n", [[1, 2], [3.5, 4.5]]),
        ("a;b\n;2\n3,5;4,5\n", [[NAN, 2], [3.5, 4.5]]),
        ("a\tb\n1,5\t2,5\n3,5\t4,5\n", [[1.5, 2.5], [3.5, 4.5]]),
        ("a|b\n1,5|2,5\n3,5|4,5\n", [[1.5, 2.5], [3.5, 4.5]]),
        ('a,b\n"1,5","2,5"\n"3,5","4,5"\n', [[1.5, 2.5], [3.5, 4.5]]),
        ("a\n1,5\n1,75\n", [[1.5], [1.75]]),
        ("a;b\n1.299,99;2,5\n1.300,99;4,5\n", [[1299.99, 2.5], [1300.99, 4.5]]),
        ("a;b\n1.299;2,5\n1.300;4,5\n", [[1299, 2.5], [1300, 4.5]]),
        ('a,b\n"1,234",2.5\n"3,456",4\n', [[1234, 2.5], [3456, 4]]),
        ("a;b\n1 234;2\n56 789;−3\n", [[1234, 2], [56789, -3]]),
        ("a;b\n1'234.5;2\n6'789;3\n", [[1234.5, 2], [6789, 3]]),
        ('"a\n(mm)",b\n1,2\n3,4\n', [[1, 2], [3, 4]]),
        ("a, b, c\n1, 2, 3\n4, NA, 6\n", [[1, 2, 3], [4, NAN, 6]]),
        ('a, "b, c"\n1, "2"\n3, "4"\n', [[1, 2], [3, 4]]),
        ("# made by hand\n#\na,b\n1,2\n# a break\n3,4\n", [[1, 2], [3, 4]]),
        ("# a b\n1.5 2\n3 4\n", [[1.5, 2], [3, 4]]),
        ("sep=;\na;b\n1;2\n", [[1, 2]]),
        ("Instrument 7\nWarm\na,b,c\n1,2,3\n4,5,6\n7,8,9\n1,1,1\n", [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1]]),
        ("  1.0   2.0\n 10.5  -3.0\n", [[1, 2], [10.5, -3]]),
        ("a b\nr1 1 2\nr2 3 4\n", [[1, 2], [3, 4]]),
        ("a,b,\n1,2,\n3,4,\n", [[1, 2], [3, 4]]),
        ("a,b\n?,-\n1,2\nnull,N/A\n", [[NAN, NAN], [1, 2], [NAN, NAN]]),
        ("Größe;b\n1;2\n".encode("cp1252"), [[1, 2]]),
        ("a,b\r\n1,2\r\n".encode("utf-16-le"), [[1, 2]]),
    ],
)  # fmt: skip
def test_notations_and_layouts(tmp_path: Path, text: str | bytes, rows: Any) -> None:
    source = read(tmp_path, text)
    np.testing.assert_array_equal(source.take(np.arange(len(source))), rows, err_msg=source.dialect.sentence)


@pytest.mark.parametrize(
    ("text", "message", "options", "rows"),
    [
        ('a,b\n"1,234",2\n"3,456",4\n', "column 'a' .* holds '1,234'", {"decimal": ","}, [[1.234, 2], [3.456, 4]]),
        ('a,b\n"1,234",2\n"3,456",4\n', "column 'a' .* holds '1,234'", {"thousands": ","}, [[1234, 2], [3456, 4]]),
        ("a\n1,5\n2,5\n", "'1,5' below one name", {"delimiter": ";"}, [[1.5], [2.5]]),
        ("7,8,9\n7,9,3\n6,9,8\n", "names or a row", {"header": "no"}, [[7, 8, 9], [7, 9, 3], [6, 9, 8]]),
        ("7,8,9\n7,9,3\n6,9,8\n", "names or a row", {"header": True}, [[7, 9, 3], [6, 9, 8]]),
        ("1 234,5 678\n2 345,6 789\n", "between", {"delimiter": "comma"}, [[1234, 5678], [2345, 6789]]),
        ("a,b\nx1,2\nx1,3\n", "hold no numbers: 'a'", {"index": "a"}, [[2], [3]]),
    ],
)
def test_what_nothing_proves_is_refused_until_it_is_said(
    tmp_path: Path, text: str, message: str, options: dict[str, Any], rows: Any
) -> None:
    with pytest.raises(IsthmusError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value) and "open_source(" in str(caught.value)
    source = read(tmp_path, text, csv=options)
    np.testing.assert_array_equal(source.take(np.arange(len(source))), rows)
    assert read(tmp_path, text, csv=source.dialect).dialect == source.dialect


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (range(2001, 2004), True),
        (np.arange(1100, 1300, 2.0), True),
        (np.arange(4000, 3980, -2), True),
        (range(3), True),
        ([7157, 672, 675], True),  # whole numbers above fractions
        ([0.31, 0.12, 0.25], False),
    ],
)
def test_names_that_are_numbers(tmp_path: Path, names: Any, named: bool) -> None:
    X = np.random.default_rng(0).random((40, len(names)))
    frame = pd.DataFrame(X, columns=list(names))
    source = read(tmp_path, frame.to_csv(index=False))
    assert len(source) == 40 + (not named) and str(names[0]) in source.dialect.sentence
    indexed = read(tmp_path, frame.to_csv())
    np.testing.assert_array_equal(indexed.take(range(40)), X)


def test_an_index_is_known_by_its_name(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["a", "b"])
    twice = pd.read_csv(io.StringIO(frame.to_csv())).to_csv(index=False)
    named = frame.rename_axis("id")
    strings = frame.set_index(pd.Index([f"P{i}" for i in range(30)], name="patient")).to_csv()
    for text in (frame[20:].to_csv(), frame.sample(frac=1).to_csv(), twice, named[7:].to_csv(), strings):
        assert read(tmp_path, text).feature_names == ("a", "b")
    assert read(tmp_path, named.sample(frac=1, random_state=0).to_csv()).feature_names == ("id", "a", "b")
    assert read(tmp_path, named.to_csv(), csv={"index": "none"}).feature_names == ("id", "a", "b")
    assert read(tmp_path, strings, labels_column="patient").labels[:2].tolist() == ["P0", "P1"]


@pytest.mark.parametrize("kind", ["gzip", "bz2", "zstd"])
def test_packed_files(tmp_path: Path, kind: str) -> None:
    with pa.output_stream(str(tmp_path / "t.csv.zst"), compression=kind) as stream:  # the bytes say what it is
        stream.write(b"a,b\n1,2\n")
    assert open_source(tmp_path / "t.csv.zst").take([0]).tolist() == [[1, 2]]


def test_columns_of_every_type() -> None:
    text = "39, State-gov, 7.5, ?, True, 2020-01-02\n50, ?, NA, Adm, False, 2020-01-03\n50, State-gov, 3, Adm, True, \n"
    table, dialect = read_csv(text.encode())
    assert not dialect.header and table.column_names == [f"x{i}" for i in range(6)]
    types = ["int64", "string", "double", "string", "bool", "date32[day]"]
    assert [str(type_) for type_ in table.schema.types] == types
    assert table.column(1).to_pylist() == ["State-gov", None, "State-gov"]
    assert table.column(3).null_count == table.column(2).null_count == table.column(5).null_count == 1


def test_a_line_that_is_longer_than_a_block(tmp_path: Path) -> None:
    wide = ",".join(f"{i}.123456789012345" for i in range(70_000))
    assert read(tmp_path, f"{wide}\n{wide}\n").shape == (2, 70_000)


def test_settings_are_checked(tmp_path: Path) -> None:
    for options, message in (
        ({"delimeter": ";"}, "did you mean 'delimiter'"),
        ({"header": "maybe"}, "yes or no"),
        ({"decimal": "x"}, "a point or a comma"),
        ({"encoding": "utf-9"}, "a Python codec"),
    ):
        with pytest.raises(IsthmusError, match=message):
            read(tmp_path, "a,b\n1,2\n", csv=options)
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    with pytest.raises(IsthmusError, match=r"are for \.csv and \.tsv files"):
        open_source(tmp_path / "x.npy", csv={"header": "no"})


ROWS = "".join(f"{i},{i / 4},on\n" for i in range(6))


@pytest.mark.parametrize(
    ("head", "names", "said"),
    [
        ("t,temp,state\ns,°C,\n", ["t", "temp", "state"], "names in line 1, units in line 2 left out"),
        ("one,one,two\nQ1,Q2,Q1\n", ["one Q1", "one Q2", "two Q1"], "names in lines 1 and 2"),
        ("one,,two\nQ1,Q2,Q1\n", ["one Q1", "one Q2", "two Q1"], "names in lines 1 and 2"),
        ("t,temp,state\n0,<0.1,off\n", ["t", "temp", "state"], "names in line 1"),
    ],
)
def test_a_second_line_of_names_or_units(head: str, names: list[str], said: str) -> None:
    table, dialect = read_csv((head + ROWS).encode())
    assert table.column_names == names and dialect.sentence.endswith(said)
    assert table.num_rows == 6 + ("off" in head)
    again, _ = read_csv((head + ROWS).encode(), dialect)
    assert again.equals(table)


def test_a_line_of_totals_and_empty_columns_at_the_end() -> None:
    rows = "".join(f"{what},{n},{n * 1.5},,\n" for what, n in zip("abcd", (3, 5, 8, 2), strict=True))
    table, dialect = read_csv(f"what,n,price,,\n{rows}Total,18,27.0,,\n".encode())
    assert table.column_names == ["what", "n", "price"] and table.num_rows == 5
    assert "the last row ('Total') is the sum of those above" in dialect.sentence
    assert "sum" not in read_csv(f"what,n,price,,\n{rows}e,18,28.0,,\n".encode())[1].sentence
