"""What the page on production shows of rows and files, asked of a server that has models of those names."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest
from PIL import Image
from tests.serving.http.conftest import Running, people

PAGE = (Path(__file__).parents[3] / "docs" / "guide" / "in-production.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Rows and files")[2].partition("\n## ")[0]
SHOWN = "http://127.0.0.1:8000"


@pytest.fixture
def folder(digits: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are that the page names."""
    for name, image in zip(("7.png", "9.png"), digits, strict=False):
        Image.fromarray(image).save(tmp_path / name)
    pyarrow.csv.write_csv(people(30), tmp_path / "people.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_what_the_page_asks_with_curl_is_answered(server: Running, folder: Path) -> None:
    lines = [line for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL) for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("curl ") and "similar" not in line]  # which needs a store
    assert len(commands) == 12
    for command in commands:
        words = shlex.split(command.replace(SHOWN, server.url))
        done = subprocess.run([*words, "--fail-with-body", "--silent"], capture_output=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout!r}{done.stderr!r}"
    for written in ("decoded.png", "rebuilt.png", "clean.png"):
        Image.open(folder / written).verify()
    assert "" not in (folder / "filled.csv").read_text().splitlines()[1].split(",")
    assert (folder / "digits.zip").read_bytes().startswith(b"PK")


def test_what_the_page_asks_in_python_is_answered(server: Running, folder: Path) -> None:
    (code,) = re.findall(r"```py\n(.*?)```", SECTION, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code.replace(SHOWN, server.url), "page", "exec"), names)
    assert isinstance(names["decoded"], bytes) and names["decoded"].startswith(b"\x89PNG")
