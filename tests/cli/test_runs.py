"""Every training command is stopped and continued alike, in real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isthmus import load

COMMANDS = {  # with the signal that stops it
    "train": (signal.SIGINT, ["--latent-dim", "3", "--no-report", "--epochs", "5"]),
    "train-codec": (signal.SIGTERM, ["--lossless", "--epochs", "3"]),
    "train-denoiser": (signal.SIGINT, ["--noise", "gaussian:0.1", "--size", "small", "--epochs", "3"]),
    "map": (signal.SIGTERM, ["--epochs", "6"]),
}


def start(command: str, folder: Path, *more: str) -> subprocess.Popen[str]:
    settings = COMMANDS[command][1]
    arguments = [command, "digits", *settings, "--checkpoint-seconds", "0.05", "--quiet", "-o", "model", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "isthmus", *arguments],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize(
    "command", ["train", *(pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS if name != "train")]
)
def test_a_run_is_stopped_and_continued(tmp_path: Path, command: str) -> None:
    number, process = COMMANDS[command][0], start(command, tmp_path)
    checkpoint, deadline = tmp_path / "model" / "checkpoint.safetensors", time.monotonic() + 120
    written = set[int]()
    while len(written) < 2:  # the first one is written before the first step
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        with contextlib.suppress(FileNotFoundError):
            written.add(checkpoint.stat().st_mtime_ns)
        time.sleep(0.005)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert said.count("\n") == 1
    assert said.startswith(f"Stopped. The best model so far is in model. To continue: isthmus {command} digits ")
    assert said.endswith(" --resume\n")
    assert checkpoint.exists()
    steps = load(tmp_path / "model").history_[-1]["step"]

    process = start(command, tmp_path, "--resume")
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0 and said == "", said
    assert "model" in out
    assert not list((tmp_path / "model").glob("checkpoint*"))
    assert load(tmp_path / "model").history_[-1]["step"] > steps
