"""Every command once, each on next to nothing: `python tests/smoke.py isthmus` with the program that is to be tried.

Needs the standard library alone, so that it runs where isthmus was only just installed. A command whose extra is not
there must say in one line what to install. tests/cli/test_smoke.py runs the same commands in its own process.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

CONTROL = "\x1b"  # begins what only a terminal understands
LACKS = "needs an optional package"


@dataclass(frozen=True)
class Step:
    """command : what follows `isthmus`. as_json : whether it prints JSON and nothing else. extra : what it needs."""

    command: str
    extra: str | None = None

    @property
    def as_json(self) -> bool:
        return "--json" in self.command


STEPS = (
    Step("--version --verbose"),
    Step("completion bash"),
    Step("data list --json"),
    Step("data fetch digits"),
    Step("info rows.csv --json"),
    Step("train digits --latent-dim 2 --epochs 1 --json -o model"),
    Step("train rows.csv --latent-dim 2 --epochs 2 -q -o rows --json --no-report"),
    Step("info model --json"),
    Step("report model digits:test -o report"),
    Step("evaluate model digits:test --samples 100 --json -o evaluation"),
    Step("reconstruct model digits:test -o rebuilt.npy"),
    Step("embed model digits:test -o codes.parquet"),
    Step("embed model digits:test -o store.lance", "search"),
    Step("similar model digits:test --in store.lance --limit 1 -k 2 --json", "search"),
    Step("sample rows -n 5 -o new.csv"),
    Step("interpolate model digits:test 0 7 --steps 3 -o walk.npy"),
    Step("interpolate rows rows.csv 0 7 --steps 3 -o walk.csv"),
    Step("export model -o onnx", "onnx"),
    Step("train-codec digits:test --lossless --epochs 1 -q --json -o codec", "compress"),
    Step("compress codec digits:test -o digits.isth --embed-model", "compress"),
    Step("verify digits.isth --json", "compress"),
    Step("decompress digits.isth -o back", "compress"),
    Step("train-denoiser digits:test --noise gaussian:0.2 --epochs 1 -q --json -o denoiser"),
    Step("denoise denoiser digits:test -o clean.npy"),
    Step("map digits:test --n-neighbors 5 --epochs 1 -q --json -o map"),
    Step("impute rows.csv --epochs 1 -q -o filled.csv"),
    Step("train-detector rows.csv --epochs 1 -q --json -o detector"),
    Step("detect detector rows.csv -o odd.csv"),
    Step("watch detector rows.csv --p-value 0.1 --json"),
    Step("push model nobody/nothing --help"),
    Step("pull nobody/nothing --help"),
)
SERVERS = (Step("serve model --port 0", "serve"), Step("explore model digits --no-browser", "explore"))


def make_rows(folder: Path) -> None:
    """A table with words and a hole."""
    rng = random.Random(0)
    lines = ["size,price,colour"]
    for i in range(60):
        size = rng.uniform(1, 9)
        lines.append(
            f"{size:.2f},{'' if i == 7 else f'{3 * size + rng.gauss(0, 0.2):.2f}'},{rng.choice(('red', 'blue'))}"
        )
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def check(step: Step, status: int, out: str, err: str) -> str:
    """What is wrong with what a command printed, or "" where nothing is."""
    if CONTROL in out + err:
        return "speaks to a terminal that is not there"
    if status == 1 and step.extra and LACKS in err and err.count("\n") == 1:
        return ""
    if status != 0:
        return f"ended with {status}"
    if step.as_json:
        try:
            for part in out.splitlines() if step.command.startswith("watch") else [out]:
                json.loads(part)
        except ValueError:
            return "prints more than JSON"
    return ""


def main(program: str) -> int:
    """Run all steps with a program; returns how many went wrong."""
    environment = {**os.environ, "COLUMNS": "200"}
    wrong, lacking = 0, set[str | None]()  # extras that are not there: what else needs them is left out

    def tried(step: Step, attempt: Callable[[], tuple[int, str, str]]) -> None:
        nonlocal wrong
        if step.extra in lacking:
            return
        status, out, err = attempt()
        problem = check(step, status, out, err)
        wrong += bool(problem)
        lacks = status != 0 and not problem
        if lacks:
            lacking.add(step.extra)
        said = "FAILED" if problem else f"no [{step.extra}]" if lacks else "ok"
        print(f"{said:14} isthmus {step.command}", flush=True)
        if problem:
            print(f"       {problem}\n{out}{err}", flush=True)

    with tempfile.TemporaryDirectory(prefix="isthmus-smoke-") as place:
        make_rows(Path(place))
        start: dict[str, Any] = {"cwd": place, "env": environment, "text": True, "encoding": "utf-8"}

        def command(step: Step) -> tuple[int, str, str]:
            done = subprocess.run(
                [program, *step.command.split()], capture_output=True, check=False, timeout=600, **start
            )
            return done.returncode, done.stdout, done.stderr

        def server(step: Step) -> tuple[int, str, str]:
            words = [program, *step.command.split()]
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **start) as process:
                said = process.stdout.readline()  # where it listens, or nothing where it has ended
                if said:
                    address = said.split(" at ")[1].split()[0].rstrip("/")
                    urllib.request.urlopen(f"{address}/v2" if "serve" in step.command else address, timeout=60).close()
                    process.terminate()
                out, err = process.communicate(timeout=60)
                return (0 if said else process.returncode), said + out, err

        for step in STEPS:
            tried(step, partial(command, step))
        for step in SERVERS:
            tried(step, partial(server, step))
    print(f"{len(STEPS) + len(SERVERS)} commands, {wrong} failed")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1]), 1))
