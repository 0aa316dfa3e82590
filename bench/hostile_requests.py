"""Requests as an attacker would send them, to a real server: always 4xx (or 200, where one is right), never a crash.

python bench/hostile_requests.py 10000

Prints what was answered, the slowest answer, and the most memory that the server had. Exits with 1 where an answer was
5xx or no line of JSON, the server had more than 1.5 GB, its log tells of a bug, or files were left behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.hostile.http_attack import PATIENCE, ask, attack
from tests.hostile.http_requests import Request, post, requests, with_archive
from tests.serving.http.conftest import save_models

from machine import machine

MEMORY = 1500  # MB


def most_memory(pid: int) -> int:
    """The most that a process had in memory, MB (Linux)."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def taking_turns(rng: np.random.Generator, count: int) -> Iterator[Request]:
    """So many cases."""
    source = requests(rng)
    return (next(source) for _ in range(count))


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server of a model of each kind, its port, and in the folder its `log` and its temporary files, in `scratch`."""
    (folder / "scratch").mkdir()
    save_models(folder / "models")
    names = sorted(str(path) for path in (folder / "models").iterdir())
    command = [sys.executable, "-m", "isthmus", "serve", *names, "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(folder / "scratch")}
    with (folder / "log").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
    try:
        assert process.stdout is not None
        found = re.search(r":(\d+) ", process.stdout.readline())
        assert found, (folder / "log").read_text()
        yield process, int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def main(count: int, seed: int) -> int:
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with served(folder) as (process, port):
            with_archive(ask(port, post("/models/codec/compress", b"[[[0,9],[7,1]]]", "application/json"))[1])
            before, began = most_memory(process.pid), time.monotonic()
            seen = attack(port, taking_turns(np.random.default_rng(seed), count))
            seconds, memory = time.monotonic() - began, most_memory(process.pid)
            alive = ask(port, post("/models/detector/score", b"[[0,0,0,0]]", "application/json"))[0]
        log, left = (folder / "log").read_text(), list((folder / "scratch").iterdir())
    bugs = re.findall(r'"traceback": ".*?([^\\]{1,300})"}', log)
    print(f"{count:,} requests in {seconds:,.0f} s: {dict(sorted(seen.statuses.items()))}; slowest {seen.slowest}")
    print(f"memory {before} to {memory} MB; afterwards {alive}, exit status {process.returncode}")
    print(f"{len(bugs)} bugs in the log, {len(left)} files left")
    for line, times in (seen.wrong + Counter(bugs)).most_common(40):
        print(f"  {times} × {line}")
    return int(bool(seen.wrong or bugs or left) or memory > MEMORY or alive != 200 or process.returncode != 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
