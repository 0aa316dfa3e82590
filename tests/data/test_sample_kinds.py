"""Signals, tables and images are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile
from sklearn.datasets import load_digits, make_low_rank_matrix

from isthmus import AutoEncoder
from isthmus.data.sample_kinds import are_smooth, in_words, kind_of
from isthmus.data.sources import open_source
from isthmus.errors import IsthmusError

RNG = np.random.default_rng(0)
TIME = np.linspace(0, 1, 64)
WAVES = np.sin(2 * np.pi * (3 * TIME + RNG.random((200, 1)))) + 0.1 * RNG.normal(size=(200, 64))
RAMPS = np.stack([a * np.arange(16)[:, None] + b * np.arange(16) for a, b in RNG.normal(size=(200, 2))])


@pytest.mark.parametrize(
    "X",
    [WAVES, WAVES.astype(np.float32), (1000 * WAVES).astype(np.int16), RNG.normal(size=(50, 100)).cumsum(axis=1)],
    ids=["waves", "float32", "int16", "random walks"],
)
def test_smooth_rows_are_signals(X: np.ndarray) -> None:
    assert are_smooth(open_source(X))


@pytest.mark.parametrize(
    "X",
    [
        load_digits().data,
        load_digits().data / 16,
        (127 * WAVES + 128).clip(0, 255).astype(np.uint8),
        RNG.normal(size=(300, 64)),
        3 * RNG.normal(size=(300, 1)) + RNG.normal(size=(300, 64)),  # one factor behind all columns
        make_low_rank_matrix(300, 80, effective_rank=4, random_state=0),
        RAMPS.reshape(200, -1),  # images in rows
        WAVES[:, RNG.permutation(64)],
        WAVES[:10],
        WAVES[:, :8],
        pd.DataFrame(WAVES, columns=[f"x{i}" for i in range(64)]),
    ],
    ids=[
        "digits",
        "digits / 16",
        "bytes",
        "noise",
        "one factor",
        "low rank",
        "images",
        "shuffled",
        "few",
        "short",
        "named",
    ],
)
def test_all_else_in_rows_is_a_table(X: np.ndarray) -> None:
    assert not are_smooth(open_source(X))


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        ((40, 64, 1), "auto", "40 signals of 64 values in 1 channel; --kind images reads them as images"),
        ((40, 3, 64), "auto", "40 signals of 64 values in 3 channels; --kind images reads them as images"),
        ((40, 64, 9), "signals", "40 signals of 64 values in 9 channels; --kind images reads them as images"),
        ((40, 64, 9), "auto", "40 samples of 64 × 9"),
        ((40, 8, 8, 3), "auto", "40 samples of 8 × 8 × 3"),
        ((40, 9), "signals", "40 signals of 9 values; --kind table reads them as a table"),
        ((40, 9), "auto", "40 rows of 9 columns; --kind signals reads them as signals"),
    ],
)
def test_what_samples_are_read_as_is_said(shape: tuple[int, ...], kind: str, words: str) -> None:
    source = open_source(RNG.normal(size=shape))
    assert in_words(source, kind_of(source, kind, "auto")) == words


@pytest.mark.parametrize(("shape", "kind"), [((9, 8), "images"), ((9, 8, 8, 3), "signals"), ((9, 8), "curves")])
def test_a_kind_that_does_not_go_with_the_shape_is_refused(shape: tuple[int, ...], kind: str) -> None:
    with pytest.raises(IsthmusError, match=kind):
        kind_of(open_source(np.zeros(shape)), kind, "auto")


def test_signals_are_convolved_in_one_unit() -> None:
    for X, network_shape in [(WAVES, (1, 64)), (WAVES[..., None], (1, 64))]:
        model = AutoEncoder(2, epochs=1, random_state=0, device="cpu").fit(X)
        assert model.scaler_.kind == "range" and model.scaler_.network_shape == network_shape
        assert model.describe()["samples"].startswith("signals of 64")
        assert model.reconstruct(X).shape == X.shape
    table = AutoEncoder(2, kind="table", epochs=1, random_state=0, device="cpu").fit(WAVES)
    assert table.scaler_.kind == "standard" and table.scaler_.network_shape == (64,)


def test_recordings_of_any_depth_are_signals(tmp_path: Path) -> None:
    for name, values in [("a", np.rint(9000 * WAVES[0]).astype(np.int16)), ("b", WAVES[1].astype(np.float32) / 4)]:
        wavfile.write(tmp_path / f"{name}.wav", 8000, values)
    source = open_source(tmp_path)
    assert source.shape == (2, 64) and source.dtype == np.float32 and kind_of(source, "auto", "auto").name == "signals"
    np.testing.assert_allclose(source.take([0, 1]), [WAVES[0] * 9000 / 32768, WAVES[1] / 4], atol=1e-4)
    assert open_source(tmp_path / "a.wav").shape == (1, 64)
    wavfile.write(tmp_path / "c.wav", 8000, np.arange(100, dtype=np.int16))
    with pytest.raises(IsthmusError, match=r"recordings of 2 lengths.*c.wav \(100\); choose on_mixed_sizes='crop'"):
        open_source(tmp_path)
    assert open_source(tmp_path, on_mixed_sizes="crop").shape == (3, 64)


def test_a_folder_of_tables_or_arrays_is_a_signal_each(tmp_path: Path) -> None:
    for name in ("tables", "arrays"):
        (tmp_path / name).mkdir()
    for i, wave in enumerate(WAVES[:3]):
        pd.DataFrame({"time": TIME, "a": wave, "b": -wave}).to_csv(tmp_path / "tables" / f"{i}.csv", index=False)
        np.save(tmp_path / "arrays" / f"{i}.npy", wave.astype(np.float32))
    tables, arrays = open_source(tmp_path / "tables", drop_columns=["time"]), open_source(tmp_path / "arrays")
    np.testing.assert_allclose(tables.take([0, 2]), np.stack([WAVES[[0, 2]], -WAVES[[0, 2]]], -1))
    np.testing.assert_array_equal(arrays.take([2, 0]), WAVES[[2, 0]].astype(np.float32))
    assert tables.kind == arrays.kind == "signals" and tables.location(1) == str(tmp_path / "tables" / "1.csv")
    assert open_source(tmp_path / "tables").shape == (3, 64, 3)
    with pytest.raises(IsthmusError, match="labels_column and drop_columns are for tables"):
        open_source(tmp_path / "tables", labels_column="time")
    np.save(tmp_path / "arrays" / "3.npy", WAVES[:4])
    with pytest.raises(IsthmusError, match=r"3\.npy holds float64 of shape \(4, 64\)"):
        open_source(tmp_path / "arrays")
    (tmp_path / "tables" / "3.csv").write_text("a\n1\n2\n")
    with pytest.raises(IsthmusError, match=r"signals of 1 channel, as .*3\.csv, and of 3 channels, as .*0\.csv"):
        open_source(tmp_path / "tables")
