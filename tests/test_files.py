"""Files are whole or absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from isthmus.files import atomic_paths, npy_file


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
