"""What stands around the code is true: continuous integration, hooks, templates, metadata, and what pages name."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

import isthmus
from isthmus.remote.stores import SCHEMES

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (GITHUB / "workflows").glob("*.yml")
}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
PATH = re.compile(r"[\w.-]+\.(txt|toml|md|py|yml|cff)$|\w+/.*")


def runs() -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Every command of every workflow, in words, with its job."""
    for workflow in WORKFLOWS.values():
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                for line in step.get("run", "").splitlines():
                    yield job, shlex.split(line)


def systems(job: dict[str, Any]) -> set[str]:
    """The systems that a job runs on: ubuntu, macos, windows."""
    named = job["strategy"]["matrix"]["os"] if "matrix.os" in job["runs-on"] else [job["runs-on"]]
    return {name.partition("-")[0] for name in named}


def missing(words: list[str], job: dict[str, Any]) -> list[str]:
    """What a command names that is not there."""
    wrong = []
    match words:
        case ["make", *targets]:
            wrong += [f"make {target}" for target in targets if target not in TARGETS]
            wrong += ["make on Windows"] if "windows" in systems(job) else []
        case ["python", "-m", module, *_] if importlib.util.find_spec(module) is None:
            wrong.append(f"python -m {module}")
        case [program, *_] if program not in ("make", "python"):
            wrong.append(program)
    for word in words:
        if extras := re.fullmatch(r"\.\[([\w,]+)\]", word):
            known = PROJECT["project"]["optional-dependencies"]
            wrong += [extra for extra in extras[1].split(",") if extra not in known]
        elif PATH.fullmatch(word) and not (ROOT / word).exists():
            wrong.append(word)
    return wrong


def test_workflows_are_there() -> None:
    assert WORKFLOWS and list(runs())
    for workflow in WORKFLOWS.values():
        assert True in workflow  # `on`, which YAML 1.1 reads as a truth value
        assert workflow["permissions"] == {"contents": "read"}
        assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_what_workflows_run_exists() -> None:
    for job, words in runs():
        assert not missing(words, job), shlex.join(words)


@pytest.mark.parametrize(
    "command",
    ["make no-such-target", "python -m no_such_module", "python -m pytest no/such.py", "pip install '.[no-such-extra]'",
     "python -m pip install -c no-such.txt", "python -m pip install '.[nothing]'"],
)  # fmt: skip
def test_the_check_of_workflows_finds_what_is_missing(command: str) -> None:
    assert missing(shlex.split(command), {"runs-on": "ubuntu-latest"})


def test_messages_name_extras_that_exist() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = {*re.findall(r'MissingExtraError\(f?".*?", "(\w+)"', source), *(extra for _, extra, *_ in SCHEMES.values())}
    assert len(named) > 6 and named <= set(PROJECT["project"]["optional-dependencies"])


def test_make_is_not_used_on_windows() -> None:
    job = {"runs-on": "${{ matrix.os }}", "strategy": {"matrix": {"os": ["ubuntu-latest", "windows-latest"]}}}
    assert missing(["make", "test"], job) == ["make on Windows"]


def test_the_matrix_is_what_the_package_promises() -> None:
    matrices = [
        job["strategy"]["matrix"]
        for workflow in WORKFLOWS.values()
        for job in workflow["jobs"].values()
        if "strategy" in job
    ]
    (matrix,) = matrices
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert matrix["python"] == promised
    assert PROJECT["project"]["requires-python"] == f">={promised[0]}"
    assert PROJECT["tool"]["mypy"]["python_version"] == promised[0]


def test_every_action_has_a_version() -> None:
    steps = [step for flow in WORKFLOWS.values() for job in flow["jobs"].values() for step in job["steps"]]
    for action in (step["uses"] for step in steps if "uses" in step):
        assert re.fullmatch(r"[\w-]+/[\w-]+@(release/)?v\d+", action), action


def test_hooks_are_the_tools_of_make_lint() -> None:
    """All of them local, so that constraints.txt alone says which versions run."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"] if repo["repo"] == "local"]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert [hook["language"] for hook in hooks] == ["system"] * len(hooks)
    assert {hook["entry"].split()[0] for hook in hooks} == {"ruff", "mypy"}
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "\nruff==" in constraints and "\nmypy==" in constraints


def test_tests_are_run_with_versions_that_are_pinned() -> None:
    """Everything that an extra names by itself has its version in constraints.txt."""
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    extras = PROJECT["project"]["optional-dependencies"]
    for requirement in [*PROJECT["project"]["dependencies"], *(r for extra in extras.values() for r in extra)]:
        name = re.split(r"[\[>=]", requirement)[0].lower()
        assert name == "isthmus" or re.search(rf"^{re.escape(name)}==", constraints, re.MULTILINE), requirement


def test_the_oldest_and_the_newest_versions_are_those_of_the_bounds() -> None:
    bounds: dict[str, str] = dict(text.split(">=") for text in PROJECT["project"]["dependencies"])

    def pinned(name: str) -> dict[str, str]:
        lines = (ROOT / ".ci" / name).read_text(encoding="utf-8").splitlines()
        return dict(line.split("==") for line in lines if not line.startswith("#"))

    oldest, newest = pinned("oldest.txt"), pinned("newest.txt")
    assert [*oldest] == [*newest] == sorted(bounds)
    assert not {name for name, bound in bounds.items() if Version(oldest[name]) != Version(bound)}
    assert not {name for name, bound in bounds.items() if Version(newest[name]) < Version(bound)}


def test_every_format_has_golden_files_and_its_line_in_the_table() -> None:
    golden = ROOT / "tests" / "golden"
    table = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    configs = {path.parts[-3]: path for path in golden.glob("models/*/model/config.json")}
    folders = {name: json.loads(path.read_text(encoding="utf-8"))["format"] for name, path in configs.items()}
    archives = {path.name: int(path.name[1]) for path in golden.glob("v?-*.isth")}
    for kind, found in (("model folder", folders), ("archive", archives)):
        lines = dict(re.findall(rf"^\| {kind} (\d).*\| ([^|]+) \|$", table, re.MULTILINE))
        assert {int(number) for number in lines} == {*found.values()}
        for number, names in lines.items():
            assert {found[name] for name in re.findall(r"`([\w.-]+)`", names)} == {int(number)}


@pytest.mark.parametrize("path", sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem)
def test_issue_templates_are_complete(path: Path) -> None:
    template = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert all(link["url"].startswith(PROJECT["project"]["urls"]["Homepage"]) for link in template["contact_links"])
        return
    assert template["name"] and template["description"]
    names = [field["id"] for field in template["body"]]
    assert len(names) == len(set(names)) > 0
    assert all(field["attributes"]["label"] for field in template["body"])
    assert any(field.get("validations", {}).get("required") for field in template["body"])


def test_one_version_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == isthmus.__version__ == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["repository-code"] == PROJECT["project"]["urls"]["Homepage"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.+)$", changes, re.MULTILINE)
    assert sections[0] == "Unreleased" and isthmus.__version__ in sections


def test_contributing_names_what_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./-]+)`", text)
    for name in named:
        if name.startswith(("src/", "tests/", "bench/", "docs/")):
            assert (ROOT / name).exists(), name
    for target in re.findall(r"`make ([a-z-]+)`", text):
        assert target in TARGETS, target


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no executable bit")
def test_continuous_integration_runs_everything() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o100
    assert "make test-all" in script.read_text(encoding="utf-8").splitlines()


def test_nothing_that_examples_write_is_kept() -> None:
    """Models, reports and tables of somebody who tried an example are no part of the project."""
    try:
        asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    folders = {".ci", ".github", "bench", "docs", "src", "tests"}
    files = [name for name in listed if name.partition("/")[0] not in folders and (ROOT / name).exists()]
    allowed = re.compile(
        r"\.\w[\w.-]*|[A-Z]+(\.md)?|Makefile|Dockerfile|CITATION\.cff|constraints\.txt|pyproject\.toml"
    )
    assert [name for name in files if not allowed.fullmatch(name)] == []
    assert not [name for name in listed if name.endswith(".safetensors") and not name.startswith("tests/golden/")]


def test_benchmarks_go_on_after_a_failure_and_end_with_one_table(tmp_path: Path) -> None:
    for name in ("targets.py", "machine.py"):
        shutil.copy(ROOT / "bench" / name, tmp_path)
    (tmp_path / "broken.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "fine.py").write_text(
        "import sys\nfrom targets import QUICK, Target, note\nassert QUICK and sys.argv[1:] == ['two words']\n"
        "note(Target('wait', 3.5, 2.5), Target('speed', 12, 10, '/s', at_least=True), Target('peer', None, 1))\n"
    )
    command = [sys.executable, str(tmp_path / "targets.py"), "--quick", "broken", "fine 'two words'"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "bench/broken failed with status 3" in done.stdout, done
    assert "| wait | 3.5 s | at most 2.5 s | 1 s too many |" in done.stdout
    assert "| speed | 12 /s | at least 10 /s | met |" in done.stdout
    assert "| peer | - | at most 1 s | not measured |" in done.stdout and "1 of 3 targets are met" in done.stdout
