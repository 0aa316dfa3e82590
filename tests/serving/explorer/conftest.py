"""Small models on digits, and their pages in a browser."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from isthmus import AutoEncoder, Codec, Denoiser, datasets

pytest.importorskip("panel", reason="needs the extra explore: pip install 'isthmus[explore]'")

PATIENCE = 60_000  # milliseconds: these tests measure no time


@dataclass
class Explorer:
    """An open page, and what must not have happened on it."""

    page: Any
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def open(self, url: str, awaited: str = ".picture img") -> None:
        """Open a page and wait until its first pictures are there."""
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._seen(request.url, url))
        self.page.goto(url)
        self.page.locator(awaited).first.wait_for()

    def picture(self, number: int = 0) -> str:
        """The address of a picture: of what is decoded, of the original, ..."""
        return self.page.locator(".picture").nth(number).locator("img").first.get_attribute("src")

    def captions(self) -> list[str]:
        return [one.locator(".bk-clearfix").inner_text() for one in self.page.locator(".caption").all()]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where on the screen a place of the map is, by shares of its width and height."""
        box = self.page.locator(".bk-Figure").bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for something that becomes true."""
        until = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < until:
            if found := condition():
                return found
            self.page.wait_for_timeout(50)
        raise AssertionError("it has not happened")

    def _seen(self, address: str, url: str) -> None:
        if not address.startswith((url, "data:", "blob:", url.replace("http", "ws", 1))):
            self.outside.append(address)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each kind."""
    folder, train = tmp_path_factory.mktemp("models"), datasets.load("digits").train.images
    AutoEncoder(latent_dim=2, epochs=8, random_state=0).fit(train).save(folder / "flat")
    AutoEncoder(latent_dim=20, epochs=3, random_state=0).fit(train).save(folder / "deep")
    Denoiser("gaussian:0-0.4", size="small", epochs=2, random_state=0).fit(train / 255).save(folder / "denoiser")
    Codec("lossy", epochs=1, random_state=0).fit(train).save(folder / "codec")
    return folder


@pytest.fixture(scope="session")
def server(models: Path) -> Iterator[Callable[..., str]]:
    """`isthmus explore` on models of that folder; gives the URL that it prints."""
    running: dict[tuple[str, ...], tuple[subprocess.Popen, str]] = {}

    def start(*names: str) -> str:
        if names not in running:
            command = [sys.executable, "-m", "isthmus", "explore", *names, "digits:test", "--no-browser"]
            process = subprocess.Popen(command, cwd=models, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "http://127.0.0.1:" in line, line + process.stdout.read()
            running[names] = process, next(word for word in line.split() if word.startswith("http"))
        return running[names][1]

    yield start
    for process, _ in running.values():
        process.send_signal(signal.SIGINT)
    for process, _ in running.values():
        assert process.stdout is not None
        said = process.stdout.read()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        lines = [line for line in said.splitlines() if "a page of http://evil.example was refused" not in line]
        assert (process.returncode, lines) == (0, [])  # Ctrl-C ends quietly, and nothing else was logged before


@pytest.fixture
def explorer(chromium: Any) -> Iterator[Explorer]:
    """A fresh page; afterwards nothing may have gone wrong on it, and nothing may have been asked of the network."""
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE)
    opened = Explorer(page)
    yield opened
    page.close()
    assert opened.errors == [] and opened.outside == []
