"""How long `import isthmus` and `isthmus --help` take: whole processes, as a user starts them.

python bench/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from machine import machine, table

COMMANDS = {
    "`python -c pass`": ([sys.executable, "-c", "pass"], None),
    "`import isthmus`": ([sys.executable, "-c", "import isthmus"], 0.2),
    "`isthmus --help`": ([sys.executable, "-m", "isthmus", "--help"], 0.4),
}


def median_seconds(command: list[str], runs: int = 11) -> float:
    """Median wall time of a command after one run that is not counted."""
    found = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - start)
    return statistics.median(found[1:])


def main() -> None:
    rows = [
        {"command": name, "seconds": f"{median_seconds(command):.2f}", "asked for": asked or ""}
        for name, (command, asked) in COMMANDS.items()
    ]
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
