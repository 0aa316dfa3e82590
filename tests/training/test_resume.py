"""A run of any estimator that is killed at any moment and resumed ends with the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from tests.training import runs

import isthmus
from isthmus import AutoEncoder, IsthmusError
from isthmus.estimators.model_folder import load_model
from isthmus.training.progress import Event
from isthmus.training.run import checkpoint_path

PARTS = {"lossy-codec": 2}  # runs of two trainings, each with a file of its own


class Stop(Exception):
    """What a listener raises where a process would be killed."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folders of uninterrupted runs, each made when it is first asked for."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            runs.run(kind, made[kind])
        return made[kind]

    return of


def process(kind: str, folder: Path, *more: str) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, runs.__file__, kind, str(folder), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def position(path: Path) -> dict[str, Any]:
    """Where the run of a checkpoint stands; it is replaced while we read."""
    try:
        with safe_open(path, "np") as file:
            return json.loads(file.metadata()["state"])["position"]
    except (FileNotFoundError, SafetensorError):
        return {"step": -1, "finished": False}


def kill_after(child: subprocess.Popen, path: Path, steps: int, number: int) -> None:
    """Send a signal once a checkpoint holds that many steps."""
    deadline = time.monotonic() + 90
    while position(path)["step"] < steps:
        assert child.poll() is None, f"the run ended before it was killed: {child.communicate()[0]}"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    child.send_signal(number)
    child.wait(timeout=60)


def steps_of(folder: Path, part: int) -> int:
    """How many steps a part of an uninterrupted run took."""
    return int(position(checkpoint_path(folder / runs.CHECKPOINT, part))["step"])


def assert_same(found: Path, expected: Path) -> None:
    a, b = load_model(found / runs.MODEL), load_model(expected / runs.MODEL)
    assert a.tensors.keys() == b.tensors.keys()
    for name, tensor in b.tensors.items():
        np.testing.assert_array_equal(a.tensors[name], tensor, err_msg=name)
    timeless = [[(e["step"], e["loss"], e["validation_loss"]) for e in stored.history] for stored in (a, b)]
    assert timeless[0] == timeless[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", runs.KINDS)
def test_killed_processes_resume_to_the_same_bits(kind: str, tmp_path: Path, whole: Any) -> None:
    moments, expected = random.Random(kind), whole(kind)
    more: list[str] = []
    for part in range(PARTS.get(kind, 1)):
        path, steps = checkpoint_path(tmp_path / runs.CHECKPOINT, part), steps_of(expected, part)
        for share in (moments.uniform(0.1, 0.4), moments.uniform(0.5, 0.9)):
            child = process(kind, tmp_path, *more)
            kill_after(child, path, int(share * steps), signal.SIGKILL)
            assert child.returncode == -signal.SIGKILL
            assert not position(path)["finished"], "the run was over when it was killed: this shows nothing"
            more = ["resume"]
    child = process(kind, tmp_path, *more)
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0, output
    assert_same(tmp_path, expected)


@pytest.mark.parametrize("kind", runs.KINDS)
def test_an_error_in_the_middle_and_then_resumed(kind: str, tmp_path: Path, whole: Any) -> None:
    half = steps_of(whole(kind), 0) // 2

    def stopper(event: Event) -> None:
        if event.kind == "entry" and event.entry["step"] > half:
            raise Stop

    with pytest.raises(Stop):
        runs.run(kind, tmp_path, listeners=(stopper,))
    runs.run(kind, tmp_path, resume=True)
    assert_same(tmp_path, whole(kind))


def test_a_run_that_ends_between_its_two_parts_is_resumed(tmp_path: Path, whole: Any) -> None:
    begun = 0

    def stopper(event: Event) -> None:
        nonlocal begun
        begun += event.kind == "start"
        if begun == 2:
            raise Stop

    with pytest.raises(Stop):
        runs.run("lossy-codec", tmp_path, listeners=(stopper,))
    checkpoint_path(tmp_path / runs.CHECKPOINT, 1).unlink()  # killed before the second part wrote anything
    runs.run("lossy-codec", tmp_path, resume=True)
    assert_same(tmp_path, whole("lossy-codec"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", runs.KINDS)
def test_a_signal_ends_the_run_and_keeps_the_best_so_far(kind: str, number: int, tmp_path: Path, whole: Any) -> None:
    half, sent = steps_of(whole(kind), 0) // 2, False

    def signals(event: Event) -> None:
        nonlocal sent
        if event.kind == "entry" and event.entry["step"] > half and not sent:
            sent = True
            signal.raise_signal(number)

    before = signal.getsignal(number)
    model = runs.run(kind, tmp_path, listeners=(signals,))
    assert model.interrupted_ == number
    assert signal.getsignal(number) is before
    assert isthmus.load(tmp_path / runs.MODEL).history_[-1]["step"] < steps_of(whole(kind), 0)


def test_resuming_with_other_settings_or_data_is_refused(tmp_path: Path) -> None:
    X, file = runs.strokes(64), tmp_path / "c"
    AutoEncoder(2, epochs=1, random_state=0).fit(X, checkpoint=file)
    with pytest.raises(IsthmusError, match=r"learning_rate is 0\.1 now and was"):
        AutoEncoder(2, epochs=1, learning_rate=0.1, random_state=0).fit(X, checkpoint=file, resume=True)
    with pytest.raises(IsthmusError, match="other data"):
        AutoEncoder(2, epochs=1, random_state=0).fit(255 - X, checkpoint=file, resume=True)
    with pytest.raises(IsthmusError, match="no checkpoint"):
        AutoEncoder(2, epochs=1, random_state=0).fit(X, checkpoint=tmp_path / "d", resume=True)
    with pytest.raises(IsthmusError, match="resume=True needs checkpoint="):
        AutoEncoder(2, epochs=1, random_state=0).fit(X, resume=True)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(IsthmusError, match="not a readable checkpoint"):
        AutoEncoder(2, epochs=1, random_state=0).fit(X, checkpoint=file, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent_dim": 3}, r"latent_dim is 3 now and was 5 there"),
        ({"latent_dim": 3, "hidden": (8,)}, r"hidden is \[8\] now and was None there, latent_dim is 3"),
        ({"epochs": 3}, r"epochs is 3 now and was 2 there"),
        ({}, "it was made from other data"),
    ],
)
def test_what_differs_from_a_checkpoint_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    X = np.random.default_rng(0).normal(size=(40, 8))
    path = tmp_path / "c.safetensors"
    settings: dict[str, Any] = {"latent_dim": 5, "epochs": 2, "random_state": 0}
    AutoEncoder(**settings).fit(X, checkpoint=path)
    with pytest.raises(IsthmusError, match=f"cannot resume from .*: {message}"):
        AutoEncoder(**settings | change).fit(X if change else X + 1, checkpoint=path, resume=True)


def test_a_run_of_seconds_validates_on_what_there_is_time_for(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(4000, 8))
    path = tmp_path / "c.safetensors"
    AutoEncoder(3, minutes=1e-5, random_state=0).fit(X, checkpoint=path)
    assert 1 <= position(path)["validation_samples"] < 400
    AutoEncoder(3, epochs=1, random_state=0).fit(X, checkpoint=path)
    assert position(path)["validation_samples"] == 400
