"""A run that is killed at any moment and resumed ends with the same bits."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from isthmus import AutoEncoder, IsthmusError
from isthmus.estimators.model_folder import load_model

ARGUMENTS = [
    "train", "data.npy", "--latent-dim", "3", "--channels", "4,8",
    "--corruption", "gaussian:0.1", "--bottleneck", "variational", "--consistency", "warp",
    "--batch-size", "8", "--epochs", "6", "--checkpoint-seconds", "0.02", "--seed", "5", "--no-report", "--quiet",
]  # fmt: skip


def images(n: int = 400) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 9, 9), dtype=np.uint8)


def command(folder: Path, *more: str) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "isthmus", *ARGUMENTS, "-o", "model", *more],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> None:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("whole")
    np.save(folder / "data.npy", images())
    finish(command(folder))
    assert not (folder / "model" / "checkpoint.safetensors").exists()
    return dict(load_model(folder / "model").tensors)


def kill_after_checkpoint(folder: Path, process: subprocess.Popen, delay: float, number: int) -> None:
    """Send a signal some time after the first checkpoint appeared, or leave a run that has ended by then alone."""
    deadline = time.monotonic() + 60
    while not (folder / "model" / "checkpoint.safetensors").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(number)
    process.wait(timeout=60)


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments(tmp_path: Path, uninterrupted: dict[str, np.ndarray], seed: int) -> None:
    np.save(tmp_path / "data.npy", images())
    moments = random.Random(seed)
    kill_after_checkpoint(tmp_path, command(tmp_path), moments.uniform(0, 0.5), signal.SIGKILL)
    kill_after_checkpoint(tmp_path, command(tmp_path, "--resume"), moments.uniform(0, 0.5), signal.SIGKILL)
    if (tmp_path / "model" / "checkpoint.safetensors").exists():
        finish(command(tmp_path, "--resume"))
    found = load_model(tmp_path / "model").tensors
    assert found.keys() == uninterrupted.keys()
    for name, tensor in uninterrupted.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


def test_interrupted_by_the_keyboard(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", images())
    process = command(tmp_path, "--epochs", "10000")
    kill_after_checkpoint(tmp_path, process, 0.2, signal.SIGINT)
    assert process.stdout is not None
    output = process.stdout.read()
    assert process.returncode == 1, output
    assert "--resume" in output
    assert "Traceback" not in output
    assert AutoEncoder.load(tmp_path / "model").transform(images(3)).shape == (3, 3)
    history = load_model(tmp_path / "model").history
    assert history
    assert [entry["step"] for entry in history] == sorted({entry["step"] for entry in history})


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_in_process(tmp_path: Path, optimizer: str) -> None:
    """An error in the middle of an epoch, then resumed: the same weights, the same history."""

    class Stop(Exception):
        pass

    def stopper(event) -> None:
        if event.kind == "entry" and event.entry["step"] > 60:
            raise Stop

    def model() -> AutoEncoder:
        return AutoEncoder(2, epochs=4, batch_size=8, optimizer=optimizer, random_state=1)

    X = images()
    whole = model().fit(X)
    with pytest.raises(Stop):
        model().fit(X, checkpoint=tmp_path / "c", checkpoint_seconds=0.0, listeners=[stopper])
    resumed = model().fit(X, checkpoint=tmp_path / "c", resume=True)
    for (name, a), b in zip(whole.network_.state_dict().items(), resumed.network_.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)
    timeless = [[(e["step"], e["loss"], e["validation_loss"]) for e in m.history_] for m in (whole, resumed)]
    assert timeless[0] == timeless[1]


def test_resuming_with_other_settings_or_data_is_refused(tmp_path: Path) -> None:
    X, file = images(64), tmp_path / "c"
    AutoEncoder(2, epochs=1, random_state=0).fit(X, checkpoint=file)
    with pytest.raises(IsthmusError, match=r"learning_rate is 0\.1 now and was"):
        AutoEncoder(2, epochs=1, learning_rate=0.1, random_state=0).fit(X, checkpoint=file, resume=True)
    with pytest.raises(IsthmusError, match="other data"):
        AutoEncoder(2, epochs=1, random_state=0).fit(255 - X, checkpoint=file, resume=True)
    with pytest.raises(IsthmusError, match="no checkpoint"):
        AutoEncoder(2, epochs=1, random_state=0).fit(X, checkpoint=tmp_path / "d", resume=True)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(IsthmusError, match="not a readable checkpoint"):
        AutoEncoder(2, epochs=1, random_state=0).fit(X, checkpoint=file, resume=True)
