"""Files as an attacker would alter them: the package's own error or the exact data, within 1 GB and 10 s each.

python bench/hostile.py archives 100000
python bench/hostile.py models 10000
python bench/hostile.py checkpoints 10000
python bench/hostile.py readers 100000

Cases run in child processes, some hundred in each, which may take 1 GB more than they begin with; one that takes more
than 10 seconds of the CPU is ended and counted. More kinds of files are more modules with a function `cases`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

KINDS = {
    "archives": "tests.hostile.archives",
    "models": "tests.hostile.model_folders",
    "checkpoints": "tests.hostile.checkpoints",
    "readers": "hostile_readers",
}
BATCH, SECONDS, MEMORY = 500, 10, 1 << 30


class TooLateError(BaseException):
    """A case took too long; no Exception, so that nobody takes it for one of a file."""


def main() -> None:
    kind, count = sys.argv[1], int(sys.argv[2])
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    total, worst, slowest, memory = Counter[str](), Counter[str](), 0.0, 0.0
    for seed in range(first, first + -(-count // BATCH)):
        child = [sys.executable, __file__, "--child", kind, str(seed), str(min(BATCH, count))]
        ended = subprocess.run(child, capture_output=True, text=True, timeout=BATCH * SECONDS, check=False)
        if ended.returncode:
            worst[f"seed {seed}: the process ended with {ended.returncode}: {ended.stderr[-300:]}"] += 1
            continue
        found = json.loads(ended.stdout.splitlines()[-1])
        total.update(found["outcomes"])
        worst.update(found["failures"])
        slowest, memory = max(slowest, found["slowest"]), max(memory, found["memory"])
    print(f"{total.total():,} altered {kind}: {dict(total)}; slowest {slowest:.1f} s of the CPU, {memory:,.0f} MB more")
    for line, times in worst.most_common(40):
        print(f"  {times} × {line}")
    sys.exit(bool(worst))


def child(kind: str, seed: int, count: int) -> None:
    """Some cases; prints what came of them as JSON."""
    from isthmus.errors import IsthmusError

    source = importlib.import_module(KINDS[kind]).cases(np.random.default_rng(seed))
    _, content, reader = next(source)
    with contextlib.suppress(IsthmusError):
        reader(content)  # imports what is imported late
    signal.signal(signal.SIGPROF, _late)
    before = _resident()
    resource.setrlimit(resource.RLIMIT_AS, (_mapped() + MEMORY,) * 2)
    outcomes, failures, slowest = Counter[str](), Counter[str](), 0.0
    for number in range(count):
        name, content, reader = next(source)
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            reader(content)
            outcomes["read"] += 1
        except IsthmusError as error:
            outcomes["refused" if "\n" not in str(error) else "refused in several lines"] += 1
        except BaseException as error:
            outcomes["FAILED"] += 1
            failures[f"{name}: {type(error).__name__}: {str(error)[:150]} (seed {seed}, case {number})"] += 1
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, time.process_time() - start)
    memory = (_resident() - before) / 1e6
    print(json.dumps({"outcomes": outcomes, "failures": failures, "slowest": slowest, "memory": memory}))


def _late(number: int, frame: FrameType | None) -> Any:
    raise TooLateError(f"more than {SECONDS} s")


def _mapped() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _resident() -> int:
    """The most that was resident so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
