"""Several processes behind one port: they count together, load together, and one that dies is replaced."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from tests.serving.http.conftest import Running, started
from tests.serving.http.test_server import body, codes

from isthmus import load

PATIENCE = 300  # seconds: these tests measure no time, and start several processes

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def pair(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers, which must end well."""
    place = tmp_path_factory.mktemp("pair")
    shutil.copytree(models / "digits", place / "digits")
    running = started(place, "digits", "--workers", "2")
    yield running
    left = workers(running)
    assert running.end() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in left)
    assert "a bug in isthmus" not in running.log.read_text()


def workers(running: Running) -> set[int]:
    pid = running.process.pid
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def answers(running: Running, images: np.ndarray, least: int = 2) -> list[requests.Response]:
    """Answers over connections of their own, until so many processes have given some."""
    found: list[requests.Response] = []
    until = time.monotonic() + PATIENCE
    while len({answer.headers["X-Request-ID"].partition("-")[0] for answer in found}) < least:
        assert time.monotonic() < until
        found.append(running.infer("digits", body(images)))
        assert found[-1].status_code == 200, found[-1].text
    return found


def counted(running: Running) -> float:
    text = running.ask("GET", "/metrics").text
    found = re.search(r'isthmus_requests_total\{endpoint="POST /v2/models/\{name\}/infer",status="200"\} (\S+)', text)
    return float(found[1]) if found else 0.0


def test_workers_answer_alike_and_count_together(pair: Running, models: Path, digits: np.ndarray) -> None:
    before, expected = counted(pair), load(models / "digits").transform(digits[:2])
    found = answers(pair, digits[:2])
    for answer in found:
        np.testing.assert_allclose(codes(answer), expected, rtol=1e-4, atol=1e-5)
    assert counted(pair) == before + len(found)
    assert "isthmus_queue_rows 0.0" in pair.ask("GET", "/metrics").text


def test_a_model_is_loaded_again_by_all_workers(pair: Running, digits: np.ndarray) -> None:
    folder = pair.log.parent / "digits"
    load(folder).set_params(latent_dim=2).fit(digits).save(folder)
    assert pair.ask("POST", "/v2/repository/models/digits/load").json() == {"name": "digits", "versions": ["1"]}
    assert {codes(answer).shape for answer in answers(pair, digits[:2])} == {(2, 2)}
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text("{}")
    refused = pair.ask("POST", "/v2/repository/models/digits/load")
    assert refused.status_code == 400 and "config.json" in refused.json()["error"]
    (folder / "config.json").write_text(config)
    assert pair.ask("POST", "/v2/repository/models/nothing/load").status_code == 404


def test_a_hangup_has_all_workers_load_again(pair: Running, digits: np.ndarray) -> None:
    folder = pair.log.parent / "digits"
    load(folder).set_params(latent_dim=3).fit(digits).save(folder)
    os.kill(pair.process.pid, signal.SIGHUP)
    until = time.monotonic() + PATIENCE
    while {codes(answer).shape for answer in answers(pair, digits[:2])} != {(2, 3)}:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_worker_that_dies_is_replaced(pair: Running, digits: np.ndarray) -> None:
    before, count = workers(pair), counted(pair)
    dead = min(before)
    os.kill(dead, signal.SIGKILL)
    until = time.monotonic() + PATIENCE
    while dead in workers(pair) or len(workers(pair)) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    answers(pair, digits[:1])
    assert "a worker ended with status -9; another takes its place" in pair.log.read_text()
    assert counted(pair) > count  # what the dead one had counted stays


def test_workers_that_cannot_begin_end_the_command(models: Path) -> None:
    words = [sys.executable, "-m", "isthmus", "serve", str(models / "nothing"), "--workers", "2", "--port", "0"]
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    assert said.returncode == 1 and "nothing" in said.stderr and said.stderr.count("\n") == 1, said
