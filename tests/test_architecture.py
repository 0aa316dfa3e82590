"""The structure that docs/architecture.md promises: imports run one way, nothing pickles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "isthmus"
FILES = sorted(SOURCE.rglob("*.py"))

# A module may import from its own layer and from lower ones.
LAYERS = {
    "errors": 0, "files": 0, "registry": 1, "spec": 2,
    "data": 3, "networks": 3, "objectives": 3, "corruptions": 3, "augmentations": 3,
    "store": 4, "coding": 4, "training": 4, "evaluation": 4, "search": 4,
    "estimators": 5, "serving": 6,
    "cli": 7, "__main__": 8, "__init__": 8,
}  # fmt: skip


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else "errors"  # the top package only hands out lazily


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "isthmus":
                yield from (f"isthmus.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for module in imports(path):
        if module.startswith("isthmus."):
            target = layer(module)
            if target in LAYERS:  # public names such as isthmus.AutoEncoder come from the top package
                assert LAYERS[target] <= LAYERS[room], f"{path.name} ({room}) imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_nothing_pickles(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    modules = set(imports(path))
    assert not modules & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    for call in ("torch.load(", "torch.save(", "allow_pickle=True"):
        assert call not in text


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450
