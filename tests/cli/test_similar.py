"""`isthmus embed` into a store and `isthmus similar`, as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.cli.commandline import ask, run

from isthmus import datasets

pytest.importorskip("lancedb")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a store, and images to look for."""
    folder = tmp_path_factory.mktemp("similar")
    train = ("train", "digits", "--latent-dim", 8, "--epochs", 3, "-q", "--no-report")
    for seed in (0, 1):
        assert run(*train, "--seed", seed, "-o", folder / f"digits-{seed}")[0] == 0
    status, said = run("embed", folder / "digits-0", "digits", "-o", folder / "digits.lance")
    assert status == 0 and "1,500 codes of 8 numbers" in said
    images = datasets.load("digits").train.images
    (folder / "photos").mkdir()
    for i in (3, 40):
        Image.fromarray(images[i]).save(folder / "photos" / f"{i}.png")
    Image.fromarray(images[3]).resize((80, 80), Image.Resampling.NEAREST).convert("RGB").save(folder / "large.png")
    np.save(folder / "one.npy", images[40])
    np.savetxt(
        folder / "table.csv",
        np.random.default_rng(0).normal(size=(40, 5)),
        delimiter=",",
        header="a,b,c,d,e",
        comments="",
    )
    return folder


def nearest(place: Path, query: Any, *more: Any) -> list[dict]:
    said = ask("similar", place / "digits-0", query, "--in", place / "digits.lance", "--json", *more)
    assert said.status == 0, said
    return json.loads(said.out)


def test_samples_find_themselves_and_their_like(place: Path) -> None:
    found = nearest(place, "digits", "-k", 5, "--limit", 3)
    labels = datasets.load("digits").train.labels
    assert [each["sample"] for each in found] == [f"sample {i} of digits:train" for i in range(3)]
    for i, each in enumerate(found):
        first, *others = each["neighbours"]
        assert first["sample"] == each["sample"] and first["distance"] < 1e-3 and len(others) == 4
        assert first["label"] == each["label"] == str(labels[i])
    alike = [
        n["label"] == each["label"] for each in nearest(place, "digits:test", "--limit", 40) for n in each["neighbours"]
    ]
    assert np.mean(alike) > 0.6


def test_files_of_every_kind_are_looked_for(place: Path) -> None:
    names = lambda query, *more: [e["neighbours"][0]["sample"] for e in nearest(place, query, "-k", 1, *more)]  # noqa: E731
    assert names(place / "photos") == ["sample 3 of digits:train", "sample 40 of digits:train"]
    assert names(place / "photos" / "3.png") == ["sample 3 of digits:train"]
    assert names(place / "one.npy") == ["sample 40 of digits:train"]
    assert names(place / "large.png", "--mixed-sizes", "resize")


def test_a_table_and_a_sheet(place: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    ask = ("similar", place / "digits-0", "digits:test", "--in", place / "digits.lance", "-k", 4, "--limit", 2)
    status, said = run(*ask, "-o", sheet)
    assert status == 0 and str(sheet) in said and said.count("of digits:train") == 8
    picture = np.asarray(Image.open(sheet).convert("L"))
    assert picture.shape[0] > 250 and picture.shape[1] > 5 * 96 and len(np.unique(picture)) > 10
    assert "--overwrite" in run(*ask, "-o", sheet)[1]


def test_a_sample_is_left_out_of_its_own_neighbours_and_columns_have_names(place: Path) -> None:
    with_itself = nearest(place, "digits", "-k", 5, "--limit", 2)
    others = nearest(place, "digits", "-k", 4, "--limit", 2, "--not-itself")
    assert [each["neighbours"] for each in others] == [each["neighbours"][1:] for each in with_itself]
    renamed = nearest(place, place / "photos", "-k", 3, "--not-itself")  # the same pictures under other names
    assert (
        all("sample 3 of" not in n["sample"] for n in renamed[0]["neighbours"]) and len(renamed[0]["neighbours"]) == 3
    )
    _, said = run("similar", place / "digits-0", "digits", "--in", place / "digits.lance", "-k", 2, "--limit", 1)
    assert all(head in said for head in ("distance", "label", "sample"))


def test_a_store_of_a_table_has_no_pictures(place: Path, tmp_path: Path) -> None:
    model, store = tmp_path / "m", tmp_path / "t.lance"
    assert run("train", place / "table.csv", "--latent-dim", 2, "--epochs", 1, "-q", "--no-report", "-o", model)[0] == 0
    assert run("embed", model, place / "table.csv", "-o", store)[0] == 0
    status, said = run("similar", model, place / "table.csv", "--in", store, "-k", 2, "--limit", 1)
    assert status == 0 and f"row 0 of {place / 'table.csv'}" in said
    status, said = run("similar", model, place / "table.csv", "--in", store, "-o", tmp_path / "x.png")
    assert status != 0 and "no pictures" in said


def test_one_clear_line(place: Path, tmp_path: Path) -> None:
    store = place / "digits.lance"
    for arguments, message in [
        (("similar", place / "digits-1", "digits", "--in", store), "holds codes of the model 'digits-0'"),
        (("similar", place / "digits-0", "digits", "--in", tmp_path / "no.lance"), "there is no store"),
        (
            ("similar", place / "digits-0", place / "large.png", "--in", store),
            "have 80×80 pixels and the model takes 8×8",
        ),
        (("embed", place / "digits-0", "digits", "-o", store), "--overwrite"),
        (("embed", place / "digits-0", "digits", "-o", tmp_path / "my digits.lance"), "cannot be the name of a store"),
    ]:
        status, said = run(*arguments)
        assert status != 0 and message in said, said


def test_lancedb_says_nothing_of_its_own(place: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "LANCE_LOG"}
    done = subprocess.run(
        [sys.executable, "-m", "isthmus", "embed", place / "digits-0", "digits:test", "-o", tmp_path / "x.lance"],
        env=environment, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert done.stderr == "" and done.stdout.count("\n") == 1
