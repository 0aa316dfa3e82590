"""The Dockerfile keeps the rules of small and safe images, and what its steps name is there. No engine runs here."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.commandline import ask
from tests.dockerfile_steps import steps

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SHOWN = set((ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines())


def broken(text: str) -> Iterator[str]:
    """The rules that a Dockerfile breaks."""
    found = steps(text)
    last = found[max(i for i, (word, _) in enumerate(found) if word == "FROM") :]
    final = dict(last)
    for word, rest in found:
        words = shlex.split(rest) if word in ("COPY", "RUN", "FROM") else []
        if word == "FROM" and (":" not in words[0] or words[0].endswith(":latest")):
            yield "the base has a version"
        if word == "ADD":
            yield "COPY, not ADD"
        if word == "COPY" and not words[0].startswith("--from"):
            yield from (f"{name} is there" for name in words[:-1] if not (ROOT / name).exists())
            yield from (f"{name} is sent" for name in words[:-1] if f"!{name}" not in SHOWN)
        if word == "RUN" and "install" in words and not {"--no-cache-dir", "--constraint"} <= set(words):
            yield "what is installed is pinned, and not kept twice"
        if word in ("ENTRYPOINT", "CMD") and not rest.startswith("["):
            yield "signals reach the server: no shell"
    if not re.fullmatch(r"[1-9]\d*", final.get("USER", "")):
        yield "runs as a number that is not root's"  # which Kubernetes can check, as it cannot a name
    if "HEALTHCHECK" not in final:
        yield "a health check"
    if not any(word == "COPY" and "--from" in rest for word, rest in last):
        yield "tools for building stay behind"


def test_the_dockerfile_keeps_the_rules() -> None:
    assert list(broken(TEXT)) == []


@pytest.mark.parametrize(
    "old, new, rule",
    [
        ("USER 10001\n", "", "runs as a number that is not root's"),
        ("USER 10001", "USER 0", "runs as a number that is not root's"),
        ("python:3.11-slim AS", "python AS", "the base has a version"),
        ("COPY src src", "COPY sources src", "sources is there"),
        ("COPY src src", "COPY tests tests", "tests is sent"),
        ("--constraint constraints.txt", "", "what is installed is pinned, and not kept twice"),
        ("HEALTHCHECK", "#", "a health check"),
        ('ENTRYPOINT ["/opt', 'ENTRYPOINT /opt", "', "signals reach the server: no shell"),
    ],
)
def test_a_rule_that_is_broken_is_seen(old: str, new: str, rule: str) -> None:
    assert old in TEXT
    assert rule in broken(TEXT.replace(old, new))


def test_what_the_image_installs_and_runs_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (asked,) = re.findall(r'"\.\[([\w,]+)\]"', TEXT)
    assert set(asked.split(",")) <= set(extras)
    command = json.loads(dict(steps(TEXT))["ENTRYPOINT"])
    assert command[1] == "serve"
    known = ask("serve", "--help").out
    assert all(word in known for word in command[2:] if word.startswith("--"))
    health = dict(steps(TEXT))["HEALTHCHECK"]
    compile(json.loads(health.partition("CMD ")[2])[2], "HEALTHCHECK", "exec")
    assert f":{command[command.index('--port') + 1]}/v2/health/ready" in health
