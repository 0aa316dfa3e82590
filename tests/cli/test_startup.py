"""What answers at once: no command imports what it does not need, and what can be wrong is said before the work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.commandline import ask

from isthmus import AutoEncoder

NEEDLESS = (
    "torch._dynamo", "torch._inductor", "torch.onnx", "torch.utils.tensorboard", "sympy", "networkx",
    "matplotlib", "jinja2", "sklearn.cluster", "sklearn.decomposition", "sklearn.linear_model", "sklearn.manifold",
    "pooch", "requests", "usearch", "ray", "fastapi", "panel", "lancedb",
)  # fmt: skip
HEAVY = ("torch", "sklearn", "scipy", "matplotlib", "pandas", "numba")


def imported(*arguments: Any) -> tuple[int, set[str]]:
    """The status of `isthmus ARGUMENTS` in a process of its own, and which of the heavy packages it imported."""
    code = f"import sys; from isthmus.cli import main; s = main(); print(*set({HEAVY}) & set(sys.modules)); sys.exit(s)"
    words = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "agg"}, check=False)
    return done.returncode, set(done.stdout.splitlines()[-1].split())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("m") / "model"
    X = np.random.default_rng(0).normal(size=(40, 5))
    return AutoEncoder(3, epochs=1, random_state=0).fit(X).save(folder)


def test_info_and_mistyped_names_import_nothing_heavy(model: Path, tmp_path: Path) -> None:
    (tmp_path / "t.npy").write_bytes(b"")
    np.save(tmp_path / "t.npy", np.arange(12.0).reshape(4, 3))
    assert imported("info", model) == (0, set())
    assert imported("info", tmp_path / "t.npy") == (0, set())
    assert imported("train", "mnits") == (1, set())
    assert imported("denoise", "mnits", "-o", tmp_path / "out") == (1, set())
    assert imported("compress", "--help") == (0, set())


def test_models_answer_without_what_only_training_and_pages_need() -> None:
    """A model of every kind, loaded and asked once. The compiler of torch alone takes longer to import than torch."""
    golden = Path(__file__).parents[1] / "golden" / "models"
    code = f"""
import pathlib, sys, isthmus
for folder in sorted(pathlib.Path({str(golden)!r}).iterdir()):
    if folder.name != "custom":
        model, X = isthmus.load(folder / "model"), str(next(folder.glob("input.*")))
        verbs = ("transform", "denoise", "compress", "score_samples")
        next(getattr(model, verb) for verb in verbs if hasattr(model, verb))(X)
print(sorted({set(NEEDLESS)} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_training_does_not_import_the_compiler_of_torch() -> None:
    """Its import takes longer than that of torch; optimizers of torch import it when they are made, and step."""
    code = """
import sys, numpy, isthmus
isthmus.AutoEncoder(2, epochs=2, random_state=0).fit(numpy.random.default_rng(0).random((20, 8, 8, 1)))
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_info_of_data_says_what_is_taken(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.arange(48, dtype=np.uint16).reshape(4, 3, 4))
    said = ask("info", tmp_path / "t.npy")
    assert said.status == 0
    for words in ("3 × 4", "uint16", "0 to 47", "images or signals"):
        assert words in said.out
    (tmp_path / "x.txt").write_text("hello")
    said = ask("info", tmp_path / "x.txt")
    assert said.status == 1 and "is neither a model nor an archive, and as data:" in said.err


def test_what_cannot_be_written_or_drawn_is_said_before_the_work(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "t.npy", np.zeros((8, 5)))
    (tmp_path / "file").write_text("mine")
    table, file = tmp_path / "t.npy", tmp_path / "file"
    monkeypatch.setattr(AutoEncoder, "transform", None)  # no work
    monkeypatch.setattr(AutoEncoder, "fit", None)
    for words, message in (
        (("map", table, "--model", model), "a map needs codes of 2 numbers"),
        (("map", table, "--model", model, "-o", file), "is a file; name a folder"),
        (("report", model, table, "-o", file), "is a file; name a folder"),
        (("evaluate", model, table, "-o", file), "is a file; name a folder"),
        (("export", model, "-o", file), "is a file; name a folder"),
        (("train", table, "-o", file / "deeper"), "is a file"),
        (("embed", model, table, "-o", file / "codes.npy"), "is a file"),
        (("reconstruct", model, table, "-o", file / "x.npy"), "is a file"),
        (("denoise", table, "-o", tmp_path / "o.npy", "--save-model", file), "is a file; name a folder"),
        (("denoise", table, "-o", tmp_path / "o.npy", "--save-model", model), "holds a model"),
    ):
        said = ask(*words)
        assert said.status == 1 and message in said.err, (words, said)
    assert file.read_text() == "mine"


def test_what_is_read_is_never_written_over(model: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.npy"
    np.save(table, np.random.default_rng(0).normal(size=(8, 5)))
    before = table.read_bytes()
    for words in (
        ("reconstruct", model, table, "-o", table),
        ("embed", model, table, "-o", table),
        ("denoise", table, "-o", table),
        ("denoise", table, "-o", tmp_path / "o.npy", "--std", table),
        ("compress", model, table, "-o", tmp_path / "." / "t.npy"),
    ):
        said = ask(*words, "--overwrite")
        assert said.status == 1 and "is what is read, and would be lost" in said.err, (words, said)
    assert table.read_bytes() == before
