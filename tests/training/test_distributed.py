"""The same run on several processes: real ones, which torchrun starts and the tests kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training import processes, runs
from tests.training.test_resume import assert_same, position
from tests.training.torchrun import workers

from isthmus import IsthmusError, registry
from isthmus.device import choose_device
from isthmus.estimators.model_folder import load_model
from isthmus.share import BatchGenerator, Share, before, count_of, drawn, own, whole
from isthmus.training.distributed import ALONE, World, check_gpus

ROOT = Path(__file__).parents[2]
TRAIN = "-m", "isthmus", "train", "strokes.npy", "-o", "model", "--latent-dim", "3", "--channels", "4,8"
LENGTH = "--epochs", "20", "--batch-size", "8", "--no-report", "--checkpoint-seconds", "0"


def torchrun(folder: Path, count: int, *words: str, more: tuple[str, ...] = ()) -> subprocess.Popen:
    """Start processes in a folder. more : options of torchrun."""
    python = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": python, "ISTHMUS_TRACEBACK": ""}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", *more, f"--nproc-per-node={count}"]
    return subprocess.Popen(
        [*command, *words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen]]:
    """`torchrun`, whose processes end with the test."""
    children: list[subprocess.Popen] = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen:
        children.append(torchrun(*arguments, **options))
        return children[-1]

    yield start
    for child in children:
        if child.poll() is None:
            child.terminate()
            child.wait(timeout=60)


def said(child: subprocess.Popen) -> list[str]:
    """What isthmus said in the end, without torchrun's own report."""
    output = child.communicate(timeout=240)[0]
    return [line for line in output.splitlines() if line.startswith(("isthmus:", "Stopped", "Model"))]


def wait_for_step(child: subprocess.Popen, checkpoint: Path, step: int) -> None:
    deadline = time.monotonic() + 200
    while position(checkpoint)["step"] < step:
        assert child.poll() is None, child.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "strokes.npy", runs.strokes())
    return tmp_path


# What belongs to a batch


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_make_up_the_batch_and_its_random_numbers(size: int) -> None:
    one, parts = torch.Generator().manual_seed(3), []
    expected = [drawn(torch.rand, (3, 20, 2), one, axis=1), drawn(torch.randn, (20,), one)]
    for rank in range(size):
        generator = BatchGenerator()
        generator.manual_seed(3)
        share = generator.share = Share.of(10, rank, size)
        n = share.samples
        twice = drawn(torch.rand, (3, 2 * n, 2), generator, axis=1).unflatten(1, (2, n))
        parts.append([twice, drawn(torch.randn, (2 * n,), generator).view(2, n)])
        assert count_of(n, generator) == 10
        assert len(own(torch.arange(10), generator)) == n
        assert before(5, generator) == sum(place < 5 for place in range(share.first, share.last))
    together = [torch.cat(found, axis) for found, axis in zip(zip(*parts, strict=True), (2, 1), strict=True)]
    for found, right in zip(together, expected, strict=True):
        assert torch.equal(found.reshape(right.shape), right)


def test_one_process_has_the_whole_batch() -> None:
    x, plain = torch.rand(4, 3), torch.Generator()
    assert ALONE.leads and ALONE.share(8) is None and ALONE.agreed([1]) == [1]
    assert whole(x, plain) is x and own(x, None) is x and before(3, plain) == 3
    assert World(2, 4).share(3) is None  # too few to be divided: all processes take all of them


def test_batch_normalisation_is_refused() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    with pytest.raises(IsthmusError, match=r"1 \(BatchNorm1d\) normalises by the statistics of a batch"):
        World(0, 2).check(network, 8)
    ALONE.check(network, 8)


def test_each_process_takes_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    check_gpus(torch.device("cpu"))
    with pytest.raises(IsthmusError, match="3 processes were started for 2 GPUs; start one for each"):
        check_gpus(torch.device("cuda", 1))


# Runs


def test_every_registered_estimator_is_trained_here() -> None:
    assert {type(make()).__name__ for make, _ in processes.KINDS.values()} == set(registry.estimators)


@pytest.fixture(scope="module")
def alone() -> dict[str, list[float]]:
    """The gradient and the losses of one process."""
    return processes.losses()


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_losses_do_not_depend_on_the_number_of_processes(
    count: int, tmp_path: Path, alone: dict[str, list[float]], started: Callable[..., subprocess.Popen]
) -> None:
    child = started(tmp_path, count, processes.__file__, "losses", str(tmp_path))
    output = child.communicate(timeout=240)[0]
    assert child.returncode == 0, output
    told = [json.loads((tmp_path / f"losses-{count}-{rank}.json").read_text()) for rank in range(count)]
    assert all(other == told[0] for other in told)  # to the bit: all of them have the same weights
    for kind, (gradient, *losses) in alone.items():
        found = told[0][kind]
        assert found[0] == pytest.approx(gradient, rel=1e-4), f"{kind}: the first gradient"
        assert found[1:3] == pytest.approx(losses[:2], rel=1e-5), kind
        assert found[1 : 1 + len(losses)] == pytest.approx(losses, rel=1e-3), kind


def test_a_checkpoint_resumes_on_another_number_of_processes(
    tmp_path: Path, started: Callable[..., subprocess.Popen]
) -> None:
    for kind in processes.RESUMED:
        runs.run(kind, tmp_path / f"{kind}-one")
        runs.run(kind, tmp_path / f"{kind}-begun", listeners=(processes.half_way(),))
    child = started(tmp_path, 2, processes.__file__, "resume", str(tmp_path))
    output = child.communicate(timeout=240)[0]
    assert child.returncode == 0, output
    for kind in processes.RESUMED:
        assert_same_weights(tmp_path / f"{kind}-stopped", tmp_path / f"{kind}-whole", 0)
        assert_same_weights(tmp_path / f"{kind}-begun", tmp_path / f"{kind}-one", 1e-4)
        assert_same_weights(tmp_path / f"{kind}-whole", tmp_path / f"{kind}-one", 1e-4)


def assert_same_weights(found: Path, expected: Path, tolerance: float) -> None:
    a, b = (load_model(path / runs.MODEL).tensors for path in (found, expected))
    for name, tensor in b.items():
        difference = np.abs(a[name].astype(float) - tensor).max(initial=0)
        assert difference <= tolerance * max(1.0, np.abs(tensor).max(initial=0)), name


def test_a_run_by_the_clock_ends_in_the_same_step_everywhere(
    tmp_path: Path, started: Callable[..., subprocess.Popen]
) -> None:
    child = started(tmp_path, 2, processes.__file__, "minutes", str(tmp_path))
    output = child.communicate(timeout=240)[0]
    assert child.returncode == 0, output
    first, second = (json.loads((tmp_path / f"minutes-{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert first[0][-1][0] > 0


# The command line


def test_a_batch_that_cannot_be_divided_is_one_line(folder: Path, started: Callable[..., subprocess.Popen]) -> None:
    child = started(folder, 3, *TRAIN, "--batch-size", "2", "--epochs", "1")
    assert said(child) == [
        "isthmus: a batch of 2 samples cannot be divided among 3 processes; start at most 2, or make batches larger"
    ]
    assert child.returncode == 1
    assert not (folder / "model").exists()


def test_a_killed_process_ends_the_run_which_goes_on_by_itself(
    folder: Path, started: Callable[..., subprocess.Popen]
) -> None:
    uninterrupted = started(folder, 2, *TRAIN[:5], "whole/model", *TRAIN[6:], *LENGTH)
    assert said(uninterrupted) == ["Model       whole/model"]
    child = started(folder, 2, *TRAIN, *LENGTH, more=("--max-restarts=1",))
    wait_for_step(child, folder / "model" / "checkpoint.safetensors", 40)
    os.kill(workers(child.pid)[1], signal.SIGKILL)
    died, *end = said(child)
    assert "another process has ended or does not answer any more, at step" in died
    assert "model/checkpoint.safetensors holds the run to resume" in died
    assert end == ["Model       model"]
    assert child.returncode == 0
    assert_same(folder, folder / "whole")
    assert not list((folder / "model").glob("checkpoint*"))


@pytest.mark.slow
def test_the_first_process_is_killed(folder: Path, started: Callable[..., subprocess.Popen]) -> None:
    child = started(folder, 2, *TRAIN, *LENGTH)
    checkpoint = folder / "model" / "checkpoint.safetensors"
    wait_for_step(child, checkpoint, 40)
    os.kill(workers(child.pid)[0], signal.SIGKILL)
    (died,) = said(child)
    assert "another process has ended" in died
    assert child.returncode == 1
    assert position(checkpoint)["step"] >= 40


@pytest.mark.parametrize("to", ["torchrun", pytest.param("one process", marks=pytest.mark.slow)])
def test_sigterm_keeps_what_was_learned(to: str, folder: Path, started: Callable[..., subprocess.Popen]) -> None:
    child = started(folder, 2, *TRAIN, *LENGTH[:1], "4000", *LENGTH[2:])
    checkpoint = folder / "model" / "checkpoint.safetensors"
    wait_for_step(child, checkpoint, 20)
    os.kill(child.pid if to == "torchrun" else workers(child.pid)[1], signal.SIGTERM)
    (stopped,) = said(child)
    assert stopped.startswith("Stopped. The best model so far is in model. To continue: isthmus train strokes.npy")
    assert load_model(folder / "model").history
    assert position(checkpoint)["step"] >= 20
