"""A signal ends a command with 128 + its number, wherever it comes, and what was learned is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.commandline import ask
from tests.training.runs import rows, strokes

from isthmus import load
from isthmus.files import WORKPLACE

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
# With what is done before the first step, and between the last one and the end.
COMMANDS = {
    "train": (["--latent-dim", "2"], "isthmus.estimators.autoencoder.build", "isthmus.estimators.base.save_model"),
    "train-codec": (
        ["--lossless"],
        "isthmus.compression.lossless_learning.learn_codebook",
        "isthmus.compression.lossless_learning._usual_places",
    ),
    "train-denoiser": (
        ["--noise", "gaussian:0.1", "--size", "small"],
        "isthmus.denoising.learning._moments",
        "isthmus.denoising.learning._removal",
    ),
    "train-detector": ([], "isthmus.anomalies.image_learning.unet_spec", "isthmus.anomalies.image_learning._judge"),
    "map": ([], "isthmus.manifold.manifold_map.neighbour_graph", "isthmus.estimators.base.save_model"),
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("data.npy", strokes(90))
    return tmp_path


def interrupted(monkeypatch: pytest.MonkeyPatch, target: str, number: int) -> None:
    """Let a signal come when a function is called first."""
    module, _, name = target.rpartition(".")
    original, calls = getattr(sys.modules[module], name), 0

    def function(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            signal.raise_signal(number)
        return original(*arguments, **options)

    monkeypatch.setattr(target, function)


def train(command: str, *more: str) -> Any:
    return ask(command, "data.npy", *COMMANDS[command][0], "--epochs", "1", "-q", "-o", "model", *more)


def litter(folder: Path) -> list[Path]:
    return list(folder.rglob(f"{WORKPLACE}*"))


@pytest.fixture
def loaded() -> None:
    """The modules that tests patch."""
    import isthmus.anomalies.image_scorer
    import isthmus.compression.lossless_learning
    import isthmus.denoising.learning
    import isthmus.estimators.autoencoder
    import isthmus.manifold.manifold_map  # noqa: F401


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("command", COMMANDS)
def test_before_the_first_step_there_is_nothing_to_keep(
    data: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    handlers = [signal.getsignal(number) for number in NUMBERS]
    with monkeypatch.context() as patched:
        interrupted(patched, COMMANDS[command][1], signal.SIGTERM)
        said = train(command)
    assert said.status == 128 + signal.SIGTERM
    assert said.err.endswith("isthmus: stopped by SIGTERM\n")
    assert not (data / "model" / "config.json").exists() and not litter(data)
    assert [signal.getsignal(number) for number in NUMBERS] == handlers
    assert train(command).status == 0, "what is left stands in nobody's way"


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("command", COMMANDS)
def test_after_the_last_step_the_model_is_kept(data: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    with monkeypatch.context() as patched:
        interrupted(patched, COMMANDS[command][2], signal.SIGHUP)
        said = train(command)
    assert said.status == 128 + signal.SIGHUP, said.err
    assert "The best model so far is in model. To continue: isthmus" in said.err
    steps = load(data / "model").history_[-1]["step"]
    assert not litter(data)
    assert train(command, "--resume").status == 0
    assert load(data / "model").history_[-1]["step"] >= steps
    assert not list((data / "model").glob("checkpoint*"))


@pytest.mark.parametrize("number", NUMBERS)
def test_once_the_model_is_saved_its_report_is_given_up(
    data: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    import isthmus.cli.train  # noqa: F401

    interrupted(monkeypatch, "isthmus.cli.train.write_report", number)
    said = train("train")
    assert said.status == 128 + number
    assert load(data / "model").history_ and not (data / "model" / "report.html").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_who_learns_and_works_goes_on_after_ctrl_c_alone(
    data: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    import pyarrow.csv

    from isthmus.training.loop import Trainer

    validate: Callable[[Trainer], None] = Trainer._validate

    def interrupted_validation(self: Trainer) -> None:
        signal.raise_signal(number)
        validate(self)

    monkeypatch.setattr(Trainer, "_validate", interrupted_validation)
    pyarrow.csv.write_csv(rows(), "holes.csv")
    said = ask("impute", "holes.csv", "-o", "filled.csv", "--epochs", "2", "--save-model", "model", "-q")
    assert said.status == status, said.err
    assert load("model").history_
    assert (data / "filled.csv").exists() == (status == 0)
    assert ("Stopped learning; filling holes with what was learned so far." in said.err) == (status == 0)


def test_work_that_is_ended_leaves_nothing_half_written(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import isthmus.cli.embed  # noqa: F401

    assert train("train", "--no-report").status == 0
    interrupted(monkeypatch, "numpy.lib.format.open_memmap", signal.SIGTERM)
    said = ask("embed", "model", "data.npy", "-o", "codes.npy")
    assert (said.status, said.err) == (143, "isthmus: stopped by SIGTERM\n")
    assert {path.name for path in data.iterdir()} == {"data.npy", "model"}


def test_a_hang_up_that_is_to_be_ignored_is_ignored(data: Path) -> None:
    script = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from isthmus.cli import errors\n"
        "sys.exit(errors.run(lambda: signal.raise_signal(signal.SIGHUP)))"
    )
    assert subprocess.run([sys.executable, "-c", script], env={**os.environ}, timeout=60).returncode == 0
