"""Models on a hub: pushed as they are, read at one commit, pulled whole or not at all; no message shows a token."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.cli.commandline import ask

from isthmus import AutoEncoder, IsthmusError, load
from isthmus.estimators.model_folder import copy_model
from isthmus.estimators.sharing import pull_model, push_model
from isthmus.remote.hub import pinned
from isthmus.remote.paths import as_path

constants = pytest.importorskip("huggingface_hub.constants", reason="needs huggingface_hub: pip install 'isthmus[hub]'")
fsspec = pytest.importorskip("fsspec", reason="needs fsspec: pip install 'isthmus[hub]'")
from tests.remote.hub_server import TOKEN, Hub, hub_server  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "golden" / "models"
MODEL, OTHER = GOLDEN / "conv" / "model", GOLDEN / "variational" / "model"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that huggingface_hub takes for the only one, for this process and those that it starts."""
    with hub_server() as server:
        values = {
            "HF_ENDPOINT": server.address,
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "ISTHMUS_CACHE": str(tmp_path / "cache"),
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.address),
        )
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        fsspec.get_filesystem_class("hf").clear_instance_cache()
        yield server
    fsspec.get_filesystem_class("hf").clear_instance_cache()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_comes_back_as_it_was_at_the_revision_that_is_asked_for(hub: Hub, tmp_path: Path) -> None:
    beside = copy_model(MODEL, tmp_path / "mine")
    (beside / "report.html").write_text("samples that are nobody else's business")
    first = push_model(beside, "someone/digits")
    second = push_model(OTHER, "someone/digits")
    repository = hub.repositories["someone/digits"]
    assert first == f"hf://someone/digits@{list(repository.commits)[1]}" and second.endswith(repository.refs["main"])
    assert repository.commits[repository.refs["main"]] == files_of(OTHER)  # the weights of the first are gone
    repository.refs["v1"] = first.partition("@")[2]
    X = np.load(GOLDEN / "conv" / "input.npy")
    for address in (first, "hf://someone/digits@v1"):
        np.testing.assert_array_equal(load(address).transform(X), load(MODEL).transform(X))
    folder, told = pull_model("someone/digits@v1", tmp_path / "pulled")
    assert told == first and files_of(folder) == files_of(MODEL)
    assert pinned(as_path("hf://someone/digits")) == as_path(second)


def test_an_estimator_pushes_itself_with_a_card_that_hubs_read(hub: Hub) -> None:
    yaml = pytest.importorskip("yaml")
    model = AutoEncoder(2, epochs=1, random_state=0).fit(np.random.default_rng(0).normal(size=(64, 5)))
    address = model.push_to_hub("someone/table-2", private=True)
    repository = hub.repositories["someone/table-2"]
    card = repository.commits[repository.refs["main"]]["README.md"].decode()
    _, head, text = card.split("---\n", 2)
    facts = yaml.safe_load(head)
    assert facts["library_name"] == "isthmus" and facts["tags"] == ["isthmus", "auto-encoder"]
    result = facts["model-index"][0]["results"][0]
    assert result["dataset"]["name"] == "64 samples" and result["metrics"][0]["value"] > 0
    assert "# table-2" in text and "| trained on | 64 samples |" in text
    assert repository.private and load(address).describe() == model.describe()


def test_what_cannot_be_is_one_line_without_the_token(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    push_model(MODEL, "someone/digits")
    push_model(MODEL, "someone/secret", private=True)
    hub.tampered["config.json"] = (MODEL / "config.json").read_bytes().replace(b"silu", b"relu")
    attempts = {
        "is damaged": lambda: pull_model("someone/digits", tmp_path / "new"),
        "no repository hf://someone/absent": lambda: load("hf://someone/absent"),
        "has no revision 'v7'": lambda: load("hf://someone/digits@v7"),
        "is no repository of the hub": lambda: push_model(MODEL, "digits"),
        "makes the next revision": lambda: push_model(MODEL, "someone/digits@v1"),
        "seen by everybody": lambda: push_model(MODEL, "someone/digits", private=True),
        "credentials are missing": lambda: push_model(MODEL, "someone/digits", token="hf_wrong-and-secret"),
    }
    for words, attempt in attempts.items():
        with pytest.raises(IsthmusError, match=re.escape(words)) as raised:
            attempt()
        assert "secret" not in str(raised.value).replace("someone/secret", "") and "\n" not in str(raised.value)
    assert not (tmp_path / "new").exists()
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(IsthmusError, match="set HF_TOKEN"):
        load("hf://someone/secret")
    assert TOKEN not in "".join(capfd.readouterr())


def test_commands_say_which_commit(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pushed = ask("push", MODEL, "someone/digits")
    commit = hub.repositories["someone/digits"].refs["main"]
    assert (pushed.status, pushed.out) == (0, f"Pushed  hf://someone/digits@{commit}\n")
    words = [sys.executable, "-m", "isthmus", "pull", "someone/digits"]
    pulled = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}, check=False)
    assert (pulled.returncode, pulled.stderr) == (0, "")
    assert pulled.stdout == f"Pulled  hf://someone/digits@{commit}\nModel   digits\n"
    assert files_of(tmp_path / "digits") == files_of(MODEL)
    again = ask("pull", "someone/digits")
    assert again.status == 1 and "digits exists; give --overwrite" in again.err
    embedded = ask("embed", "hf://someone/digits", GOLDEN / "conv" / "input.npy", "-o", "codes.npy")
    assert embedded.status == 0 and f"hf://someone/digits is hf://someone/digits@{commit}" in embedded.err
    assert json.loads((tmp_path / "digits" / "config.json").read_text())["estimator"] == "AutoEncoder"
