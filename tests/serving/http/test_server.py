"""The server as its operators meet it: tokens, limits, metrics, logs, new models, and the end."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from tests.cli.commandline import ask
from tests.serving.http.conftest import PATIENCE, Running, started

from isthmus import load

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def guarded(models: Path) -> Iterator[Running]:
    """A server with a token, a short time and small limits."""
    (models / "token").write_text(f"{TOKEN}\n")
    running = started(models, "digits", "--token-file", "token", "--max-body-mb", "0.01")
    yield running
    assert running.end(signal.SIGINT) == 0


def body(images: np.ndarray) -> dict[str, Any]:
    tensor = {"name": "input", "datatype": "UINT8", "shape": list(images.shape), "data": images.ravel().tolist()}
    return {"inputs": [tensor], "outputs": [{"name": "code"}]}


def codes(answer: requests.Response) -> np.ndarray:
    (output,) = answer.json()["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def test_nothing_but_health_is_told_without_the_token(guarded: Running, digits: np.ndarray) -> None:
    assert guarded.ask("GET", "/v2/health/ready").status_code == 200
    for path in ("/v2", "/metrics", "/openapi.json", "/nowhere"):
        answer = guarded.ask("GET", path)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), path
    wrong = guarded.ask("GET", "/v2", headers={"Authorization": f"Bearer {TOKEN}0"})
    assert wrong.status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.ask("POST", "/v2/models/digits/infer", json=body(digits[:1]), headers=headers).status_code == 200


def raw(server: Running, head: str, content: bytes = b"") -> tuple[int, str]:
    """Send bytes as they are; the status of the answer, and its headers and body."""
    host, port = server.address.split(":")
    own = f"Host: {server.address}\r\nAuthorization: Bearer {TOKEN}\r\n"
    text = f"POST /v2/models/digits/infer HTTP/1.1\r\n{own}{head}\r\n"
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(text.encode() + content)
        answer = HTTPResponse(connection)
        answer.begin()
        return answer.status, f"{answer.headers}{answer.read().decode()}"


def test_a_body_is_held_to_its_limit_whatever_it_says_of_itself(guarded: Running) -> None:
    status, said = raw(guarded, "Content-Length: 1000000000\r\n")
    assert status == 413 and "1,000,000,000 bytes" in said and "connection: close" in said.lower()
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    status, said = raw(guarded, "Transfer-Encoding: chunked\r\n", chunk)
    assert status == 413 and "more than the 10,485 bytes" in said
    assert raw(guarded, "Content-Length: 2\r\nContent-Encoding: gzip\r\n", b"{}")[0] == 415
    assert raw(guarded, "Content-Length: x\r\n")[0] == 400
    assert guarded.ask("GET", "/v2/health/ready").status_code == 200


def test_metrics_and_logs_tell_of_each_request(server: Running, digits: np.ndarray) -> None:
    answer = server.ask("POST", "/v2/models/digits/infer", json=body(digits[:3]), headers={"X-Request-ID": "mine-1"})
    assert answer.headers["X-Request-ID"] == "mine-1"
    server.ask("GET", "/nowhere")
    text = server.ask("GET", "/metrics").text
    assert 'isthmus_requests_total{endpoint="POST /v2/models/{name}/infer",status="200"}' in text
    assert 'isthmus_requests_total{endpoint="other",status="404"}' in text
    assert 'isthmus_batch_rows_sum{model="digits"} 3.0' in text
    assert "isthmus_model_seconds_total" in text and "isthmus_queue_rows 0.0" in text
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    mine = next(line for line in lines if line.get("request") == "mine-1")
    assert mine["status"] == 200 and mine["message"] == "POST /v2/models/digits/infer" and mine["milliseconds"] > 0


def test_metrics_tell_when_rows_are_no_more_like_what_a_detector_learned_from(server: Running) -> None:
    def drift(rows: np.ndarray) -> dict[str, float]:
        tensor = {"name": "input", "datatype": "FP64", "shape": list(rows.shape), "data": rows.ravel().tolist()}
        answer = server.infer("detector", {"inputs": [tensor], "outputs": [{"name": "score"}]})
        assert answer.status_code == 200, answer.text
        text = server.ask("GET", "/metrics").text
        return {
            name: float(value) for name, value in re.findall(r'isthmus_drift_(\w+)\{model="detector"\} (\S+)', text)
        }

    rows = np.random.default_rng(1).normal(size=(300, 4))
    before = drift(rows)
    assert before["alarm"] == 0 and before["seen"] >= 300
    after = drift(rows + 3)
    assert after["alarm"] == 1 and after["seen"] == before["seen"] + 300 and after["value"] > 100


def test_a_request_that_has_no_time_left_is_504(server: Running, digits: np.ndarray) -> None:
    late = body(digits[:1]) | {"parameters": {"timeout": 1}}
    answer = server.infer("digits", late)
    assert answer.status_code == 504 and answer.json()["error"]


def test_a_folder_is_loaded_again(models: Path, digits: np.ndarray, tmp_path: Path) -> None:
    shutil.copytree(models / "digits", tmp_path / "model")
    running = started(tmp_path, "model")
    try:
        before = codes(running.infer("model", body(digits[:2])))
        other = load(tmp_path / "model").set_params(random_state=1, latent_dim=2).fit(digits)
        other.save(tmp_path / "model")
        np.testing.assert_array_equal(codes(running.infer("model", body(digits[:2]))), before)
        running.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + PATIENCE
        while codes(running.infer("model", body(digits[:2]))).shape == (2, 3):
            assert time.monotonic() < until
        np.testing.assert_allclose(
            codes(running.infer("model", body(digits[:2]))), other.transform(digits[:2]), rtol=1e-5
        )
        (tmp_path / "model" / "config.json").write_text("{}")  # what cannot be loaded changes nothing
        assert running.ask("POST", "/v2/repository/models/model/load").status_code == 400
        assert codes(running.infer("model", body(digits[:2]))).shape == (2, 2)
    finally:
        assert running.end() == 0


def test_versions_are_folders_that_are_numbered(models: Path, tmp_path: Path) -> None:
    for version in ("2", "10"):
        shutil.copytree(models / "digits", tmp_path / "model" / version)
    running = started(tmp_path, "name=model")
    try:
        known = running.ask("GET", "/v2/models/name").json()
        assert known["versions"] == ["2", "10"]
        assert running.ask("GET", "/v2/models/name/versions/2/ready").status_code == 200
        assert running.ask("GET", "/v2/models/name/versions/1").status_code == 404
    finally:
        assert running.end() == 0


def test_sigterm_loses_no_request(models: Path, digits: np.ndarray) -> None:
    running = started(models, "digits")
    expected = load(models / "digits").transform(digits[:1])
    begun, counts, problems = threading.Barrier(9), [0] * 8, []

    def client(number: int) -> None:
        session = requests.Session()
        begun.wait(PATIENCE)
        while True:
            try:
                answer = session.post(f"{running.url}/v2/models/digits/infer", json=body(digits[:1]), timeout=PATIENCE)
            except requests.ConnectionError as error:
                return problems.append(repr(error))
            if answer.status_code != 200 or not np.allclose(codes(answer), expected, rtol=1e-4, atol=1e-5):
                problems.append(answer.text)
            counts[number] += 1
            if answer.headers.get("Connection") == "close":  # the server said that it ends
                return None

    clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for one in clients:
        one.start()
    begun.wait(PATIENCE)
    while min(counts) < 3:
        time.sleep(0.01)
    assert running.end() == 0
    for one in clients:
        one.join(PATIENCE)
    assert problems == []


def test_what_cannot_be_served_is_said_in_a_line(models: Path, server: Running, tmp_path: Path) -> None:
    port = server.address.split(":")[1]
    (tmp_path / "short").write_text("secret")
    digits = models / "digits"
    for words, message in (
        ((tmp_path / "nothing",), "nothing"),
        ((digits, "--port", port), "cannot listen at 127.0.0.1"),
        ((digits, digits), "two models are called 'digits'"),
        ((f"a b={digits}",), "cannot be part of an address"),
        ((digits, "--token-file", tmp_path / "short"), "holds no token"),
        ((digits, "--host", "no.such.host.invalid"), "cannot listen at no.such.host.invalid"),
    ):
        said = ask("serve", "--port", 0, *words)  # of two ports the last one counts
        assert said.status == 1 and message in said.err and said.err.count("\n") == 1, (words, said)
