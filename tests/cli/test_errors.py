"""Whose an error is: the user's, in one line, or a bug of isthmus, with its traceback in a file."""

from __future__ import annotations

import errno
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.cli.commandline import ask

from isthmus import IsthmusError
from isthmus.cli import info as module
from isthmus.cli.errors import is_out_of_memory


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes `isthmus info` raise an error, with the folder for temporary files at tmp_path."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def raising(error: BaseException) -> None:
        def describe(path: Path) -> dict[str, str]:
            raise error

        monkeypatch.setattr(module, "_describe", describe)

    return raising


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (IsthmusError("x is\n  wrong"), "x is wrong"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.png"), "x.png: No such file or directory"),
        (OSError(errno.ENOSPC, "No space left on device"), "[Errno 28] No space left on device"),
        (MemoryError("Unable to allocate 8 GiB"), "not enough memory: Unable to allocate 8 GiB"),
        (torch.OutOfMemoryError("CUDA out of memory."), "not enough memory: CUDA out of memory."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory: DefaultCPUAllocator"),
    ],
)
def test_what_users_can_put_right_is_one_line(raising: Any, tmp_path: Path, error: Exception, message: str) -> None:
    raising(error)
    said = ask("info", "model")
    assert said.status == 1
    assert said.err.startswith(f"isthmus: {message}") and said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), ValueError("n_splits=2"), EOFError("ended")])
def test_anything_else_is_a_bug_whose_traceback_is_kept(raising: Any, tmp_path: Path, error: Exception) -> None:
    raising(error)
    said = ask("info", "model")
    assert said.status == 70
    assert "Traceback" not in said.err
    line = said.err.splitlines()[-1]
    assert line.startswith(f"isthmus: this is a bug in isthmus ({type(error).__name__}: {error}).")
    found = re.search(r"The traceback is in (\S+)\. Please report it", line)
    assert found and Path(found[1]).parent == tmp_path
    text = Path(found[1]).read_text("utf-8")
    assert "Traceback" in text and "test_errors.py" in text and "isthmus: 0." in text


def test_a_full_temporary_folder(raising: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    monkeypatch.chdir(tmp_path)
    raising(KeyError("scale"))
    assert str(tmp_path / "isthmus-bug-") in ask("info", "model").err


@pytest.mark.parametrize(("error", "status"), [(IsthmusError("wrong"), 1), (KeyError("scale"), 70)])
def test_the_traceback_is_shown_where_it_is_wanted(
    raising: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    monkeypatch.setenv("ISTHMUS_TRACEBACK", "1")
    raising(error)
    said = ask("info", "model")
    assert said.status == status and said.err.startswith("Traceback") and "\nisthmus: " in said.err


def test_ctrl_c_outside_training(raising: Any) -> None:
    raising(KeyboardInterrupt())
    said = ask("info", "model")
    assert said.status == 130 and "Traceback" not in said.err


def test_torch_says_in_words_that_memory_is_short() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 46, dtype=torch.float64)
    assert is_out_of_memory(caught.value)


def test_no_arguments_show_the_help() -> None:
    said = ask()
    assert said.status == 2 and "train-codec" in said.out + said.err
