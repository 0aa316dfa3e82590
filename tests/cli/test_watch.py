"""`isthmus watch`: rows that arrive line by line, in this process and over real pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile
from tests.cli.commandline import ask

from isthmus import AnomalyDetector, AutoEncoder, DriftMonitor, load


def rows(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    return pd.DataFrame({"a": a + shift, "b": a + 0.1 * rng.normal(size=n), "kind": rng.choice(["x", "y"], n)}).round(4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watch")
    AnomalyDetector(epochs=2, random_state=0).fit(rows(800, 0)).save(folder / "m")
    return folder


def start(*arguments: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "isthmus", "watch", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def say(process: subprocess.Popen[str], *lines: str) -> None:
    assert process.stdin is not None
    process.stdin.write("".join(line + "\n" for line in lines))
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_alarms_come_as_rows_do_and_a_broken_line_ends_nothing(folder: Path) -> None:
    state = folder / "state.json"
    process = start(folder / "m", "-", "--state", state)
    say(process, "kind,a,b", "x,0.1,0.1", "x,0.1,oops", "y,0.1,900")
    assert hear(process).startswith("line 4: anomaly, p 0.00")  # while the pipe is still open
    say(process, "y,0.2", "x,-700,0.1")
    assert "a −700 (not " in hear(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == ""
    assert "isthmus: line 3 is left out: column 'b' holds 'oops', which is no number" in err
    assert "isthmus: line 5 is left out: it has 2 cells, and the line of names 3" in err
    assert err.splitlines()[-1] == "3 rows, 2 alarms, 2 lines left out" and "Traceback" not in err
    assert DriftMonitor.load(state, load(folder / "m")).update(rows(1, 1)).seen == 4


def test_who_stops_reading_ends_the_watch_quietly(folder: Path) -> None:
    process = start(folder / "m", "-", "-q")
    say(process, "a,b,kind", "900,1,x")
    assert hear(process).startswith("line 2: anomaly")
    assert process.stdout is not None and process.stdin is not None and process.stderr is not None
    process.stdout.close()
    say(process, "900,1,x")
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    process.stdin.close()
    process.stderr.close()


def watched(folder: Path, lines: Sequence[str], *options: Any) -> list[dict[str, Any]]:
    (folder / "lines").write_text("\n".join(lines))
    said = ask("watch", folder / "m", folder / "lines", "--json", "-q", *options)
    assert said.status == 0 and said.err == "", said
    return [json.loads(line) for line in said.out.splitlines()]


def test_a_stream_that_has_changed_is_told_once_and_remembered(folder: Path) -> None:
    frame = pd.concat([rows(100, 1), rows(400, 2, shift=1.0)])
    lines = frame.to_json(orient="records", lines=True).splitlines()
    state = folder / "drift.json"
    told = [alarm for alarm in watched(folder, lines[:250], "--state", state) if alarm["alarm"] == "drift"]
    assert len(told) == 1 and 100 < told[0]["line"] <= 250 and told[0]["strongest"] in ("a", "strangeness")
    again = [alarm for alarm in watched(folder, lines[250:], "--state", state) if alarm["alarm"] == "drift"]
    assert [alarm["line"] for alarm in again] == [1]
    assert not [a for a in watched(folder, lines, "--drift", 0) if a["alarm"] == "drift"]


def test_alarms_as_json_hold_the_row_and_why(folder: Path) -> None:
    (alarm,) = watched(folder, ['{"a": 0, "b": 0, "kind": "x"}', '{"a": 0, "b": 500, "kind": "x", "id": 7}'])
    assert (
        alarm["line"] == 2
        and alarm["why"][0]["column"] == "b"
        and alarm["why"][0]["value"] == 500
        and alarm["why"][0]["share"] > 0.9
    )
    assert alarm["row"]["id"] == "7" and alarm["p_value"] < 0.01


def tone(path: Path, seed: int, pitch: float = 9.0) -> Path:
    """A recording of a sixteenth of a second."""
    phase = np.random.default_rng(seed).uniform(0, 6)
    wave = np.sin(np.arange(512) / pitch + phase) + 0.05 * np.random.default_rng(seed).normal(size=512)
    path.parent.mkdir(exist_ok=True)
    wavfile.write(path, 8192, (9000 * wave).astype(np.int16))
    return path


def test_recordings_are_named_a_file_a_line(tmp_path: Path) -> None:
    for number in range(60):
        tone(tmp_path / "usual" / f"{number}.wav", number)
    AnomalyDetector(epochs=3, random_state=0).fit(tmp_path / "usual").save(tmp_path / "m")
    usual, other = tone(tmp_path / "a.wav", 100), tone(tmp_path / "b.wav", 101, pitch=3.0)
    (tmp_path / "names").write_text(f"{usual}\n\n{tmp_path / 'gone.wav'}\n{other}\n")
    said = ask("watch", tmp_path / "m", tmp_path / "names", "--json", "--p-value", 0.05)
    assert said.status == 0 and "Traceback" not in said.err, said
    (alarm,) = map(json.loads, said.out.splitlines())
    assert alarm["line"] == 4 and alarm["file"] == str(other) and alarm["p_value"] <= 0.05
    assert "line 3 is left out" in said.err and "gone.wav" in said.err
    assert said.err.splitlines()[-1] == "2 signals, 1 alarm, 1 line left out"


def test_wrong_inputs_are_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "lacks.csv").write_text("a,kind\n1,x\n")
    AutoEncoder(1, epochs=1, random_state=0).fit(np.zeros((8, 3))).save(tmp_path / "ae")
    for words, message in (
        ((folder / "m", tmp_path / "nowhere.csv"), "no file or folder"),
        ((folder / "m", tmp_path / "lacks.csv"), "line 1 must name the columns, and lacks 'b'"),
        ((folder / "m", tmp_path / "lacks.csv", "--p-value", 0.0001), "no sample could have a p-value up to 0.0001"),
        ((folder / "m", tmp_path / "lacks.csv", "--p-value", 2), "--p-value 2 must be above 0"),
        ((folder / "m", tmp_path / "lacks.csv", "--state", tmp_path / "lacks.csv"), "is no state"),
        ((tmp_path / "ae", tmp_path / "lacks.csv"), "cannot detect"),
    ):
        said = ask("watch", *words, "-q")
        assert said.status in (1, 2) and message in said.err, (words, said)
        assert "Traceback" not in said.err and said.err.count("isthmus: ") == 1
