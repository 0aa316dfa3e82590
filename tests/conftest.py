"""What the tests share."""

from __future__ import annotations

import os
from pathlib import Path

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
