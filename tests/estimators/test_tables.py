"""`AutoEncoder` on tables with columns of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import tables_of_every_kind as tables

from isthmus import AutoEncoder, IsthmusError, load
from isthmus.data.csv_files import _parsed as parsed

TINY: dict[str, Any] = {"hidden": (8,), "epochs": 1, "random_state": 0}
HOLES = pytest.mark.parametrize("holes", [False, True], ids=["whole", "holes"])


def mixed(n: int = 300) -> pd.DataFrame:
    """Four columns that two hidden causes make."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=n), rng.integers(0, 3, n)
    return pd.DataFrame(
        {
            "x": a + 0.1 * rng.normal(size=n),
            "y": np.exp(3 * a),
            "kind": np.array(["oak", "elm", "ash"])[b],
            "same": np.array([10, 20, 30])[b],
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta((a * 100).round(), "D"),
        }
    )


@HOLES
@pytest.mark.parametrize("library", tables.LIBRARIES)
def test_every_library_and_type(library: str, holes: bool, tmp_path: Path) -> None:
    frame = tables.LIBRARIES[library](holes)
    model = AutoEncoder(3, **TINY).fit(frame)
    codes = model.transform(frame)
    assert codes.shape == (tables.ROWS, 3) and np.isfinite(codes).all()
    assert np.isfinite(model.score_samples(frame)).all()
    rebuilt = model.reconstruct(frame)
    assert type(rebuilt) is type(frame) and tables.types_of(rebuilt) == tables.types_of(frame)
    for name in tables.types_of(frame):
        known = [cell for cell in tables.column_of(frame, name) if cell is not None]
        found = tables.column_of(rebuilt, name)
        assert len(found) == tables.ROWS and None not in found
        if isinstance(known[0], str | bool):
            assert set(found) <= set(known)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    np.testing.assert_array_equal(again.transform(frame), codes)
    decoded = again.inverse_transform(codes)
    assert type(decoded) is type(frame) and list(tables.types_of(decoded)) == list(map(str, tables.types_of(frame)))


CELLS = st.one_of(
    st.lists(st.none() | st.integers(-1000, 1000), min_size=8, max_size=8),
    st.lists(st.none() | st.floats(-1e300, 1e300), min_size=8, max_size=8),
    st.lists(st.none() | st.sampled_from(["a", "b", "c d"]), min_size=8, max_size=8),
    st.lists(st.none() | st.datetimes(), min_size=8, max_size=8),
    st.lists(st.none() | st.times(), min_size=8, max_size=8),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CELLS, min_size=2, max_size=4))
def test_any_frame_keeps_its_shape_names_and_types(columns: list[list[Any]]) -> None:
    table = pa.table({f"c{j}": pa.array(cells) for j, cells in enumerate(columns)}).append_column("w", [["u", "v"] * 4])
    model = AutoEncoder(2, **TINY).fit(table)
    rebuilt = model.inverse_transform(100 * model.transform(table))
    assert rebuilt.schema.equals(table.schema) and rebuilt.num_rows == 8
    scaler: Any = model.scaler_
    for column in scaler.schema.used:
        known = table.column(column.name).drop_null().to_pylist()
        found = rebuilt.column(column.name).to_pylist()
        assert None not in found
        if column.kind in ("category", "boolean"):
            assert set(found) <= set(known)


def test_training_learns_every_kind() -> None:
    frame = mixed()
    trained, untrained = (
        AutoEncoder(3, epochs=epochs, random_state=0, hidden=(64, 32)).fit(frame) for epochs in (60, 1)
    )
    assert trained.score(frame) > untrained.score(frame)
    rebuilt = trained.reconstruct(frame)
    assert (rebuilt["kind"] == frame["kind"]).mean() > 0.95
    assert np.corrcoef(rebuilt["x"], frame["x"])[0, 1] > 0.95
    assert np.corrcoef(np.log(rebuilt["y"].clip(1e-9)), np.log(frame["y"]))[0, 1] > 0.9
    days = [(f["day"] - pd.Timestamp("2020-01-01")).dt.days for f in (rebuilt, frame)]
    assert np.corrcoef(*days)[0, 1] > 0.9


def test_frames_of_numbers_come_back_as_frames_and_their_columns_are_known_by_name() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc"), index=range(100, 160))
    model = AutoEncoder(2, epochs=1, random_state=0).fit(frame)
    rebuilt = model.reconstruct(frame.to_numpy())
    for other in (frame, frame[["c", "a", "b"]]):
        pd.testing.assert_frame_equal(model.reconstruct(other), frame * 0 + rebuilt)
    polars = pytest.importorskip("polars")
    assert model.reconstruct(polars.from_pandas(frame)).equals(polars.from_pandas(frame * 0 + rebuilt))
    numbered = frame.set_axis([10, 20, 30], axis=1)
    rebuilt = AutoEncoder(2, epochs=1, random_state=0).fit(numbered).reconstruct(numbered)
    assert list(rebuilt.columns) == [10, 20, 30] and list(rebuilt.index) == list(frame.index)


def test_columns_are_matched_by_name_and_missing_ones_only_filled_when_asked() -> None:
    frame = mixed(60)
    model = AutoEncoder(2, missing_columns="fill", **TINY).fit(frame)
    codes = model.transform(frame)
    with pytest.warns(UserWarning, match="ignored: 'more'"):
        np.testing.assert_array_equal(model.transform(frame.iloc[:, ::-1].assign(more=1)), codes)
    with pytest.warns(UserWarning, match="count as unknown: 'kind'"):
        assert model.transform(frame.drop(columns="kind")).shape == codes.shape
    with pytest.raises(IsthmusError, match="lacks column 'kind'"):
        AutoEncoder(2, **TINY).fit(frame).transform(frame.drop(columns="kind"))
    with pytest.raises(IsthmusError, match=r"takes tables with named columns \(x, y, kind, same, ...\)"):
        model.transform(np.zeros((3, 5)))


def test_what_is_for_numbers_alone_is_refused() -> None:
    choices: list[dict[str, Any]] = [{"objective": "mae"}, {"network": "conv"}]
    for wrong in choices:
        with pytest.raises(IsthmusError, match="are for numbers; a table with columns of several kinds"):
            AutoEncoder(2, **TINY, **wrong).fit(mixed(60))


@pytest.mark.parametrize("as_file", [False, True], ids=["frame", "file"])
def test_numbers_without_holes_are_a_matrix_that_nothing_is_measured_of(
    as_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)).round(6), columns=["a", "b", "c"])
    frame["whole"] = np.arange(60) % 7
    frame.to_csv(tmp_path / "t.csv", index=False)
    read: list[Any] = []

    def counted(*given: Any) -> Any:
        read.append(given)
        return parsed(*given)

    monkeypatch.setattr("isthmus.data.columns.TableSchema.of", lambda *_: pytest.fail("the columns were measured"))
    monkeypatch.setattr("isthmus.data.csv_files._parsed", counted)
    model = AutoEncoder(2, **TINY).fit(tmp_path / "t.csv" if as_file else frame)
    assert len(read) == as_file and model.feature_names_in_.tolist() == [*frame.columns]
    np.testing.assert_array_equal(model.transform(frame), AutoEncoder(2, **TINY).fit(frame).transform(frame))


def test_a_contrast_beside_a_table_keeps_the_costs_of_its_columns() -> None:
    frame = mixed()
    plain, other = (
        AutoEncoder(3, epochs=20, random_state=0, consistency=name).fit(frame) for name in (None, "exchange")
    )
    assert (other.reconstruct(frame)["kind"] == frame["kind"]).mean() > 0.95
    assert other.score(frame) > plain.score(frame) - 1  # nats: 2.6 less where one-hot features were taken for numbers


def test_weights_decay_for_tables_of_every_kind_alone() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=60), "kind": rng.choice(["oak", "elm"], 60)})
    decays = []
    for X, weight_decay in ((frame, None), (rng.normal(size=(60, 3)), None), (frame, 0.0)):
        model = AutoEncoder(2, hidden=(8,), epochs=1, random_state=0, weight_decay=weight_decay).fit(X)
        assert model.training_spec_ is not None
        decays.append(model.training_spec_.weight_decay)
    assert decays == [0.1, 0.0, 0.0]
