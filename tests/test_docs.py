"""The documentation runs: every Python block and every `isthmus` command in README and docs, page by page.

Commands run in this process; tests/cli starts real ones. Trainings are cut to one epoch, and what a page asserts of
their results is left out. `make test-all` runs the Python of pages that assert something as it is written.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from isthmus.cli import app
from isthmus.registry import estimators, objectives, upsamplings

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#]+)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def run_console(text: str) -> None:
    for line in text.replace("\\\n", "").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True) if line.startswith("$ ") else []
        if words[:1] == ["isthmus"]:
            done = CliRunner().invoke(app, words[1:])
            assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"


@contextlib.contextmanager
def trainings(*, cut: bool) -> Iterator[None]:
    """Let every estimator train for one epoch, whatever length was asked for."""

    def shorter(fit: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, *args, **options: fit(self.set_params(epochs=1, minutes=None), *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        for estimator in (entry.estimator() for entry in map(estimators.__getitem__, estimators) if cut):
            patch.setattr(estimator, "fit", shorter(estimator.fit))
        yield


def run_page(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *, whole: bool) -> None:
    """Run the blocks of a page in order. whole : train as long as Python says, and check what it asserts."""
    if "mnist" in "".join(code for _, code in blocks(page)):
        data = Path(os.environ.get("ISTHMUS_DATA") or ROOT.parent / "shared" / "data")
        if not (data / "mnist").is_dir():
            pytest.skip("this page uses MNIST: set ISTHMUS_DATA to a folder that holds mnist/")
        monkeypatch.setenv("ISTHMUS_DATA", str(data))
    monkeypatch.chdir(folder)
    for registry in (objectives, upsamplings):  # what a page registers goes with it
        monkeypatch.setattr(registry, "_objects", {name: registry[name] for name in registry})
    namespace: dict[str, Any] = {"__name__": "page"}
    for language, code in blocks(page):
        with trainings(cut=not whole or language == "console"):
            if language == "console":
                run_console(code)
            else:
                exec(compile(code, str(page), "exec", optimize=0 if whole else 1), namespace)  # 1: without assertions


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=name_of)
def test_what_a_page_shows_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(page, tmp_path, monkeypatch, whole=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if any("assert " in code for _, code in blocks(p))], ids=name_of)
def test_what_a_page_asserts_holds(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(page, tmp_path, monkeypatch, whole=True)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
