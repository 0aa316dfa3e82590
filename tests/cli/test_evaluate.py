"""`isthmus evaluate`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.commandline import ask, run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate") / "digits-6"
    status, said = run("train", "digits", "--latent-dim", 6, "--epochs", 2, "-q", "--no-report", "-o", folder)
    assert status == 0, said
    return folder


def test_a_table_and_a_page(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "evaluation"
    status, said = run("evaluate", model, "digits:test", "--train", "digits", "--samples", 200, "-o", out)
    assert status == 0, said
    lines = {line[:30].strip(): line.split() for line in said.splitlines()}
    assert "code" in said and "PCA" in said and "raw data" in said
    assert lines["numbers of a sample"][-3:] == ["6", "6", "64"]
    assert lines["reconstruction, MSE"][-1] == "–"
    assert "fitted on 200 of 1,500 samples, everything measured on 200 of 297 others" in said
    values = json.loads((out / "evaluation.json").read_text())
    assert (values["model"], values["data"], values["train"]) == ("digits-6", "digits:test", "digits")
    assert 0.2 < values["code"]["linear_probe"] <= 1
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in page and page.count("<figure") == 2
    assert {p.name for p in (out / "figures").iterdir()} == {
        "features.png", "features-dark.png", "spectrum.png", "spectrum-dark.png"
    }  # fmt: skip


def test_json_alone_without_labels(model: Path, tmp_path: Path) -> None:
    import numpy as np

    from isthmus import datasets

    np.save(tmp_path / "x.npy", datasets.load("digits").test.images)
    said = ask("evaluate", model, tmp_path / "x.npy", "--json", "-o", tmp_path)
    assert said.status == 0, said
    values = json.loads(said.out)
    assert values["labels"] is None and values["code"]["linear_probe"] is None
    assert values["code"]["reconstruction"] > 0 and values["given"] == [148, 149]


def test_what_has_no_codes(tmp_path: Path) -> None:
    train = ("train-denoiser", "digits", "--noise", "gaussian:0.1", "--size", "small", "--epochs", 1, "-q")
    assert run(*train, "-o", tmp_path / "m")[0] == 0
    status, said = run("evaluate", tmp_path / "m", "digits:test", "-o", tmp_path)
    assert (
        status != 0 and "holds a Denoiser, which cannot encode or decode; these can: AutoEncoder, ManifoldMap" in said
    )
