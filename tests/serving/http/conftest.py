"""Tiny models of every kind, and a real server that answers for them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from isthmus import AnomalyDetector, AutoEncoder, Codec, Denoiser, Imputer, ManifoldMap, datasets, load

pytest.importorskip("fastapi", reason="needs the extra serve: pip install 'isthmus[serve]'")

PATIENCE = 60  # seconds: these tests measure no time


@dataclass
class Running:
    """`isthmus serve` in a process of its own. url : where it answers. log : the file of its standard error."""

    process: subprocess.Popen
    url: str
    log: Path

    @property
    def address(self) -> str:
        return self.url.removeprefix("http://")

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=PATIENCE, **options)

    def infer(self, model: str, body: Any) -> requests.Response:
        return self.ask("POST", f"/v2/models/{model}/infer", json=body)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def started(folder: Path, *words: str) -> Running:
    """Start `isthmus serve` with these arguments, in a folder, at a free port."""
    log = folder / f"serve-{len(list(folder.glob('serve-*')))}.log"
    command = [sys.executable, "-m", "isthmus", "serve", *words, "--port", "0"]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, line + log.read_text()
    return Running(process, found[0], log)


def people(n: int) -> Any:
    """A table with words, dates and holes, as Arrow."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, n)
    return pa.table(
        {
            "age": [None if i % 7 == 3 else int(value) for i, value in enumerate(age)],
            "sex": ["f" if value % 2 else "m" for value in age],
            "since": np.datetime64("2020-01-01") + age.astype("timedelta64[D]"),
            "weight": age / 2 + rng.normal(size=n),
        }
    )


def save_models(folder: Path) -> None:
    """Put a tiny model of each kind into a folder."""
    digits = datasets.load("digits").train.images
    rows = np.random.default_rng(0).normal(size=(300, 4))
    AutoEncoder(latent_dim=3, epochs=1, random_state=0).fit(digits).save(folder / "digits")
    AutoEncoder(latent_dim=2, epochs=1, random_state=0).fit(people(200)).save(folder / "people")
    Denoiser("gaussian:0-0.4", size="small", epochs=1, random_state=0).fit(digits).save(folder / "denoiser")
    Codec(epochs=1, random_state=0).fit(digits).save(folder / "codec")
    Imputer(epochs=1, random_state=0).fit(people(200)).save(folder / "imputer")
    ManifoldMap(epochs=1, random_state=0).fit(digits[:300]).save(folder / "map")
    AnomalyDetector(epochs=1, random_state=0).fit(rows).save(folder / "detector")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each kind."""
    folder = tmp_path_factory.mktemp("served")
    save_models(folder)
    return folder


@pytest.fixture(scope="session")
def estimator(models: Path) -> Any:
    """Loads a model of that folder here, to compare with."""
    return lambda name: load(models / name)


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Running]:
    """A server of all models, which must end well."""
    running = started(models, *sorted(path.name for path in models.iterdir() if path.is_dir()))
    yield running
    assert running.end() == 0
    assert "a bug in isthmus" not in running.log.read_text()


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    return datasets.load("digits").test.images
