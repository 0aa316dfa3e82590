"""`isthmus map`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.commandline import ask, run

QUICK = ("--epochs", 10, "-q")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map") / "digits-map"
    status, said = run("map", "digits", "-o", folder, *QUICK)
    assert status == 0, said
    assert "Trustworthiness  0." in said and "of 297 samples" in said
    assert str(folder / "map.png") in said and str(folder / "map.html") in said
    return folder


def test_a_map_is_a_model_with_a_picture_and_a_page(model: Path) -> None:
    names = {path.name for path in model.iterdir()}
    assert {"config.json", "training.jsonl", "map.png", "map-dark.png", "map.html"} <= names
    with Image.open(model / "map.png") as image:
        assert image.width > 2 * image.height * 0.8  # two panels: the samples, and what the decoder makes of the plane
    page = (model / "map.html").read_text("utf-8")
    assert "<title>digits-map · isthmus</title>" in page and "1,500 samples" in page
    status, said = run("info", model)
    assert status == 0 and "2 (2 numbers)" in said


def test_new_data_take_their_places_on_a_trained_map(model: Path, tmp_path: Path) -> None:
    before = (model / "map.html").read_bytes()
    status, said = run("map", "digits:test", "--model", model, "-o", tmp_path / "new")
    assert status == 0, said
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"map.png", "map-dark.png", "map.html"}
    assert "297 samples" in (tmp_path / "new" / "map.html").read_text("utf-8")
    assert (model / "map.html").read_bytes() == before


def test_json_alone_of_data_on_a_trained_map(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "two.npy", np.zeros((2, 8, 8), np.uint8))
    for data, samples in (("digits:test", 297), (str(tmp_path / "two.npy"), None)):
        said = ask("map", data, "--model", model, "-o", tmp_path / "new", "--json")
        values = json.loads(said.out)
        assert values["model"] == str(model) and values["data"] == data
        assert values["epochs"] == 10 and values["steps"] > 0  # those of the training
        scores = values["scores"]
        assert scores is None if samples is None else (scores["samples"] == samples and scores["trustworthiness"] > 0.5)
        assert all(Path(path).is_file() for path in (*values["pictures"], values["page"]))
        assert "Page" in said.err


def test_a_table_with_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, 5)) + 4 * (np.arange(80) % 2)[:, None]
    lines = [",".join([*map(str, row), "ab"[i % 2]]) for i, row in enumerate(rows)]
    (tmp_path / "t.csv").write_text("\n".join(["v,w,x,y,z,kind", *lines]))
    status, said = run("map", tmp_path / "t.csv", "--labels-column", "kind", "-o", tmp_path / "m", *QUICK)
    assert status == 0, said
    page = (tmp_path / "m" / "map.html").read_text("utf-8")
    assert '"names": ["a", "b"]' in page and '"columns": ["v", "w", "x", "y", "z"]' in page


def test_what_makes_no_sense_is_refused(model: Path, tmp_path: Path) -> None:
    assert run("map", "digits", "--model", model, "--minutes", 1)[0] == 2
    assert run("map", "digits", "--epochs", 1, "--minutes", 1)[0] == 2
    status, said = run("map", "digits", "-o", model, *QUICK)
    assert status == 1 and "--overwrite" in said
    assert (
        run("train", "digits", "--latent-dim", 3, "--epochs", 1, "--no-report", "-q", "-o", tmp_path / "three")[0] == 0
    )
    status, said = run("map", "digits:test", "--model", tmp_path / "three", "-o", tmp_path / "out")
    assert status == 1 and "2 numbers" in said and "(3,)" in said
    assert not (tmp_path / "out").exists()
