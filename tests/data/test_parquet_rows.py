"""Parquet tables too large to be read at once: the same rows, and no row group is read that nobody asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.commandline import ask

from isthmus import AutoEncoder, IsthmusError
from isthmus.data import row_groups, table_streaming
from isthmus.data.parquet_rows import ParquetRows
from isthmus.data.sources import open_source, subset
from isthmus.data.table_source import open_table

N, GROUP = 100, 30


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    made = pd.DataFrame({"a": rng.normal(size=N), "b": rng.integers(0, 9, N), "c": rng.random(N) > 0.5})
    return made.assign(gaps=made["b"].astype("Int64").mask(made["a"] > 1), kind=["oak", "elm"] * (N // 2))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of four row groups that counts as too large."""
    monkeypatch.setattr(table_streaming, "LARGEST_READ_WHOLE", 0)
    frame().to_parquet(tmp_path / "t.parquet", row_group_size=GROUP)
    return tmp_path / "t.parquet"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The row groups that are read, as they are."""
    found: list[int] = []
    batches = row_groups.RowGroup.batches

    def told(group: row_groups.RowGroup, *given: Any) -> Any:
        found.append(group.first // GROUP)
        return batches(group, *given)

    monkeypatch.setattr(row_groups.RowGroup, "batches", told)
    return found


@pytest.mark.parametrize("options", [{"labels_column": "kind"}, {"drop_columns": ["kind", "gaps"]}])
def test_it_is_the_table_that_is_read_at_once(
    path: Path, options: dict[str, Any], check_contract: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(path, **options)
    assert isinstance(source, ParquetRows)
    monkeypatch.setattr(table_streaming, "LARGEST_READ_WHOLE", 1 << 30)
    whole = open_source(path, **options)
    assert not isinstance(whole, ParquetRows)
    check_contract(source, whole.take(np.arange(N)))
    assert source.dtype == whole.dtype and source.feature_names == whole.feature_names
    assert source.location(40) == whole.location(40)
    assert (source.labels is None) == (whole.labels is None)
    if source.labels is not None:
        assert source.labels.tolist() == whole.labels.tolist()


def test_only_what_is_asked_for_is_read_and_only_once(path: Path, read: list[int]) -> None:
    source = open_source(path, drop_columns=["kind"])
    assert read == []
    source.take([95, 61])
    assert read == [2, 3]
    subset(source, [62]).take([0])
    assert read == [2, 3]
    table = open_table(path, schema=open_table(path).schema)
    read.clear()
    np.testing.assert_array_equal(table.take([31]), open_table(path).take([31]))
    assert read == [1]
    assert table.subset(np.array([99, 98])).table.column("kind").to_pylist() == ["elm", "oak"] and read == [1, 3, 3]


def test_ranges_are_whole_row_groups_or_even_parts_of_them(path: Path) -> None:
    source = open_source(path, drop_columns=["kind"])
    assert source.spans(70) == [(0, 60), (60, 100)]
    assert source.spans(20)[:3] == [(0, 15), (15, 30), (30, 45)]
    assert open_source(np.zeros((5, 2))).spans(3) == [(0, 3), (3, 5)]


def test_a_folder_whose_partition_is_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_to_dataset(pa.table(frame().drop(columns="gaps")), tmp_path / "parts", partition_cols=["kind"])
    whole = open_source(tmp_path / "parts", drop_columns=["kind"])
    monkeypatch.setattr(table_streaming, "LARGEST_READ_WHOLE", 0)
    source = open_source(tmp_path / "parts", drop_columns=["kind"])
    assert isinstance(source, ParquetRows)
    np.testing.assert_array_equal(source.take(np.arange(N)), whole.take(np.arange(N)))


def test_a_file_that_does_not_say_where_cells_are_missing_is_read_at_once(path: Path) -> None:
    pq.write_table(pa.table(frame()[["a", "gaps"]]), path, write_statistics=False)
    source = open_source(path)
    assert not isinstance(source, ParquetRows) and np.isnan(source.take(np.arange(N))).any()


def test_text_is_named_as_it_is_in_a_small_table(path: Path) -> None:
    with pytest.raises(IsthmusError, match=r"columns that hold no numbers: 'kind' .*'oak' in row 0"):
        open_source(path)
    with pytest.raises(IsthmusError, match=r"unknown column of .*'kinds'"):
        open_source(path, labels_column="kinds")


def test_damage_in_a_row_group_is_one_line(path: Path) -> None:
    pq.write_table(pa.table(frame()[["a", "b"]]), path, row_group_size=GROUP, compression="none")
    metadata = pq.read_metadata(path)
    start = metadata.row_group(2).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 20] = bytes(20)
    path.write_bytes(content)
    source = open_source(path)
    source.take([0])
    with pytest.raises(IsthmusError, match=r"t\.parquet"):
        source.take([70])


def test_codes_are_those_of_the_table_read_at_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AutoEncoder(2, epochs=1, random_state=0).fit(frame()[["a", "b", "c"]].to_numpy(float)).save(tmp_path / "m")
    words: list[Any] = ["embed", tmp_path / "m", path, "--drop-column", "kind", "--drop-column", "gaps", "-o"]
    assert ask(*words, tmp_path / "parts.npy").status == 0
    monkeypatch.setattr(table_streaming, "LARGEST_READ_WHOLE", 1 << 30)
    assert ask(*words, tmp_path / "whole.npy").status == 0
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
