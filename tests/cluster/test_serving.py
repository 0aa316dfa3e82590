"""`isthmus serve --backend ray`: replicas on a cluster of this machine, which answer as the estimator does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving.http.conftest import started
from tests.serving.http.test_server import body, codes

import isthmus
from isthmus import AutoEncoder

pytest.importorskip("ray.serve", reason="needs Ray: pip install 'isthmus[cluster]'")
pytest.importorskip("fastapi", reason="needs the extra serve: pip install 'isthmus[serve]'")

PATIENCE = 300  # seconds: these tests measure no time


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a cluster of one node, which is left without a process."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(isthmus.__file__).parents[1]))
        node = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False}
        cluster: Any = Cluster(initialize_head=True, head_node_args=node)
        yield cluster.address
        cluster.shutdown()


def test_replicas_answer_as_the_estimator_does(address: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (200, 8, 8), dtype=np.uint8)
    model = AutoEncoder(3, epochs=1, random_state=0).fit(images)
    model.save(tmp_path / "digits")
    folder = str(tmp_path / "digits")  # replicas have no folder of ours
    running = started(tmp_path, folder, "--backend", "ray", "--ray-address", address, "--workers", "2")
    try:
        answer = running.infer("digits", body(images[:3]))
        assert answer.status_code == 200, answer.text
        np.testing.assert_allclose(codes(answer), model.transform(images[:3]), rtol=1e-4, atol=1e-5)
        wrong = running.infer("digits", {"inputs": []})
        assert wrong.status_code == 400 and "inputs" in wrong.json()["error"]
        assert running.ask("GET", "/v2/health/ready").status_code == 200
        again = running.ask("POST", "/v2/repository/models/digits/load")
        assert again.status_code == 400 and "SIGHUP" in again.json()["error"]

        other = model.set_params(latent_dim=2).fit(images)
        other.save(tmp_path / "digits")
        os.kill(running.process.pid, signal.SIGHUP)
        until = time.monotonic() + PATIENCE
        while codes(answer).shape == (3, 3):
            assert time.monotonic() < until
            answer = running.infer("digits", body(images[:3]))
            assert answer.status_code == 200, answer.text
        np.testing.assert_allclose(codes(answer), other.transform(images[:3]), rtol=1e-4, atol=1e-5)
    finally:
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0
    assert running.ask("GET", "/v2").status_code == 404  # Ray's proxy, which stays with the cluster
