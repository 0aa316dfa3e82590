"""What public docstrings show runs, and what an estimator learns is listed in its docstring."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

import isthmus
from isthmus.registry import estimators

SOURCE = Path(isthmus.__file__).parent
GOLDEN = Path(__file__).parent / "golden" / "models"
WITH_EXAMPLES = sorted(
    ".".join(("isthmus", *path.relative_to(SOURCE).with_suffix("").parts))
    for path in SOURCE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
PUBLIC = [name for name in isthmus.__all__ if name not in ("__version__", "datasets", "IsthmusError")]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried
    assert not failed


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_shows_an_example(name: str) -> None:
    assert ">>> " in inspect.getdoc(getattr(isthmus, name)), f"{name} has no example"


@pytest.mark.parametrize("folder", sorted(GOLDEN.glob("*")), ids=lambda folder: folder.name)
def test_every_fitted_attribute_is_documented(folder: Path) -> None:
    if folder.name == "custom":
        pytest.skip("needs its modules; an AutoEncoder like the others")
    model: Any = isthmus.load(folder / "model")
    text = inspect.getdoc(type(model)) or ""
    for attribute in (name for name in vars(model) if name.endswith("_") and not name.startswith("_")):
        assert f"{attribute} : " in text or f"{attribute}, " in text, f"{type(model).__name__}.{attribute}"


def test_every_registered_estimator_is_public_and_in_the_readme() -> None:
    assert set(estimators) <= set(isthmus.__all__)
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert not [name for name in estimators if name not in readme]
