"""Noisy files, learned from and cleaned in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.file_kinds import write_all

from isthmus import Denoiser, IsthmusError
from isthmus.data.units import Units
from isthmus.denoising.files import FileCleaner, learn, paths_of
from isthmus.denoising.own_units import NOISE


def test_a_folder_is_learned_from_and_cleaned(tmp_path: Path) -> None:
    rng, y = np.random.default_rng(0), np.mgrid[:32, :32][0] / 32
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    for i in range(6):
        values = 128 + 90 * np.sin(2 * np.pi * (1 + i / 6) * y) + 20 * rng.standard_normal(y.shape)
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(noisy / f"{i}.png")
    (noisy / "broken.png").write_bytes(b"no image")

    denoiser = Denoiser("gaussian", learn_from="noisy", size="small", epochs=2, random_state=0)
    bad = learn(denoiser, noisy)
    assert list(bad) == [noisy / "broken.png"] and "cannot be read" in bad[noisy / "broken.png"]

    paths = paths_of(noisy)
    assert paths is not None
    cleaned = FileCleaner(denoiser, tmp_path / "clean").files(paths, noisy)
    assert cleaned.count == 6 and list(cleaned.bad) == [noisy / "broken.png"] and len(cleaned.examples) == 6
    expected = denoiser.denoise([np.asarray(Image.open(noisy / "3.png"))])[0]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "clean" / "3.png")), expected)


def test_arrays_and_data_sets_are_no_files(tmp_path: Path) -> None:
    np.save(tmp_path / "signal.npy", np.zeros(50))
    np.save(tmp_path / "images.npy", np.zeros((5, 8, 8)))
    assert paths_of(tmp_path / "signal.npy") == [tmp_path / "signal.npy"]
    assert paths_of(tmp_path / "images.npy") is None
    assert paths_of("digits") is None


@pytest.fixture(scope="module")
def idle() -> dict[str, Denoiser]:
    """Denoisers whose networks see no noise."""
    found = {}
    for kind, d in (("table", 1), ("signal", 1), ("image", 2)):
        found[kind] = Denoiser("gaussian:1", size="small", epochs=1, random_state=0, device="cpu")
        found[kind].fit(np.random.default_rng(0).random((8, *[8] * d), np.float32))
        found[kind].units_ = Units("float32", np.asarray(np.nan), np.asarray(np.nan))  # it takes any range
        found[kind].noise_ = NOISE if kind == "table" else "gaussian:0.1"
        for parameter in found[kind].network_.tail.parameters():
            torch.nn.init.zeros_(parameter)
    return found


def test_where_nothing_is_taken_away_files_come_back_byte_for_byte(idle: dict[str, Denoiser], tmp_path: Path) -> None:
    (tmp_path / "noisy").mkdir()
    paths = write_all(tmp_path / "noisy")
    tables = [path for path in paths if path.suffix == ".csv"]
    sounds = [path for path in paths if path.suffix == ".wav" or path.name == "one-axis.npy"]
    images = [path for path in paths if path not in (*tables, *sounds)]
    for kind, chosen in (("table", tables), ("signal", sounds), ("image", images)):
        cleaned = FileCleaner(idle[kind], tmp_path / "clean").files(chosen, tmp_path / "noisy")
        assert cleaned.count == len(chosen) and not cleaned.bad
    for path in paths:
        assert (tmp_path / "clean" / path.name).read_bytes() == path.read_bytes(), path.name


def test_columns_in_units_of_their_own_are_cleaned_in_units_of_their_noise(tmp_path: Path) -> None:
    rng, t = np.random.default_rng(0), np.arange(1500)
    clean = np.stack([20 + np.sin(t / 60), 101_325 + 50 * np.cos(t / 45)], 1)
    noisy = clean + rng.normal(0, 1, clean.shape) * (0.2, 10)
    path = tmp_path / "a.csv"
    np.savetxt(path, noisy, "%.4f", ",", header="T,P", comments="")
    denoiser = Denoiser(learn_from="noisy", size="small", epochs=80, random_state=0)
    learn(denoiser, path)
    cleaned = FileCleaner(denoiser, tmp_path / "b.csv", tmp_path / "std.npy").files([path])
    assert "units of their own noise" in next(iter(cleaned.notes))
    error = np.loadtxt(tmp_path / "b.csv", delimiter=",", skiprows=1) - clean
    assert (error.std(0) < (0.12, 6)).all()
    std = np.load(tmp_path / "std.npy").mean(0)
    assert std.shape == (2,) and (std < (0.2, 10)).all() and std[1] > 10 * std[0]

    one_unit = Denoiser("gaussian:0.1", size="small", epochs=1, random_state=0).fit(rng.random((8, 64)))
    refused = FileCleaner(one_unit, tmp_path / "c.csv").files([path])
    assert "units of their own" in refused.bad[path] and not (tmp_path / "c.csv").exists()
    with pytest.raises(IsthmusError, match="leave the noise out"):
        learn(Denoiser("gaussian:0.1", size="small", epochs=1), path)
