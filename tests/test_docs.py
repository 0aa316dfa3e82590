"""The documentation runs: every Python block and every `isthmus` command in README and docs, page by page.

Commands run in this process; tests/cli starts real ones. Trainings are cut to one epoch, and what a page asserts of
their results is left out, except in `make test-all`, where every page runs as it is written.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import isthmus
import isthmus.objectives  # filled before it is copied
from isthmus.cli import app
from isthmus.registry import objectives

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#]+)")


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def run_console(text: str) -> None:
    for line in text.replace("\\\n", "").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True) if line.startswith("$ ") else []
        if words[:1] == ["isthmus"]:
            done = CliRunner().invoke(app, words[1:])
            assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"


def cut_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every estimator train for one epoch, whatever length was asked for."""

    def cut(fit: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, *args, **options: fit(self.set_params(epochs=1, minutes=None), *args, **options)

    for estimator in (isthmus.AutoEncoder, isthmus.Codec, isthmus.Denoiser, isthmus.ManifoldMap):
        monkeypatch.setattr(estimator, "fit", cut(estimator.fit))


WITH_BLOCKS = [page for page in PAGES if blocks(page)]


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda p: str(p.relative_to(ROOT)))
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["cut", "whole"])
def test_what_a_page_shows_runs(page: Path, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "mnist" in "".join(code for _, code in blocks(page)):
        data = Path(os.environ.get("ISTHMUS_DATA") or ROOT.parent / "shared" / "data")
        if not (data / "mnist").is_dir():
            pytest.skip("this page uses MNIST: set ISTHMUS_DATA to a folder that holds mnist/")
        monkeypatch.setenv("ISTHMUS_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(objectives, "_objects", dict(objectives._objects))  # what a page registers goes with it
    if not whole:
        cut_trainings(monkeypatch)
    namespace: dict = {"__name__": "page"}
    for language, code in blocks(page):
        if language == "console":
            run_console(code)
        else:
            exec(compile(code, str(page), "exec", optimize=0 if whole else 1), namespace)  # 1: without assertions


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
