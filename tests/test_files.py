"""Files are whole or absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from isthmus import files
from isthmus.errors import IsthmusError
from isthmus.files import (
    WORKPLACE,
    atomic_folder,
    atomic_path,
    atomic_paths,
    is_occupied,
    npy_file,
    workplace,
    write_text,
)


def test_all_of_several_files_or_none(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_paths(first, second) as (a, b):
        a.write_text("new")
        b.write_text(str(1 // 0))
    assert first.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["first"]
    with atomic_paths(first, second) as (a, b):
        a.write_text("new")
        b.write_text("too")
    assert (first.read_text(), second.read_text()) == ("new", "too")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system has no posix_fallocate")
def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, start: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"), npy_file(tmp_path / "a.npy", 10) as add:
        add(np.zeros((10, 3)))
    assert not list(tmp_path.iterdir())


def dead_workplace(folder: Path) -> Path:
    """What a writer leaves that was killed."""
    place = folder / f"{WORKPLACE}dead"
    (place / "replaced").mkdir(parents=True)
    (place / "lock").touch()
    (place / "half.npy").write_bytes(b"half")
    return place


@pytest.fixture(autouse=True)
def another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_swept", set())


def test_the_next_writer_removes_what_a_dead_one_left_and_nothing_else(tmp_path: Path) -> None:
    dead = dead_workplace(tmp_path)
    assert not is_occupied(tmp_path)
    (tmp_path / ".isthmus").mkdir()
    with workplace(tmp_path / "inside", "save"), atomic_path(tmp_path / "live") as temporary:
        assert not dead.exists()
        files._swept.clear()
        write_text(tmp_path / "a", "a")
        assert temporary.exists(), "it is in use"
    assert {path.name for path in tmp_path.iterdir()} == {".isthmus", "a", "inside", "live"}
    assert not list((tmp_path / "inside").iterdir())


def test_a_folder_that_was_about_to_be_replaced_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (dead_workplace(tmp_path) / "replaced" / "a.lance").mkdir()
    write_text(tmp_path / "b", "b")
    assert {path.name for path in tmp_path.iterdir()} == {"a.lance", "b"}
    for exchanged in (files._exchanged, lambda one, other: False):  # systems with and without an exchange
        monkeypatch.setattr(files, "_exchanged", exchanged)
        with atomic_folder(tmp_path / "a.lance") as made:
            made.mkdir()
            (made / "new").touch()
        assert [path.name for path in (tmp_path / "a.lance").iterdir()] == ["new"]
    assert {path.name for path in tmp_path.iterdir()} == {"a.lance", "b"}


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("folder", "a folder"), ("pipe", "no regular file")):
        with pytest.raises(IsthmusError, match=f"{name}: it is {what}"):
            write_text(tmp_path / name, "x")
    with pytest.raises(IsthmusError, match="it is a file"), atomic_folder(tmp_path / "pipe"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "pipe"}


def test_files_get_the_rights_that_the_user_gives_new_ones(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with atomic_path(tmp_path / "a") as temporary:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
