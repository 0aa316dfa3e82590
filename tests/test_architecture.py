"""The structure that docs/architecture.md promises: imports run one way, nothing pickles, no file is too long."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "isthmus"
FILES = sorted(SOURCE.rglob("*.py"))

# From the ground up. A room imports from itself and from the rooms before it, and from no other.
ROOMS = (
    "words", "imports", "errors", "remote", "files", "device", "share", "registry", "typed_json", "spec", "data",
    "augmentations", "corruptions", "objectives", "networks",
    "training", "evaluation", "latent", "estimators",
    "compression", "denoising", "manifold",
    "tables", "anomalies", "mlflow",
    "cluster", "serving", "cli", "__main__",
)  # fmt: skip
PUBLIC = "__init__"  # hands out names lazily, so that it imports from every room


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    parts = ("isthmus", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports(path: Path) -> Iterator[str]:
    """Names of modules and of what is taken from them: `from isthmus.data import sources` is isthmus.data.sources."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def public_names() -> dict[str, str]:
    """The module behind each name that the top package hands out."""
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_PUBLIC":
            return {name: module for name, (module, _) in ast.literal_eval(node.value).items()}
    raise AssertionError("isthmus/__init__.py has no table _PUBLIC")


def modules_imported(path: Path) -> Iterator[str]:
    """The modules of isthmus that a file imports, by whichever name."""
    public = public_names()
    for name in imports(path):
        if name.partition(".")[0] != "isthmus":
            continue
        head, _, last = name.rpartition(".")
        if head == "isthmus" and last in public:
            yield public[last]
        elif name in MODULES and name != "isthmus":
            yield name
        elif head in MODULES and head != "isthmus":
            yield head


def named(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    if room == PUBLIC:
        return
    for module in modules_imported(path):
        target = room_of(MODULES[module])
        if target != room:
            assert ROOMS.index(target) < ROOMS.index(room), f"{named(path)} imports {module}"


def test_every_room_has_a_rank() -> None:
    assert {room_of(path) for path in FILES} == {*ROOMS, PUBLIC}


def test_files_form_no_circle() -> None:
    graph = {
        module_of(path): {module for module in modules_imported(path) if module != module_of(path)}
        for path in FILES
        if room_of(path) != PUBLIC
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("path", FILES, ids=named)
def test_nothing_pickles(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not {name.partition(".")[0] for name in imports(path)} & {
        "pickle",
        "cloudpickle",
        "dill",
        "shelve",
        "marshal",
    }
    for call in ("torch.load(", "torch.save(", "allow_pickle=True", "joblib.dump(", "joblib.load("):
        assert call not in text


@pytest.mark.parametrize("path", FILES, ids=named)
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_architecture_page_names_files_that_exist() -> None:
    root = SOURCE.parents[1]
    named_files = re.findall(r"`([a-z_/]+\.(?:py|j2|js))`", (root / "docs" / "architecture.md").read_text("utf-8"))
    missing = [name for name in named_files if not ((SOURCE / name).exists() or (root / name).exists())]
    assert len(named_files) > 20
    assert not missing


def test_tests_mirror_the_tree() -> None:
    tests = Path(__file__).parent
    folders = {
        path.relative_to(tests) for path in tests.rglob("test_*.py") for path in path.parents if tests in path.parents
    }
    assert folders
    assert not [str(folder) for folder in folders if not (SOURCE / folder).is_dir()]
