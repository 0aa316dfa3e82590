"""What tells of a run: plain lines where there is no terminal, each with the part it is about."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from isthmus.training.progress import Bar, Event, Lines, shown

ENTRY = {"epoch": 3, "step": 1200, "loss": 0.25, "validation_loss": 0.5, "samples_per_second": 100.0}


def test_lines_are_plain_and_on_standard_error(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    clock = iter((0.0, 10.0, 11.0, 80.0))
    monkeypatch.setattr("isthmus.training.progress.time.monotonic", lambda: next(clock))
    lines = Lines(seconds=5)
    lines(Event("start", 0.0, part="part 1 of 2"))
    lines(Event("entry", 0.1, ENTRY, part="part 1 of 2"))
    lines(Event("tick", 0.2, ENTRY | {"validation_loss": None}, part="part 1 of 2"))  # too soon
    lines(Event("end", 1.0, ENTRY, part="part 1 of 2"))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "part 1 of 2: training",
        "part 1 of 2: 10%, epoch 3, step 1,200, loss 0.25000, validation 0.50000, 1:30 left",
        "part 1 of 2: 100%, epoch 3, step 1,200, loss 0.25000, validation 0.50000, took 1:20",
    ]


def test_a_bar_is_for_terminals() -> None:
    assert isinstance(shown(Console(file=io.StringIO(), force_terminal=True, force_interactive=True)), Bar)
    assert isinstance(shown(Console(file=io.StringIO(), force_terminal=False)), Lines)


def test_a_notebook_gets_one_display_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, dict[str, str]]] = []
    handle = SimpleNamespace(update=lambda shown, raw: told.append(("update", shown)))

    def display(shown: dict[str, str], *, raw: bool, display_id: bool) -> object:
        told.append(("display", shown))
        return handle

    monkeypatch.setattr("IPython.display.display", display)
    bar = shown(Console(file=io.StringIO(), force_jupyter=True, force_interactive=False))
    for event in (Event("start", 0.0), Event("entry", 0.5, ENTRY), Event("end", 1.0, ENTRY)):
        bar(event)
    assert [kind for kind, _ in told] == ["display", "update", "update"]
    assert [shown["text/html"].count("<progress") for _, shown in told] == [1, 1, 0]
    assert told[-1][1]["text/plain"].startswith("100%, epoch 3, step 1,200, loss 0.25000, validation 0.50000, took ")


def test_each_part_has_a_bar_with_its_name() -> None:
    written = io.StringIO()
    bar = Bar(Console(file=written, force_terminal=False, width=120))
    for part in ("part 1 of 2, few bytes", "part 2 of 2, high qualities"):
        bar(Event("start", 0.0, part=part))
        bar(Event("end", 1.0, ENTRY, part=part))
    bars = [line for line in written.getvalue().splitlines() if line.strip()]
    assert [line.split(", epoch")[0].strip() for line in bars] == [
        "part 1 of 2, few bytes",
        "part 2 of 2, high qualities",
    ]
