"""What users of `AutoEncoder` count on."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from torch import nn

from isthmus import AutoEncoder, IsthmusError, datasets, evaluate_representation
from isthmus.data.sources import open_source
from isthmus.estimators.recipe import default_batch_size
from isthmus.registry import NetworkName, bottlenecks, corruptions, objectives

DIGITS = datasets.load("digits")
FAST: dict[str, Any] = {"epochs": 1, "random_state": 0, "batch_size": 16}


def noise(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


# Learning: trained beats untrained and beats PCA at the same code size.


@pytest.mark.parametrize(("network", "epochs"), [("dense", 20), ("conv", 10)])
@pytest.mark.parametrize("latent_dim", [2, 8])
def test_trained_beats_untrained_and_pca_on_digits(network: NetworkName, epochs: int, latent_dim: int) -> None:
    train, test = DIGITS.train.images, DIGITS.test.images
    model = AutoEncoder(latent_dim, network=network, random_state=0)
    untrained = model.set_params(learning_rate=1e-12, epochs=1).fit(train).score(test)
    trained = model.set_params(learning_rate=None, epochs=epochs).fit(train).score(test)
    rows, new = (x.reshape(len(x), -1) / 255 for x in (train, test))
    pca = PCA(latent_dim, random_state=0).fit(rows)
    linear = -float(((pca.inverse_transform(pca.transform(new)) - new) ** 2).mean())
    assert trained > linear > untrained


def test_the_data_decide_how_the_decoder_ends() -> None:
    def output(X: np.ndarray, **more: Any) -> str:
        return AutoEncoder(**{"latent_dim": 8, **FAST, **more}).fit(X).network_spec_.output

    digits = DIGITS.train.images[:100]
    grey = noise(60, 8, 8)
    assert output(digits) == output(digits / np.float32(255)) == output(digits > 127) == "bounded"
    assert output(digits, network="dense") == "bounded"
    assert output(digits, latent_dim=4) == "linear"  # so few numbers leave out too much
    assert output(digits, objective="bce") == "sigmoid"
    assert output(digits, bottleneck="variational") == "linear"
    assert output(grey) == output(digits.reshape(100, -1).astype(np.float32)) == "linear"
    assert output(digits.astype(np.float32) / 250) == "linear"  # its largest number says little about numbers to come
    rebuilt = AutoEncoder(8, **FAST).fit(digits / np.float32(255)).reconstruct(digits / np.float32(255))
    assert rebuilt.min() >= 0
    assert rebuilt.max() <= 1


def test_large_samples_come_in_small_batches() -> None:
    sizes = {side: default_batch_size("conv", 10_000, side**2) for side in (28, 128, 512, 1024, 4096)}
    assert sizes == {28: 64, 128: 64, 512: 8, 1024: 2, 4096: 1}
    assert default_batch_size("dense", 10_000, 20) == 128
    assert default_batch_size("dense", 400, 20) == default_batch_size("conv", 1, 1) == 16


def test_a_curve_in_a_table_is_found() -> None:
    t = np.random.default_rng(0).uniform(-2, 2, (800, 1))
    X = np.hstack([t, t**2, np.sin(2 * t), np.cos(2 * t)])
    model = AutoEncoder(1, epochs=40, random_state=0).fit(X[:600])
    pca = PCA(1).fit(model.scale(X[:600]))
    scaled = model.scale(X[600:])
    linear = ((pca.inverse_transform(pca.transform(scaled)) - scaled) ** 2).mean()
    assert -model.score(X[600:]) < 0.3 * linear


@pytest.mark.parametrize("corruption", [*corruptions.names()])
def test_every_corruption_trains_on_images(corruption: str) -> None:
    model = AutoEncoder(4, corruption=corruption, **FAST).fit(DIGITS.train.images[:100])
    assert np.isfinite(model.score(DIGITS.test.images))


@pytest.mark.parametrize("objective", [*objectives.names(), {"mse": 1, "ssim": 0.1}])
def test_every_objective_trains_on_images(objective: str | dict) -> None:
    model = AutoEncoder(8, objective=objective, random_state=0)
    before = model.set_params(learning_rate=1e-12, epochs=1).fit(DIGITS.train.images[:400]).score(DIGITS.test.images)
    after = model.set_params(learning_rate=None, epochs=4).fit(DIGITS.train.images[:400]).score(DIGITS.test.images)
    assert after > before


@pytest.mark.parametrize("bottleneck", bottlenecks.names())
@pytest.mark.parametrize("network", ["dense", "conv"])
def test_every_bottleneck_encodes_deterministically(bottleneck: str, network: NetworkName) -> None:
    X = DIGITS.train.images[:200]
    model = AutoEncoder(6, bottleneck=bottleneck, network=network, **FAST).fit(X)
    np.testing.assert_array_equal(model.transform(X), model.transform(X))
    np.testing.assert_array_equal(model.reconstruct(X), model.inverse_transform(model.transform(X)))


# What comes out looks like what went in.


@pytest.mark.parametrize(
    "X",
    [
        noise(20, 28, 28), noise(20, 23, 17), noise(12, 31, 29, 3), noise(20, 8, 8, dtype="float64"),
        noise(20, 9, 9, dtype="uint16"), noise(20, 5), noise(20, 7, dtype="float64"), noise(20, 7, dtype="int32"),
        noise(8, 6, 7, 9), noise(8, 6, 7, 5, 2),
        noise(20, 1), noise(3, 2, 50), noise(20, 1, 1), noise(20, 5, 5, dtype="bool"),
    ],
    ids=lambda X: f"{X.dtype}{X.shape}",
)  # fmt: skip
def test_shape_dtype_and_range_are_kept(X: np.ndarray) -> None:
    model = AutoEncoder(1, **FAST).fit(X)
    codes = model.transform(X)
    assert codes.shape == (len(X), 1)
    assert codes.dtype == np.float32
    for rebuilt in (model.reconstruct(X), model.inverse_transform(codes)):
        assert rebuilt.shape == X.shape
        assert rebuilt.dtype == X.dtype
    assert model.score_samples(X).shape == (len(X),)


def test_memory_layout_does_not_matter() -> None:
    X = noise(60, 12, dtype="float64")
    expected = AutoEncoder(3, **FAST).fit(X).transform(X)
    wide = np.zeros((60, 24))
    wide[:, ::2] = X
    readonly = X.copy()
    readonly.setflags(write=False)
    for same in (np.asfortranarray(X), wide[:, ::2], readonly, X.astype(">f8"), X[::-1].copy()[::-1], X.tolist()):
        np.testing.assert_array_equal(AutoEncoder(3, **FAST).fit(same).transform(same), expected)
    tensor = torch.from_numpy(X)
    np.testing.assert_array_equal(AutoEncoder(3, **FAST).fit(tensor).transform(tensor), expected)


def test_colours_first_or_last_learn_the_same() -> None:
    X = noise(40, 10, 12, 3)
    last = AutoEncoder(3, **FAST).fit(X)
    first = AutoEncoder(3, channel_axis=1, **FAST).fit(X.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(last.transform(X), first.transform(X.transpose(0, 3, 1, 2)), atol=2e-2)


def test_signals_and_volumes_can_be_convolved() -> None:
    signals = noise(30, 50, 2, dtype="float32")
    model = AutoEncoder(3, network="conv", channel_axis=-1, **FAST).fit(signals)
    assert model.network_spec_.sample_shape == (2, 50)
    assert model.reconstruct(signals).shape == signals.shape


def test_spatial_codes_come_back() -> None:
    X = noise(20, 21, 30, 3)
    model = AutoEncoder(latent_channels=2, channels=(4, 8), **FAST).fit(X)
    codes = model.transform(X)
    assert codes.shape == (20, 6, 8, 2)
    assert model.inverse_transform(codes).shape == X.shape


def test_codes_do_not_depend_on_the_company_of_a_sample() -> None:
    X = DIGITS.train.images
    model = AutoEncoder(4, **FAST).fit(X)
    np.testing.assert_allclose(model.transform(X)[5:6], model.transform(X[5:6]), atol=1e-5)


def test_paths_data_sets_and_arrays_are_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", DIGITS.train.images)
    models = [AutoEncoder(4, **FAST).fit(X) for X in (DIGITS.train.images, tmp_path / "X.npy", "digits")]
    codes = [model.transform(DIGITS.test.images) for model in models]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], codes[2])
    np.testing.assert_array_equal(models[0].transform("digits:test"), codes[0])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    X = DIGITS.train.images[:200]
    first, second, other = (AutoEncoder(3, epochs=2, random_state=seed).fit(X).transform(X) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.01


def test_automatic_code_size_finds_the_dimension_of_the_data() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 5)) @ rng.normal(size=(5, 40)) + 0.01 * rng.normal(size=(500, 40))
    assert AutoEncoder(**FAST).fit(X).transform(X).shape == (500, 5)
    assert AutoEncoder(**FAST).fit(np.zeros((9, 40))).transform(np.zeros((1, 40))).shape == (1, 1)


def test_partial_fit_continues() -> None:
    X = DIGITS.train.images
    model = AutoEncoder(8, random_state=0).partial_fit(X[:500])
    first = model.score(DIGITS.test.images)
    for _ in range(3):
        model.partial_fit(X[:500])
    assert model.score(DIGITS.test.images) > first
    assert [entry["epoch"] for entry in model.history_] == list(range(1, 5))


# Bad input: one clear error.


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((4, 3), np.nan), "NaN"),
        (np.full((4, 3, 3), np.inf), "infinity"),
        (np.zeros((0, 3)), "0 sample"),
        (np.zeros((0, 5, 5), np.uint8), "0 sample"),
        (np.zeros((3, 0)), "0 feature"),
        (np.zeros(3), "1D|Reshape"),
        (np.zeros((2, 2), complex), "[Cc]omplex"),
        (np.array([["a", "b"]]), "number|numeric|convert"),
        ("no/such/file.npy", "no/such/file.npy"),
        (None, "NoneType|None"),
    ],
)
def test_bad_data_is_refused(X: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AutoEncoder(1, **FAST).fit(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"latent_dim": 0}, "latent_dim"),
        ({"latent_dim": 65}, r"latent_dim \(=65\).*64"),
        ({"latent_dim": "three"}, "latent_dim"),
        ({"network": "cnn"}, "conv"),
        ({"objective": "mean"}, "mse"),
        ({"network": "dense", "objective": "ssim"}, "images"),
        ({"validation_fraction": 1}, "validation_fraction"),
        ({"device": "cuda:77"}, "device"),
        ({"random_state": "x"}, "random_state"),
        ({"epochs": 0}, "epochs"),
        ({"scaling": "log"}, "standard"),
        ({"optimizer": "sgd"}, "adam"),
    ],
)
def test_bad_parameters_are_refused(params: dict, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        AutoEncoder(**{"latent_dim": 2, **params}).fit(DIGITS.train.images[:20])


def test_probabilities_need_a_range() -> None:
    X = noise(30, 6, dtype="float64")
    with pytest.raises(IsthmusError, match="scaling='range'"):
        AutoEncoder(2, objective="bce", **FAST).fit(X)
    rebuilt = AutoEncoder(2, objective="bce", scaling="range", **FAST).fit(X).reconstruct(X)
    assert X.min() <= rebuilt.min() <= rebuilt.max() <= X.max()


def test_pooling_indices_help_reconstruct_but_are_not_in_the_code() -> None:
    X = DIGITS.train.images[:300]
    model = AutoEncoder(6, downsample="max-pool", upsample="max-unpool", epochs=6, random_state=0).fit(X)
    scaled = model.scale(X)
    with_indices, code_alone = (
        float(((model.scale(rebuilt) - scaled) ** 2).mean())
        for rebuilt in (model.reconstruct(X), model.inverse_transform(model.transform(X)))
    )
    assert with_indices < code_alone < scaled.var()


def test_data_unlike_the_training_data_is_refused() -> None:
    model = AutoEncoder(2, **FAST).fit(noise(20, 8, 8))
    with pytest.raises(IsthmusError, match="float"):
        AutoEncoder(2, **FAST).fit(noise(20, 8, 8) / 255).transform(noise(3, 8, 8))
    for X, message in [
        (noise(3, 8, 9), r"shape \(8, 9\).*\(8, 8\)"),
        (noise(3, 8, 8).astype(float) / 255, "uint8"),
        (noise(3, 64), "shape"),
    ]:
        for method in (model.transform, model.reconstruct, model.score):
            with pytest.raises(ValueError, match=message):
                method(X)
    for Z, message in [(np.zeros((2, 3)), r"shape \(2, 3\)"), (np.full((1, 2), np.nan), "NaN")]:
        with pytest.raises(IsthmusError, match=message):
            model.inverse_transform(Z)


def test_columns_are_known_by_name(tmp_path: Path) -> None:
    frame = pd.DataFrame(noise(30, 3, dtype="float64"), columns=["x", "y", "z"])
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame[["z", "x", "y"]].to_csv(tmp_path / "b.csv", index=False)
    model = AutoEncoder(2, **FAST).fit(tmp_path / "a.csv")
    model = AutoEncoder.load(model.save(tmp_path / "model"))
    codes = model.transform(tmp_path / "a.csv")
    for same in (tmp_path / "b.csv", frame[["y", "z", "x"]], open_source(tmp_path / "b.csv")):
        np.testing.assert_array_equal(model.transform(same), codes)
        assert model.score(same) == model.score(frame)
        assert evaluate_representation(model, same) == evaluate_representation(model, frame)
    more = frame.assign(note="words", w=1.0)
    with pytest.warns(UserWarning, match="not trained with are left out: 'note', 'w'"):
        np.testing.assert_array_equal(model.transform(more), codes)
    with pytest.raises(IsthmusError, match="has no column 'y', with which the model was trained"):
        model.transform(frame[["z", "x"]])


def test_columns_with_numbers_for_names_are_known_by_them() -> None:
    frame = pd.DataFrame(noise(30, 3, dtype="float64"), columns=[400, 410, 420])
    model = AutoEncoder(2, **FAST).fit(frame)
    np.testing.assert_array_equal(model.transform(frame[[420, 400, 410]]), model.transform(frame))


def test_channels_first_are_found() -> None:
    model = AutoEncoder(3, **FAST).fit(noise(20, 3, 9, 11))
    assert model.network_spec_.sample_shape == (3, 9, 11)
    assert model.reconstruct(noise(20, 3, 9, 11)).shape == (20, 3, 9, 11)


@pytest.mark.parametrize(
    ("params", "message"),
    [({"hidden": 64}, r"hidden \(=64\)"), ({"channels": ()}, "at least one stage"), ({"batch_size": 0}, "batch_size"),
     ({"network": nn.Linear(2, 2)}, "pair")],
)  # fmt: skip
def test_settings_of_the_wrong_kind_are_refused(params: dict, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        AutoEncoder(**{"latent_dim": 2, **FAST, **params}).fit(DIGITS.train.images[:20])


def test_numbers_too_large_to_be_squared_are_learned() -> None:
    X = np.array([[1.0, 1e200], [2.0, -1e200], [3.0, 0.0]])
    model = AutoEncoder(1, **FAST).fit(X)
    assert np.isfinite(model.score(X)) and np.isfinite(model.reconstruct(X)).all()


# On disk.


def test_a_foreign_card_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(IsthmusError, match="something else"):
        AutoEncoder(2, **FAST).fit(noise(20, 5)).save(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_an_edited_configuration_is_refused(tmp_path: Path) -> None:
    folder = AutoEncoder(2, **FAST).fit(noise(20, 5)).save(tmp_path / "model")
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("silu", "relu"))
    with pytest.raises(IsthmusError, match="changed"):
        AutoEncoder.load(folder)


@pytest.mark.parametrize("X", [noise(40, 9, 11, 3), noise(40, 6, dtype="float64")], ids=["images", "table"])
@pytest.mark.parametrize("bottleneck", ["plain", "variational:0.1"])
def test_a_saved_model_computes_the_same(tmp_path: Path, X: np.ndarray, bottleneck: str) -> None:
    model = AutoEncoder(3, bottleneck=bottleneck, objective={"mse": 1, "mae": 0.5}, **FAST).fit(X)
    loaded = AutoEncoder.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    np.testing.assert_array_equal(loaded.reconstruct(X), model.reconstruct(X))
    assert loaded.history_ == model.history_
    assert loaded.describe() == model.describe()
    assert "AutoEncoder.load" in (tmp_path / "model" / "README.md").read_text()
    loaded.fit(X)  # its parameters came back, too


def test_hostile_configurations_are_one_clear_line(tmp_path: Path) -> None:
    folder = AutoEncoder(2, **FAST).fit(noise(20, 5)).save(tmp_path / "model")
    good = json.loads((folder / "config.json").read_text())
    for key, value in itertools.product([*good], [None, 7, "x", [], {}]):
        (folder / "config.json").write_text(json.dumps({**good, key: value}))
        try:
            AutoEncoder.load(folder)
        except IsthmusError as error:
            assert "\n" not in str(error)
    (folder / "config.json").write_text(json.dumps({**good, "estimator": "Codec"}))
    with pytest.raises(IsthmusError, match="holds a Codec"):
        AutoEncoder.load(folder)


@given(st.floats(-12, 12), st.floats(-12, 11), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=6, deadline=None)
def test_a_table_is_learned_alike_in_any_unit(size: float, offset: float, dtype: type) -> None:
    """The error in standard deviations is within a tenth of that of the standardised table."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(128, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(128, 6))
    offset = min(offset, 4) if dtype is np.float32 else offset
    moved: np.ndarray = ((table + 10**offset) * 10**size).astype(dtype)
    model = AutoEncoder(2, hidden=(8,), epochs=3, random_state=0, device="cpu", precision="float32")
    expected = clone(model).fit((table - table.mean(0)) / table.std(0)).score((table - table.mean(0)) / table.std(0))
    assert model.fit(moved).score(moved) == pytest.approx(expected, rel=0.1)


def test_sensors_in_their_own_units_are_all_learned() -> None:
    t, phase = np.linspace(0, 6, 32), np.random.default_rng(0).uniform(0, 6, (200, 1))
    X = np.stack([20 + np.sin(t + phase), 101_300 + 500 * np.cos(t + phase)], axis=-1)
    model = AutoEncoder(2, epochs=8, random_state=0, device="cpu").fit(X)
    errors = ((model.reconstruct(X) - X) ** 2).mean(axis=(0, 1)) / X.var(axis=(0, 1))
    assert (errors < 0.05).all()
    assert "each channel by its own" in model.describe()["samples"]
