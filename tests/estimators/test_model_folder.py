"""Model folders: whole, refused when damaged, never executed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus import AutoEncoder
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG, LOG, StoredModel, load_model, read_config, save_model, weights_of
from isthmus.files import atomic_path, write_text

MODEL = StoredModel(
    "AutoEncoder",
    {"params": {"latent_dim": 2}},
    {"w": np.arange(6.0).reshape(2, 3).T},
    [{"step": 1, "epoch": 1, "loss": 0.5}],
)

OTHER = StoredModel("AutoEncoder", {"params": {"latent_dim": 3}}, {"w": np.ones((2, 2))}, [])


def weights_in(folder: Path) -> Path:
    return folder / weights_of(read_config(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_model(tmp_path / "model", MODEL, "# card\n")


def test_a_model_comes_back(folder: Path) -> None:
    model = load_model(folder)
    assert (model.estimator, model.config, model.history) == (MODEL.estimator, MODEL.config, MODEL.history)
    np.testing.assert_array_equal(model.tensors["w"], MODEL.tensors["w"])
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", CONFIG, weights_in(folder).name, LOG]


def test_other_files_in_the_folder_stay(folder: Path) -> None:
    (folder / "report.html").write_text("mine")
    save_model(folder, MODEL, "")
    assert (folder / "report.html").read_text() == "mine"


def edit(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / CONFIG).unlink(), "not a model"),
        (lambda f: weights_in(f).unlink(), "missing"),
        (lambda f: (f / CONFIG).write_text('{"format": 1, "est'), "damaged"),
        (lambda f: (f / CONFIG).write_text("[1, 2]"), "not the configuration"),
        (lambda f: (f / CONFIG).write_bytes(b"\xff\xfe\x00"), "damaged"),
        (lambda f: weights_in(f).write_bytes(weights_in(f).read_bytes()[:-3]), "damaged"),
        (lambda f: weights_in(f).write_bytes(b""), "damaged"),
        (lambda f: edit(f, format=99, isthmus="9.0"), "format 99 .*9.0.*upgrade"),
        (lambda f: edit(f, sha256="0" * 64), "do not belong together"),
        (lambda f: edit(f, weights="../model-0123456789abcdef.safetensors"), "names no file with weights"),
        (lambda f: edit(f, weights=["model.safetensors"]), "names no file with weights"),
    ],
)
def test_damage_is_one_clear_line(folder: Path, damage: Any, message: str) -> None:
    damage(folder)
    with pytest.raises(IsthmusError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IsthmusError, match="does not exist"):
        load_model(tmp_path / "nothing")


def test_saving_over_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(IsthmusError, match="it is a file"):
        save_model(tmp_path / "file", MODEL, "")
    assert (tmp_path / "file").read_text() == "mine"


def as_format_1(folder: Path) -> None:
    """What earlier versions wrote: weights of a fixed name, and the history in the log alone."""
    weights_in(folder).rename(folder / "model.safetensors")
    edit(folder, format=1)


def test_a_cut_log_of_format_1_costs_nothing_but_its_last_line(folder: Path) -> None:
    as_format_1(folder)
    (folder / LOG).write_text('{"step": 1, "epoch": 1}\n{"step": 2, "epoch": 1}\n{"ste')
    assert load_model(folder).history == [{"step": 1, "epoch": 1}, {"step": 2, "epoch": 1}]


def test_the_log_of_a_run_that_goes_on_is_not_the_history_of_the_model(folder: Path) -> None:
    (folder / LOG).write_text('{"step": 7}\n')
    assert load_model(folder).history == MODEL.history


def test_a_save_over_format_1_leaves_nothing_of_it(folder: Path) -> None:
    as_format_1(folder)
    save_model(folder, OTHER, "")
    assert load_model(folder).config == OTHER.config
    assert not (folder / "model.safetensors").exists()


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_numpy_numbers_are_parameters_like_others(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(60, 6))
    settings: dict[str, Any] = {
        "latent_dim": np.int64(2),
        "random_state": np.int64(0),
        "epochs": np.int64(1),
        "batch_size": np.int32(16),
        "hidden": np.array([8, 4]),
        "learning_rate": np.float32(1e-3),
        "validation_fraction": np.float64(0.1),
    }
    model = AutoEncoder(**settings)
    model.fit(X, checkpoint=tmp_path / "c").save(tmp_path / "m")
    model.fit(X, checkpoint=tmp_path / "c", resume=True)
    loaded = AutoEncoder.load(tmp_path / "m")
    assert loaded.get_params()["hidden"] == [8, 4]
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))


def test_a_model_that_cannot_be_saved_leaves_the_one_that_was_there(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(60, 6))
    good = AutoEncoder(2, epochs=1, random_state=0).fit(X)
    good.save(tmp_path / "m")
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    bad = AutoEncoder(2, epochs=1, random_state=1).fit(X)
    bad.history_ = [{**bad.history_[-1], "loss": object()}]  # no JSON
    with pytest.raises(TypeError):
        bad.save(tmp_path / "m")
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before
