"""Targets beside what was measured: benchmarks one after another, and one table of what is met.

python bench/targets.py [--quick] SCRIPT ...      as in: startup "hostile archives 10000"

A benchmark says what it measured with `note`. Alone it prints its own targets; started by this program, which goes on
where one fails, its targets go into the table at the end. --quick : with as little work as shows that all of it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from machine import table

_FILE, _QUICK = "ISTHMUS_BENCH_TARGETS", "ISTHMUS_BENCH_QUICK"
QUICK = _QUICK in os.environ  # whether figures do not matter


@dataclass(frozen=True)
class Target:
    """What was measured and what was asked, in the same unit.

    at_least : whether more is better. measured : None where it could not be.
    """

    what: str
    measured: float | None
    target: float
    unit: str = "s"
    at_least: bool = False

    @property
    def result(self) -> str:
        """ "met", or how far it is to the target."""
        if self.measured is None:
            return "not measured"
        missing = (self.target - self.measured) if self.at_least else (self.measured - self.target)
        if missing <= 0:
            return "met"
        return f"{missing:,.3g} {self.unit} {'too few' if self.at_least else 'too many'}"

    def row(self) -> dict[str, str]:
        """As cells of the table."""
        measured = "-" if self.measured is None else f"{self.measured:,.4g} {self.unit}"
        bound = "at least" if self.at_least else "at most"
        return {
            "what": self.what,
            "measured": measured,
            "target": f"{bound} {self.target:,.4g} {self.unit}",
            "result": self.result,
        }


def note(*targets: Target) -> None:
    """Say what was measured: to the program that gathers targets or, where there is none, to the reader."""
    if path := os.environ.get(_FILE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(target)) + "\n" for target in targets)
    else:
        print(f"\n{summary(targets)}", flush=True)


def summary(targets: Sequence[Target]) -> str:
    """A Markdown table of targets, and how many are met."""
    met = sum(target.result == "met" for target in targets)
    return f"{table([target.row() for target in targets])}\n\n{met} of {len(targets)} targets are met"


def run(scripts: list[str], quick: bool) -> int:
    """Run benchmarks one after another and print the table of their targets; returns how many benchmarks failed."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "targets.jsonl"
        environment = {**os.environ, _FILE: str(path), **({_QUICK: "1"} if quick else {})}
        for script in scripts:
            name, *arguments = shlex.split(script)
            print(f"\n## {script}\n", flush=True)
            command = [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *arguments]
            status = subprocess.run(command, env=environment, check=False).returncode
            failed += [f"bench/{script} failed with status {status}"] if status else []
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    targets = [Target(**json.loads(line)) for line in lines]
    print("\n## Targets\n")
    if targets:
        print(summary(targets))
    for line in failed:
        print(line)
    return len(failed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", nargs="+", metavar="SCRIPT", help="file of bench/ without .py, and its arguments")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    sys.exit(bool(run(options.scripts, options.quick)))


if __name__ == "__main__":
    main()
