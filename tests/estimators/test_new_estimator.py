"""A new estimator is one folder and one line in the registry; everything else finds it there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.cli import main
from isthmus.registry import Estimators, estimators

SOURCE = """
import numpy as np
import torch
from isthmus.device import choose_device
from isthmus.data.scaling import fit_scaler
from isthmus.estimators.encoder_decoder import EncoderDecoder
from isthmus.networks import build
from isthmus.spec import NetworkSpec


class PCAEncoder(EncoderDecoder):
    \"\"\"Principal components as a linear auto-encoder.\"\"\"

    def __init__(self, latent_dim=2, *, device="auto", random_state=0, verbose=False):
        self.latent_dim, self.device, self.random_state, self.verbose = latent_dim, device, random_state, verbose

    def fit(self, X, y=None):
        source = self._open(X, reset=True)
        self.seed_, self.history_, self.scaler_ = self.random_state, [], fit_scaler(source, flat=True)
        x = self.scaler_.to_network(torch.as_tensor(source.take(np.arange(len(source))))).double()
        axes = torch.linalg.svd(x - x.mean(0), full_matrices=False)[2][: self.latent_dim]
        spec = NetworkSpec("dense", tuple(x.shape[1:]), latent_dim=self.latent_dim)
        network = build(spec, self.seed_)
        weights = [axes, -axes @ x.mean(0), axes.T, x.mean(0)]
        network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
        self._adopt(network.eval(), spec, choose_device(self.device))
        return self
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model of the new kind, saved; the estimator is known while the tests here run."""
    place = tmp_path_factory.mktemp("new")
    (place / "principal").mkdir()
    (place / "principal" / "pca_encoder.py").write_text(SOURCE, encoding="utf-8")
    sys.path.insert(0, str(place))
    before = dict(estimators._entries)
    estimators.register("PCAEncoder", "principal.pca_encoder", "encode", "decode")
    kind = estimators["PCAEncoder"].estimator()
    yield kind(5).fit(isthmus.datasets.load("digits").train.images).save(place / "pca-5")
    estimators._entries = before
    sys.path.remove(str(place))


def run(*words: object) -> None:
    """A command as a user types it."""
    assert main([str(word) for word in words]) == 0


def test_it_is_an_auto_encoder(folder: Path) -> None:
    X = isthmus.datasets.load("digits").test.images
    model = isthmus.load(folder)
    assert type(model).__name__ == "PCAEncoder"
    assert model.transform(X).shape == (len(X), 5)
    rebuilt = model.reconstruct(X)
    assert (rebuilt.dtype, rebuilt.shape) == (X.dtype, X.shape)
    spread = X / 255 - (X / 255).mean(axis=0)
    assert -model.score(X) < 0.6 * (spread**2).mean()
    assert "linear" in model.describe()["network"]


def test_the_command_line_knows_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("info", folder)
    assert "5 numbers" in capsys.readouterr().out
    run("embed", folder, "digits:test", "-o", tmp_path / "codes.npy")
    assert np.load(tmp_path / "codes.npy").shape == (297, 5)
    run("reconstruct", folder, "digits:test", "-o", tmp_path / "rebuilt.npy")
    assert np.load(tmp_path / "rebuilt.npy").shape == (297, 8, 8)


def test_it_has_a_report(folder: Path, tmp_path: Path) -> None:
    run("report", folder, "digits:test", "-o", tmp_path)
    assert "PCAEncoder" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_it_can_be_explored(folder: Path) -> None:
    pytest.importorskip("panel")
    frame = isthmus.explore(isthmus.load(folder), isthmus.datasets.load("digits").test.images)
    try:
        assert frame.url.startswith("http://127.0.0.1")
    finally:
        frame.stop()


def test_the_registry_says_what_there_is() -> None:
    found = Estimators()
    found.register("A", "a", "encode", "decode")
    found.register("B", "b", "clean")
    assert found.that("decode") == ["A"]
    with pytest.raises(isthmus.IsthmusError, match=r"unknown estimator 'AA'.*A, B"):
        found["AA"]
    with pytest.raises(isthmus.IsthmusError, match="a list is no estimator"):
        found.of([])
