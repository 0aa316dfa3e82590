"""Model folders of earlier versions load for ever, and give the outputs that they gave then."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from torch import nn

from isthmus import AutoEncoder, Codec, load
from isthmus.compression.coding.archive import Reader

GOLDEN = Path(__file__).parents[1] / "golden" / "models"
FOLDERS = {folder.name: folder for folder in sorted(GOLDEN.glob("*"))}
CODECS = [name for name in FOLDERS if name.startswith("codec")]
TABLES = [name for name, folder in FOLDERS.items() if (folder / "input.parquet").exists()]
NETWORKS = [name for name in FOLDERS if name not in (*CODECS, *TABLES)]

OUTPUTS = {"heat_maps": lambda model, X: model.explain(X).scores}  # what is no method's own result


def model_of(name: str) -> Any:
    folder = FOLDERS[name] / "model"
    if name != "custom":
        return load(folder)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 3))
    decoder = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)))
    return AutoEncoder.load(folder, network=(encoder, decoder))


def input_of(name: str) -> Any:
    table = FOLDERS[name] / "input.csv"
    return pd.read_csv(table) if table.exists() else np.load(FOLDERS[name] / "input.npy")


def assert_close(found: Any, expected: np.ndarray, name: str) -> None:
    """Equal to 1e-5 of the largest value; whole numbers, which round, may differ by one."""
    found = np.asarray(found)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype), name
    if expected.dtype.kind in "iu":
        np.testing.assert_allclose(found.astype(int), expected.astype(int), rtol=0, atol=1, err_msg=name)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max(), err_msg=name)


def test_there_is_a_golden_model_of_every_kind() -> None:
    assert set(FOLDERS) >= {
        "conv", "table", "variational", "spatial", "max-unpool", "custom", "map",
        "denoiser-clean", "denoiser-rows", "denoiser-salt-and-pepper",
        "codec-levels", "codec-tones", "codec-lossy-two-parts", "codec-lossy-patches", "columns", "imputer",
        "detector-rows", "detector-images",
    }  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_golden_model_gives_the_outputs_of_its_day(name: str) -> None:
    model, X = model_of(name), input_of(name)
    with np.load(FOLDERS[name] / "outputs.npz") as outputs:
        expected = dict(outputs)
    if "std" in expected:
        found = dict(zip(("denoise", "std"), model.denoise(X, return_std=True), strict=True))
    else:
        found = {name: OUTPUTS[name](model, X) if name in OUTPUTS else getattr(model, name)(X) for name in expected}
    assert set(found) == set(expected) and expected
    for method, values in expected.items():
        assert_close(found[method], values, method)


def test_a_golden_table_keeps_the_names_of_its_columns() -> None:
    assert list(model_of("table").feature_names_in_) == list(input_of("table").columns)


@pytest.mark.parametrize("name", TABLES)
def test_a_golden_model_of_a_table_gives_the_tables_of_its_day(name: str) -> None:
    model, folder = model_of(name), FOLDERS[name]
    X = pq.read_table(folder / "input.parquet")
    methods = [path.stem for path in folder.glob("*.parquet") if path.stem != "input"]
    for method in methods:
        found, expected = getattr(model, method)(X), pq.read_table(folder / f"{method}.parquet")
        assert found.schema.equals(expected.schema)
        for column in expected.column_names:
            numbers = pa.types.is_floating(expected.schema.field(column).type)
            pairs = zip(found.column(column).to_pylist(), expected.column(column).to_pylist(), strict=True)
            assert all(a == pytest.approx(b, abs=0.011) if numbers else a == b for a, b in pairs), column
    assert methods
    if name == "columns":
        assert_close(model.transform(X), np.load(folder / "codes.npy"), "codes")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_golden_model_says_what_it_is(name: str) -> None:
    said = model_of(name).describe()
    assert said and all(said.values())


@pytest.mark.parametrize("name", CODECS)
def test_a_golden_codec_reads_the_archives_of_its_day(name: str) -> None:
    """Without loss to the same pixels; with loss to the same codes, and pixels that float32 may round otherwise."""
    codec, X = model_of(name), input_of(name)
    assert isinstance(codec, Codec)
    archives = sorted(FOLDERS[name].glob("*.isth"))
    with np.load(FOLDERS[name] / "outputs.npz") as outputs:
        assert {path.stem for path in archives} == set(outputs) and archives
        for path in archives:
            images = codec.decompress(path.read_bytes())
            assert_close(images, outputs[path.stem], path.name)
            if codec.mode == "lossless":
                assert Reader(io.BytesIO(path.read_bytes())).chunk(0).method == "model"  # not kept as PNG or xz
                np.testing.assert_array_equal(images, X)
                assert codec.compress(X) == path.read_bytes()
