"""Model folders: whole, refused when damaged, never executed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG, LOG, WEIGHTS, StoredModel, load_model, save_model
from isthmus.files import atomic_path, write_text

MODEL = StoredModel(
    "AutoEncoder", {"params": {"latent_dim": 2}}, {"w": np.arange(6.0).reshape(2, 3).T}, [{"step": 1, "loss": 0.5}]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_model(tmp_path / "model", MODEL, "# card\n")


def test_a_model_comes_back(folder: Path) -> None:
    model = load_model(folder)
    assert (model.estimator, model.config, model.history) == (MODEL.estimator, MODEL.config, MODEL.history)
    np.testing.assert_array_equal(model.tensors["w"], MODEL.tensors["w"])
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", CONFIG, WEIGHTS, LOG]


def test_other_files_in_the_folder_stay(folder: Path) -> None:
    (folder / "report.html").write_text("mine")
    save_model(folder, MODEL, "")
    assert (folder / "report.html").read_text() == "mine"


def edit(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / CONFIG).unlink(), "not a model"),
        (lambda f: (f / WEIGHTS).unlink(), "missing"),
        (lambda f: (f / CONFIG).write_text('{"format": 1, "est'), "damaged"),
        (lambda f: (f / CONFIG).write_text("[1, 2]"), "not the configuration"),
        (lambda f: (f / CONFIG).write_bytes(b"\xff\xfe\x00"), "damaged"),
        (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-3]), "damaged"),
        (lambda f: (f / WEIGHTS).write_bytes(b""), "damaged"),
        (lambda f: edit(f, format=99, isthmus="9.0"), "format 99 .*9.0.*upgrade"),
        (lambda f: edit(f, sha256="0" * 64), "do not belong together"),
    ],
)
def test_damage_is_one_clear_line(folder: Path, damage, message: str) -> None:
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


def test_a_cut_log_costs_nothing_but_its_last_line(folder: Path) -> None:
    (folder / LOG).write_text('{"step": 1}\n{"step": 2}\n{"ste')
    assert load_model(folder).history == [{"step": 1}, {"step": 2}]


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]
