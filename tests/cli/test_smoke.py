"""Every command once, as tests/smoke.py runs them where isthmus is installed: what goes into a pipe, and the JSON."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commandline import Said, ask
from tests.smoke import LACKS, SERVERS, STEPS, check, make_rows

from isthmus.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "command-line.md"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """What each step printed, by its command."""
    folder = tmp_path_factory.mktemp("smoke")
    make_rows(folder)
    with contextlib.chdir(folder):
        return {step.command: ask(*step.command.split()) for step in STEPS}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.command)
def test_a_command_does_its_work_and_speaks_plainly_to_a_pipe(step: Any, said: dict[str, Said]) -> None:
    done = said[step.command]
    assert not check(step, done.status, done.out, done.err), done


def test_every_command_is_tried() -> None:
    tried = {step.command.split()[0] for step in (*STEPS, *SERVERS)} - {"--version"}
    assert {command.name for command in app.registered_commands} | {"data"} == tried


def documented(command: str) -> list[list[str]]:
    """The keys that the guide names for a command: of what it prints, and of each part after a colon."""
    line = re.search(rf"^\| `{command} --json` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert line, f"{PAGE.name} says nothing of {command} --json"
    return [re.findall(r"`(\w+)`", part) for part in line[1].split(":")]


def test_keys_are_those_of_the_guide(said: dict[str, Said]) -> None:
    def printed(start: str) -> Any:
        done = next(done for command, done in said.items() if command.startswith(start) and "--json" in command)
        if LACKS in done.err:
            pytest.skip(done.err)
        return json.loads(done.out)

    train = printed("train digits")
    assert [list(train), list(train["test"])] == documented("train")
    drawn = printed("map")
    assert [list(drawn), list(drawn["scores"])] == documented("map")
    assert [list(printed("train-denoiser"))] == documented("train-denoiser")
    for command, last in (("train-codec", "bytes"), ("train-detector", "kind")):
        assert list(printed(command)) == [*documented("train-denoiser")[0][:-1], *documented(command)[0][:1]], last
    table = printed("info rows.csv")
    assert [list(table), list(table["columns"][0])] == documented("info TABLE")
    similar = printed("similar")
    assert [list(similar[0]), list(similar[0]["neighbours"][0])] == documented("similar")[1:]
    assert [list(printed("info model"))] == documented("info MODEL")
    assert [list(printed("verify"))] == documented("verify")[:1]
    assert list(printed("data list")[0]) == documented("data list")[1]
    assert {*documented("evaluate")[0]} <= {*printed("evaluate")}
    for command, words in (("info DATA", "digits"), ("info ARCHIVE", PAGE.parents[2] / "tests/golden/v1-lossy.isth")):
        assert [list(json.loads(ask("info", words, "--json").out))] == documented(command)


def test_the_version_says_what_a_bug_report_needs(said: dict[str, Said]) -> None:
    text = said["--version --verbose"].out
    for words in ("isthmus: ", "Python: ", "system: ", "torch: ", "devices: cpu", "threads: ", "[compress]: "):
        assert words in text
    assert ask("--version").out.count("\n") == 1


def test_a_colour_would_be_seen() -> None:
    """The check that all of the above rests on."""
    assert check(STEPS[0], 0, "\x1b[1misthmus\x1b[0m", "") and check(STEPS[2], 0, "Names\n[]", "")


def in_a_terminal(**environment: str) -> str:
    """What `isthmus --help` prints in a terminal."""
    pty = pytest.importorskip("pty", reason="there is no such terminal on this system")
    ours, theirs = pty.openpty()
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "isthmus", "--help"],
        stdout=theirs, stderr=theirs, env={**known, "TERM": "xterm-256color", **environment},
    ):  # fmt: skip
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # how a terminal ends on Linux
            while part := os.read(ours, 1 << 16):
                said += part
    os.close(ours)
    return said.decode()


def test_a_terminal_has_colours_unless_somebody_wants_none() -> None:
    colour = re.compile(r"\x1b\[[\d;]*3\d")
    assert colour.search(in_a_terminal())
    plain = in_a_terminal(NO_COLOR="1")
    assert "train-codec" in plain and not colour.search(plain)
