"""The documentation runs: every Python block and every `isthmus` command in README and docs, page by page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def run_console(text: str, folder: Path) -> None:
    lines = text.replace("\\\n", "").splitlines()
    for line in lines:
        words = shlex.split(line.removeprefix("$ "), comments=True) if line.startswith("$ ") else []
        if words[:1] == ["isthmus"]:
            done = subprocess.run(
                [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stderr}"


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_page_shows_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "mnist" in "".join(code for _, code in blocks(page)):
        data = Path(os.environ.get("ISTHMUS_DATA") or ROOT.parent / "shared" / "data")
        if not (data / "mnist").is_dir():
            pytest.skip("this page uses MNIST: set ISTHMUS_DATA to a folder that holds mnist/")
        monkeypatch.setenv("ISTHMUS_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "page"}
    for language, code in blocks(page):
        if language == "console":
            run_console(code, tmp_path)
        else:
            exec(compile(code, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
