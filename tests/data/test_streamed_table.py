"""Tables that are larger than memory give what the same tables give when they are read at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather
from tests.cli.commandline import ask

from isthmus import AutoEncoder, Imputer, IsthmusError
from isthmus.data import table_source, table_streaming
from isthmus.data.sources import subset
from isthmus.data.table_source import StreamedTable, open_table

N = 500


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    columns = {
        "x": x,
        "n": rng.poisson(3, N),
        "kind": rng.choice(["oak", "elm", "ash"], N),
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta((100 * x).round(), "D"),
        "note": [f"note {i} of many" for i in range(N)],
    }
    made = pd.DataFrame(columns)
    return made.mask(rng.random(made.shape) < 0.1).assign(note=made["note"])


@pytest.fixture(params=[".parquet", ".feather"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as too large, in batches of 64 rows."""
    monkeypatch.setattr(table_streaming, "LARGEST_READ_WHOLE", 0)
    monkeypatch.setattr(table_streaming, "_ROWS", 64)
    monkeypatch.setattr(table_source, "_FEW_BYTES", 4000)
    path = tmp_path / f"t{request.param}"
    frame().to_parquet(path, row_group_size=100) if request.param == ".parquet" else frame().to_feather(path)
    return path


def test_it_is_the_table_that_is_read_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_table(path)
    assert isinstance(source, StreamedTable) and source.resident() is None and len(source) == N
    monkeypatch.setattr(table_streaming, "LARGEST_READ_WHOLE", 1 << 30)
    whole = open_table(path)
    assert not isinstance(whole, StreamedTable)
    expected = whole.schema.encode(whole.table)
    np.testing.assert_array_equal(source.schema.encode(whole.table), source.take(np.arange(N)))
    for name in ("kind", "missing", "rows", "note"):
        found = [getattr(column, name) for column in source.schema.columns if column.is_used]
        assert found == [getattr(column, name) for column in whole.schema.columns if column.is_used]
    np.testing.assert_array_equal(np.isnan(source.take(np.arange(N))), np.isnan(expected))
    assert source.holes == whole.holes
    for column, other in zip(source.schema.used, whole.schema.used, strict=True):
        assert (column.settings.get("low"), column.settings.get("high")) == (
            other.settings.get("low"), other.settings.get("high")
        )  # fmt: skip


@pytest.mark.parametrize("size", [5, 300])
def test_parts_keep_their_rows(path: Path, size: int) -> None:
    source = open_table(path)
    rows = np.random.default_rng(0).permutation(N)[:size]
    part = subset(source, rows)
    assert isinstance(part, StreamedTable) and (part.resident() is None) == (size == 300)
    np.testing.assert_array_equal(part.take(np.arange(size)), source.take(rows))
    np.testing.assert_array_equal(subset(part, [3, 1]).take([0, 1]), source.take(rows[[3, 1]]))
    assert part.location(4) == f"row {rows[4]} of {path}"
    rebuilt = part.rebuilt(part.take(np.arange(size)))
    assert rebuilt["note"].tolist() == [f"note {i} of many" for i in rows]
    assert rebuilt["kind"].isna().tolist() == frame()["kind"].isna()[rows].tolist()


def test_a_part_read_as_another_schema_keeps_its_rows(path: Path) -> None:
    other = open_table(path, kinds={"n": "category"}).schema
    rows = np.arange(N)[::3]
    found = open_table(path).subset(rows).read_as(other)
    np.testing.assert_array_equal(found.take(np.arange(len(rows))), open_table(path, schema=other).take(rows))


def test_models_take_it(path: Path) -> None:
    for model in (AutoEncoder(2, hidden=(8,), epochs=1, random_state=0), Imputer(2, epochs=1, random_state=0)):
        fitted: Any = model.fit(path)
        found, expected = fitted.transform(path), fitted.transform(frame())
        if isinstance(model, AutoEncoder):
            np.testing.assert_array_equal(found, expected)
        else:
            pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_commands_take_it_block_by_block(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.cli.models._BLOCK_OF_ROWS", 64)
    model, codes = tmp_path / "m", tmp_path / "codes.npy"
    said = ask("train", path, "--latent-dim", 2, "--epochs", 1, "-q", "--no-report", "-o", model)
    assert said.status == 0 and "column 'note' is left out" in said.err, said
    assert ask("embed", model, path, "-o", codes).status == 0
    assert np.load(codes).shape == (N, 2)
    assert ask("reconstruct", model, path, "-o", tmp_path / "rebuilt.parquet").status == 0
    rebuilt = pd.read_parquet(tmp_path / "rebuilt.parquet")
    assert rebuilt["note"].tolist() == frame()["note"].tolist() and not rebuilt["kind"].isna().any()


def test_a_wrong_cell_is_named_with_its_row_in_the_file(path: Path) -> None:
    wrong = frame().assign(x=np.where(np.arange(N) == 321, np.inf, 1.0))
    wrong.to_parquet(path) if path.suffix == ".parquet" else wrong.to_feather(path)
    with pytest.raises(IsthmusError, match="column 'x' holds inf in row 321"):
        open_table(path)


def test_columns_of_new_data_are_found_by_name(path: Path, tmp_path: Path) -> None:
    """Those that the model does not know are told, one that is missing is refused, or empty if asked for."""
    schema, other = open_table(path).schema, path.with_name(f"other{path.suffix}")
    new = frame().drop(columns="n").assign(more=1.0).iloc[:, ::-1]
    new.to_parquet(other) if path.suffix == ".parquet" else new.to_feather(other)
    with (
        pytest.raises(IsthmusError, match=r"lacks column 'n', .*--missing-columns fill"),
        pytest.warns(match="the model does not know are ignored: 'more'"),
    ):
        open_table(other, schema=schema)
    with pytest.warns(match="are ignored: .more."), pytest.warns(match="count as unknown: 'n'"):
        found = open_table(other, schema=schema, missing_columns="fill")
    values, expected = (source.take(np.arange(N)) for source in (found, open_table(path)))
    names = [column.name for column in schema.used]
    assert np.isnan(values[:, names.index("n")]).all()
    kept = [j for j, name in enumerate(names) if name != "n"]
    np.testing.assert_array_equal(values[:, kept], expected[:, kept])
    filled = found.filled(np.nan_to_num(values))
    assert filled.column_names == list(frame().columns) and filled.column("n").null_count == 0


def test_what_cannot_be_streamed_is_one_line(path: Path) -> None:
    table = pa.table([pa.array([1.0, None]), pa.array(["a", "b"])], names=["x", "x"])
    for rows, message in ((2, "two columns of the name 'x'"), (0, "has 0 rows")):
        part = (table if rows else table.rename_columns(["x", "y"])).slice(0, rows)
        pq.write_table(part, path) if path.suffix == ".parquet" else feather.write_feather(part, path)
        with pytest.raises(IsthmusError, match=message):
            open_table(path)


def test_rows_of_an_odd_number_of_narrow_columns_are_recognised(path: Path) -> None:
    values = pd.DataFrame(
        {"a": ["x", "y", None] * 40, "b": np.array([0.1, 2.5, np.nan] * 40, np.float32), "c": [True, False] * 60}
    )
    values.to_parquet(path) if path.suffix == ".parquet" else values.to_feather(path)
    model = AutoEncoder(2, hidden=(8,), epochs=1, random_state=0).fit(path)
    with pytest.raises(IsthmusError, match="copies of training rows"):
        model.sample(40, random_state=0, where={"b": (0.0, 0.2), "a": "x", "c": True})
