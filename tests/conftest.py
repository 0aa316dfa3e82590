"""What the tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # the networks here are tiny: more threads would only wait for one another


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real data sets; a test that needs it is skipped where it is absent."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("ISTHMUS_DATA") or beside)
    if not root.is_dir():
        pytest.skip("needs the real data sets: set ISTHMUS_DATA to a folder that holds mnist/, cifar10/, ...")
    return root


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Headless Chromium; tests that need it are skipped where it is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'isthmus[dev]'")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
