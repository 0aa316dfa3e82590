"""Files that hold tables: read with the types that they have, packed or not, and written again."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from isthmus.data.sources import open_source
from isthmus.data.table_files import WRITERS, is_table, read_table, write_table
from isthmus.data.table_source import open_table
from isthmus.errors import IsthmusError

FRAME = pd.DataFrame(
    {
        "n": [1, 2, 3, 4],
        "x": [0.5, None, 1.5, 2.5],
        "word": ["oak", None, "elm", "oak"],
        "yes": [True, False, False, True],
        "day": pd.to_datetime(["2020-01-01", "2021-02-03", "2022-03-04", "2020-05-06"]).astype("datetime64[us]"),
    }
)
KINDS = ["number", "number", "category", "boolean", "date"]


def packed(path: Path, content: bytes) -> None:
    match path.suffix:
        case ".gz":
            path.write_bytes(gzip.compress(content))
        case ".bz2":
            path.write_bytes(bz2.compress(content))
        case ".xz":
            path.write_bytes(lzma.compress(content))
        case ".zst":
            path.write_bytes(pa.compress(content, codec="zstd", asbytes=True))
        case ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("table", content)


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    source = open_table(FRAME)
    write_table(path, source.table)
    again = open_table(path)
    assert [column.kind for column in again.schema.columns] == KINDS
    np.testing.assert_array_equal(again.take(range(4)), source.take(range(4)))
    assert again.rebuilt(again.take(range(4))).to_dict("list").keys() == FRAME.to_dict("list").keys()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz", ".zst", ".zip"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_packed_text(tmp_path: Path, suffix: str, packing: str) -> None:
    plain, path = tmp_path / f"t{suffix}", tmp_path / f"t{suffix}{packing}"
    write_table(plain, open_table(FRAME).table)
    packed(path, plain.read_bytes())
    assert is_table(path)
    assert [column.kind for column in open_table(path).schema.columns] == KINDS
    assert open_source(path, drop_columns=["word", "day"]).shape == (4, 3)


def test_a_zip_archive_is_what_is_in_it(tmp_path: Path) -> None:
    for member, is_read in (("t.csv", True), ("t.png", False)):
        with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
            archive.writestr(member, FRAME.to_csv(index=False))
        assert is_table(tmp_path / "archive.zip") == is_read
        if is_read:
            assert [column.kind for column in open_table(tmp_path / "archive.zip").schema.columns] == KINDS


def test_excel(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl", reason="needs openpyxl: pip install 'isthmus[formats]'")
    path = tmp_path / "t.xlsx"
    FRAME.to_excel(path, index=False)
    source = open_table(path)
    assert [column.kind for column in source.schema.columns] == KINDS
    np.testing.assert_array_equal(source.take(range(4)), open_table(FRAME).take(range(4)))
    FRAME.to_excel(path, index=False, startrow=3)
    assert [column.kind for column in open_table(path).schema.columns] == KINDS
    with pd.ExcelWriter(path) as book:
        for sheet in ("sales", "notes"):
            FRAME.to_excel(book, index=False, startrow=3, sheet_name=sheet)
        book.sheets["sales"]["A1"] = "Sales of the year"
    titled = open_table(path)
    assert titled.said == "sheet 'sales', the first of 2; 3 line(s) before the table left out"
    np.testing.assert_array_equal(titled.take(range(4)), source.take(range(4)))
    FRAME.assign(x=[1, "a", 2, 3]).to_excel(path, index=False)
    with pytest.raises(IsthmusError, match=r"column 'x' mixes types: 'a' \(str\) in row 1"):
        open_table(path)


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".jsonl", ".jsonl.gz", ".xlsx"])
def test_damaged_files_are_one_line_that_names_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    for content in (b"", b"\x00\xff\xfe nonsense", b'{"a": 1}\n{"a": [2]}\n'):
        path.write_bytes(content)
        with pytest.raises(IsthmusError) as caught:
            open_table(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_codes_with_leading_zeros_are_text_and_stay_so(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("zip,n\n" + "02139,7\n10001,8\n" * 4)
    table = read_table(path).table
    assert table.column("zip").to_pylist()[:2] == ["02139", "10001"]
    assert open_table(path).schema.columns[0].kind == "category"
    assert open_source(path).take([0]).tolist() == [[2139, 7]]  # a matrix of numbers, as before


def test_how_text_is_read_is_said_and_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1,5;x\n2,25;y\n")
    source = open_table(path)
    assert "decimal commas" in source.said and source.frame == "pandas"
    told = {"delimiter": ";", "header": "no"}
    assert [column.name for column in open_table(path, csv=told).schema.columns] == ["x0", "x1"]
    write_table(tmp_path / "t.parquet", source.table)
    with pytest.raises(IsthmusError, match=r"are for \.csv and \.tsv files"):
        open_table(tmp_path / "t.parquet", csv=told)


def test_lists_are_written_to_text_as_json(tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2, 3], "tags": [["a", "b"], None, []], "place": [{"x": 1.5}, {"x": None}, None]})
    write_table(tmp_path / "t.csv", table)
    assert pd.read_csv(tmp_path / "t.csv")["tags"].dropna().tolist() == ['["a", "b"]', "[]"]
