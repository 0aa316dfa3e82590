"""Data frames, Arrow tables, CSV, Parquet and Feather files as sources."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from isthmus.data.sources import open_source, subset
from isthmus.errors import IsthmusError

RNG = np.random.default_rng(0)
N = 20
FRAME = pd.DataFrame(
    {
        "a": RNG.normal(size=N),
        "b": RNG.integers(0, 9, N),
        "c": RNG.random(N) > 0.5,
        "kind": ["oak", "elm"] * (N // 2),
    }
)
NUMBERS = FRAME[["a", "b", "c"]].to_numpy(float)


def write(path: Path, frame: Any = FRAME) -> None:
    table = pa.Table.from_pandas(frame)
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".tsv":
            frame.to_csv(path, index=False, sep="\t")
        case ".gz":
            path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
        case ".parquet":
            pa.parquet.write_table(table, path, row_group_size=7)
        case ".feather":
            pa.feather.write_feather(table, path, chunksize=6)
        case ".arrow":
            with pa.ipc.new_stream(path, table.schema) as writer:
                writer.write_table(table, max_chunksize=6)


FILES = pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.parquet", "t.feather", "t.arrow"])


@FILES
def test_files_of_tables(check_contract: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(path)
    source = open_source(path, labels_column="kind")
    check_contract(source, NUMBERS)
    assert source.feature_names == ("a", "b", "c")
    assert source.labels.tolist() == FRAME["kind"].tolist()
    assert source.location(17) == f"row 17 of {path}"
    part = subset(source, [3, 2])
    assert part.feature_names == ("a", "b", "c") and part.labels.tolist() == ["elm", "oak"]
    check_contract(open_source(path, drop_columns=["kind", "b"]), NUMBERS[:, [0, 2]])


@FILES
def test_columns_without_numbers_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(path)
    message = r"columns that hold no numbers: 'kind' \((large_)?string, 'oak' in row 0\).*drop_columns=\['kind'\]"
    with pytest.raises(IsthmusError, match=message):
        open_source(path)
    with pytest.raises(IsthmusError, match=r"unknown column of .*'kinds'; did you mean 'kind'"):
        open_source(path, labels_column="kinds")


@FILES
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for content in (b"", b"\x00\xff\xfe nonsense", b'a,b\n"1,2\n3'):
        path.write_bytes(content)
        with pytest.raises(IsthmusError) as caught:
            open_source(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_homogeneous_frame_is_not_copied(check_contract: Any) -> None:
    array = RNG.normal(size=(7, 3)).astype(np.float32)
    frame = pd.DataFrame(array, columns=["x", "y", 5], copy=False)
    source = open_source(frame)
    check_contract(source, array)
    assert np.shares_memory(source.resident(), array)
    assert source.feature_names == ("x", "y", "5") and source.location(4) == "row 4" and source.name == "table"


def test_a_frame_of_many_types(check_contract: Any) -> None:
    frame = FRAME.assign(
        d=pd.array([1, None] * (N // 2), dtype="Int16"),
        e=FRAME["a"].astype("float32"),
        f=pd.array([2] * N, dtype="UInt8"),
    )
    source = open_source(frame.set_index("a", drop=False), labels_column="kind")
    expected = np.column_stack([NUMBERS, [1, np.nan] * (N // 2), frame["e"].to_numpy(float), np.full(N, 2.0)])
    check_contract(source, expected)
    assert source.labels.tolist() == FRAME["kind"].tolist()
    with pytest.raises(IsthmusError, match=r"'kind' \(\w+\).*drop_columns=\['kind'\]"):
        open_source(frame)
    assert open_source(frame, drop_columns=["kind"]).shape == (N, 6)
    narrow = open_source(frame[["b", "c"]].astype({"b": "uint8"}))
    assert narrow.dtype == np.uint8
    assert open_source(frame[["c"]]).dtype == bool


def test_labels_of_a_frame() -> None:
    whole = FRAME.assign(number=np.arange(N) * 1.0, gaps=[None, "x"] * (N // 2), odd=np.arange(N) + 0.5)
    rest = ["kind", "gaps"]
    assert open_source(whole, labels_column="number", drop_columns=rest).labels.dtype.kind == "i"
    assert open_source(whole, labels_column="c", drop_columns=rest).labels.tolist() == FRAME["c"].astype(int).tolist()
    for wrong in ("gaps", "odd"):
        with pytest.raises(IsthmusError, match=f"column '{wrong}' cannot be labels.*none missing"):
            open_source(whole, labels_column=wrong, drop_columns=[c for c in rest if c != wrong])


@pytest.mark.parametrize(
    "values", [pd.Categorical(["a", "b"]), pd.to_datetime(["2020-01-01"] * 2), [1 + 2j, 3], [object(), 1]]
)
def test_frame_columns_that_are_refused(values: Any) -> None:
    with pytest.raises(IsthmusError, match="'x'"):
        open_source(pd.DataFrame({"x": values, "y": [1, 2]}))


def test_empty_frames() -> None:
    with pytest.raises(IsthmusError, match=r"0 sample\(s\)"):
        open_source(FRAME[["a"]].iloc[:0])
    with pytest.raises(IsthmusError, match=r"0 feature\(s\)"):
        open_source(FRAME[["kind"]], labels_column="kind")
    with pytest.raises(IsthmusError, match=r"0 feature\(s\)"):
        open_source(pd.DataFrame(index=range(3)))
    with pytest.raises(IsthmusError, match="Reshape"):
        open_source(FRAME["a"])


def test_arrow_tables(check_contract: Any) -> None:
    table = pa.table(
        {
            "small": pa.array([1, None, 3], pa.int8()),
            "truth": pa.array([True, None, False]),
            "price": pa.array(["1.50", None, "2.25"]).cast(pa.decimal128(8, 2)),
            "half": pa.array(np.array([1, 2, 3], np.float16)),
            "tag": pa.array(["u", "v", "u"]).dictionary_encode(),
        }
    )
    nan = np.nan
    expected = np.array([[1, 1, 1.5, 1], [nan, nan, nan, 2], [3, 0, 2.25, 3]])
    for data in (table, table.to_batches()[0]):
        source = open_source(data, labels_column="tag")
        check_contract(source, expected)
        assert source.labels.tolist() == ["u", "v", "u"] and source.location(1) == "row 1"
    with pytest.raises(IsthmusError, match=r"'none' \(nothing\)"):
        open_source(pa.table({"none": pa.nulls(3), "x": [1, 2, 3]}))
    with pytest.raises(IsthmusError, match=r"'day' \(date32"):
        open_source(pa.table({"day": pa.array([1, 2], pa.int32()).cast(pa.date32())}))


class Polars:
    """What another library's data frame looks like from outside."""

    columns = ["a", "b"]

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return pa.table({"a": [1.0, 2.0], "b": [3.0, 4.0]}).__arrow_c_stream__(requested_schema)


def test_frames_of_other_libraries(check_contract: Any) -> None:
    source = open_source(Polars())
    check_contract(source, np.array([[1.0, 3.0], [2.0, 4.0]]))
    assert source.feature_names == ("a", "b")


def test_the_row_index_of_pandas_is_no_feature(check_contract: Any, tmp_path: Path) -> None:
    frame = FRAME[["a", "b"]].iloc[::2]
    pa.parquet.write_table(pa.Table.from_pandas(frame), tmp_path / "t.parquet")
    check_contract(open_source(tmp_path / "t.parquet"), frame.to_numpy())
    frame.reset_index(drop=True).to_csv(tmp_path / "t.csv")
    check_contract(open_source(tmp_path / "t.csv"), frame.to_numpy())


@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        ("a,b\n1,2\n3,4\n", "a b", [[1, 2], [3, 4]]),
        ("1,2\n3,4\n", "x0 x1", [[1, 2], [3, 4]]),
        ("1.5,-2e3\n3,4", "x0 x1", [[1.5, -2000], [3, 4]]),
        ("0,1,2\n5,6,7\n", "0 1 2", [[5, 6, 7]]),
        (",0,1,2\n0,5,6,7\n1,8,9,10\n", "0 1 2", [[5, 6, 7], [8, 9, 10]]),
        ("1,,3\n4,5,6\n", "x0 x1 x2", [[1, np.nan, 3], [4, 5, 6]]),
        ("\ufeffa;b\r\n1,5;2\r\n3,25;4\r\n", "a b", [[1.5, 2], [3.25, 4]]),
        ("a;b\n1.5;2\n", "a b", [[1.5, 2]]),
        ("a\tb\n1\t2\n", "a b", [[1, 2]]),
        ("a|b\n1|2\n", "a b", [[1, 2]]),
        ('"width, mm","height"\n1,2\n', "width,_mm height", [[1, 2]]),
        ("a,b\n1,NA\nnan,4\n", "a b", [[1, np.nan], [np.nan, 4]]),
        ("only\n1\n2\n", "only", [[1], [2]]),
        ("a,b\ntrue,1\nfalse,2\n", "a b", [[1, 1], [0, 2]]),
    ],
)
def test_dialects_of_csv(tmp_path: Path, text: str, names: Any, rows: Any) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8", newline="")
    source = open_source(path)
    np.testing.assert_array_equal(source.take(np.arange(len(source))), rows)
    assert [name.replace(" ", "_") for name in source.feature_names] == names.split()


def test_whole_numbers_of_a_csv_file_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("label,pixel\n" + "7,255\n" * 10)
    source = open_source(path, labels_column="label")
    assert source.dtype == np.int64 and source.labels.dtype == np.int64
    path.write_text("a\n" + "1\n" * 600_000 + "0.5\n")  # a number that is not whole, after the first block
    assert open_source(path).take([600_000]) == 0.5


def test_faults_in_a_csv_file_are_located(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 5 + "1,two\n")
    with pytest.raises(IsthmusError, match=r"'b' \(string, 'two' in row 5\)"):
        open_source(path)
    path.write_text("a,b\n1,2\n3\n4,5\n")
    with pytest.raises(IsthmusError, match=r"t\.csv cannot be read as a CSV file: .*Row #3: Expected 2 columns, got 1"):
        open_source(path)
    path.write_text("a,b\n")
    with pytest.raises(IsthmusError, match=str(path)):
        open_source(path)


def test_options_of_tables_elsewhere() -> None:
    for options in ({"labels_column": "y"}, {"drop_columns": ["y"]}):
        with pytest.raises(IsthmusError, match="are for tables with named columns, not for an array"):
            open_source(np.ones((3, 2)), **options)
