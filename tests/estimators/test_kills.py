"""Whoever is killed while saving leaves the old model or the new one, and nothing that stays."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.estimators import savers

from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CARD, CONFIG, LOG, load_model, read_config, save_model, weights_of

KILLS = 12


def start(folder: Path) -> subprocess.Popen[str]:
    """A process that saves; it has done so once when this returns."""
    process = subprocess.Popen([sys.executable, savers.__file__, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "1\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)


def assert_nothing_left(folder: Path) -> None:
    """The next save leaves the files of one model and no others."""
    save_model(folder, savers.model(7), "")
    assert {path.name for path in folder.iterdir()} == {CONFIG, weights_of(read_config(folder)), LOG, CARD}


def test_a_kill_during_a_save_leaves_a_whole_model(tmp_path: Path) -> None:
    moments = random.Random(0)
    for _ in range(KILLS):
        process = start(tmp_path)
        try:
            time.sleep(moments.uniform(0, 0.05))
        finally:
            end(process)
        savers.number_of_whole(tmp_path)
    assert_nothing_left(tmp_path)


def test_two_writers_and_a_reader(tmp_path: Path) -> None:
    processes = [start(tmp_path) for _ in range(2)]
    try:
        seen, deadline = [0], time.monotonic() + 60
        while len(seen) < 20 and time.monotonic() < deadline:
            number = savers.number_of_whole(tmp_path)
            seen += [number] * (number != seen[-1])
        assert len(seen) == 20, "the reader saw hardly any of the saves: this shows nothing"
    finally:
        for process in processes:
            end(process)
    savers.number_of_whole(tmp_path)
    assert_nothing_left(tmp_path)


def test_a_writer_that_is_stopped_lets_nobody_in_until_it_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path)
    process.send_signal(signal.SIGSTOP)
    try:
        savers.number_of_whole(tmp_path)  # readers do not wait
    finally:
        end(process)
    assert_nothing_left(tmp_path)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", [CONFIG, LOG])
def test_a_folder_in_the_place_of_a_file_is_seen_before_anything_is_written(tmp_path: Path, name: str) -> None:
    save_model(tmp_path, savers.model(1), "")
    (tmp_path / name).unlink()
    (tmp_path / name / "mine").mkdir(parents=True)
    before = files_in(tmp_path)
    with pytest.raises(IsthmusError, match=f"{name}: it is a folder"):
        save_model(tmp_path, savers.model(2), "")
    assert files_in(tmp_path) == before
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tmp_path, savers.model(1), "")
    before = files_in(tmp_path)
    flushed = 0

    def full(handle: int) -> None:
        nonlocal flushed
        flushed += 1
        if flushed == 4:  # of four files
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_model(tmp_path, savers.model(2), "")
    assert files_in(tmp_path) == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_changed_is_named(tmp_path: Path) -> None:
    save_model(tmp_path, savers.model(1), "")
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        save_model(tmp_path, savers.model(2), "")
    assert caught.value.filename == str(tmp_path)
    assert load_model(tmp_path).config == savers.model(1).config
