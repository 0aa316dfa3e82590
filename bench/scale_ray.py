"""Inference on a cluster of Ray beside one process: throughput, memory, the same bytes; and kill -9 of workers.

python bench/scale_ray.py [--rows 1000000] [--side 28] [--workers 2] [--kills 10]

Images lie in a Parquet file, one a row. `isthmus embed` writes their codes, in one process with a
thread for each of so many cores, and with --backend ray and so many workers, each with one thread. Throughput is that
of the whole command and, by a second run over a tenth of the rows, what each further row costs: the start of a cluster
is paid once. Seconds of the processor are those of all processes that the command started. Memory is what they hold,
each its own share (Pss), and has to be flat: the most in the last third beside the most in the third before.

With --kills so many runs of inference and of training lose a worker at a random moment: the codes must be the same
bytes, and the weights those of the undisturbed run.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.estimators.model_folder import load_model
from machine import machine, table

GROUP = 1 << 16
WORK = ("ray::isthmus", "TrainWorker")  # what workers that do something are called


def write_images(path: Path, rows: int, side: int) -> None:
    """Smooth images, one a row, in row groups."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(6, side * side)).astype(np.float32)
    names = [f"pixel_{i}" for i in range(side * side)]
    writer = None
    for start in range(0, rows, GROUP):
        codes = rng.normal(size=(min(GROUP, rows - start), 6)).astype(np.float32)
        block = np.clip(128 + 24 * codes @ basis, 0, 255).astype(np.uint8)
        part = pa.table(dict(zip(names, block.T, strict=True)))
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    assert writer is not None
    writer.close()


@dataclass
class Followed:
    """A command that ran. memory : bytes of all its processes, twice a second."""

    seconds: float = 0.0
    cpu: float = 0.0
    memory: list[int] = field(default_factory=list)
    killed: int = 0

    @property
    def growth(self) -> str:
        third = max(1, len(self.memory) // 3)
        before, last = max(self.memory[third : 2 * third] or [1]), max(self.memory[-third:] or [1])
        return f"{max(self.memory, default=0) / 1e6:,.0f} MB, {last / before - 1:+.0%}"


def follow(command: list[str], *, threads: int, kill_after: float | None = None) -> Followed:
    """Run a command; kill one of its workers that long after the first of them has begun."""
    done, spent = Followed(), dict[int, float]()
    began = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    stderr: list[str] = []
    reader = threading.Thread(target=lambda: stderr.extend(process.stderr or ()), daemon=True)
    reader.start()
    working = None
    while process.poll() is None:
        pids = list(descendants(process.pid))
        done.memory.append(sum(map(own_memory, pids)))
        spent |= {pid: seconds for pid in pids if (seconds := cpu_seconds(pid)) is not None}
        workers = [pid for pid in pids if any(word in command_of(pid) for word in WORK)]
        working = working or (time.monotonic() if workers else None)
        if kill_after is not None and working and workers and time.monotonic() - working > kill_after:
            with suppress(ProcessLookupError):
                os.kill(random.choice(workers), signal.SIGKILL)
            done.killed, kill_after = done.killed + 1, None
        time.sleep(0.5)
    reader.join(5)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {''.join(stderr)}")
    done.seconds, done.cpu = time.monotonic() - began, sum(spent.values())
    return done


def descendants(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    yield from found


def cpu_seconds(pid: int) -> float | None:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return None


def own_memory(pid: int) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return 0


def command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def isthmus(*words: object) -> list[str]:
    return [sys.executable, "-m", "isthmus", *map(str, words)]


def throughput(folder: Path, rows: int, workers: int) -> list[dict[str, str]]:
    """The same codes of all rows and of a tenth of them, by one process and by workers."""
    found = []
    ray = ["--backend", "ray", "--workers", workers]
    costs = {}
    for name, more, threads in (("one process", [], workers), ("Ray", ray, 1)):
        runs = []
        for size in (rows // 10, rows):
            words = ["embed", folder / "model", folder / f"{size}.parquet", "-o", folder / f"{name}-{size}.npy", *more]
            runs.append(follow(isthmus(*words), threads=threads))
        small, large = runs
        costs[name] = (large.seconds - small.seconds) / (rows - rows // 10)
        found.append(
            {
                "": name,
                "s": f"{large.seconds:.1f}",
                "rows/s": f"{rows / large.seconds:,.0f}",
                "further rows/s": f"{1 / costs[name]:,.0f}",
                "beside one process": f"{costs['one process'] / costs[name]:.2f}",
                "processor s": f"{large.cpu:.1f}",
                "memory, growth": large.growth,
            }
        )
    same = filecmp.cmp(folder / f"one process-{rows}.npy", folder / f"Ray-{rows}.npy", shallow=False)
    print(f"The codes of {rows:,} rows are {'the same bytes' if same else 'NOT THE SAME'}.\n")
    return found


def kills(folder: Path, rows: int, workers: int, count: int) -> list[dict[str, str]]:
    """Workers that are killed at random moments of inference and of training."""
    rng = random.Random(0)
    codes = folder / "killed.npy"
    ray = ["--backend", "ray", "--workers", workers, "--overwrite"]
    training = ["train", folder / "train.parquet", "--latent-dim", 4, "--epochs", 30, "--no-report", "-q", *ray]
    training += ["--checkpoint-seconds", 0.5]
    follow(isthmus(*training, "-o", folder / "undisturbed"), threads=1)
    wanted = load_model(folder / "undisturbed").tensors
    found = []
    for what in ("inference", "training"):
        killed = exact = 0
        for _ in range(count):
            if what == "inference":
                words = ["embed", folder / "model", folder / f"{rows // 10}.parquet", "-o", codes, *ray]
            else:
                words = [*training, "-o", folder / "disturbed"]
            killed += follow(isthmus(*words), threads=1, kill_after=rng.uniform(0, 6)).killed
            if what == "inference":
                exact += filecmp.cmp(codes, folder / f"one process-{rows // 10}.npy", shallow=False)
            else:
                weights = load_model(folder / "disturbed").tensors
                exact += all(np.array_equal(weights[name], wanted[name]) for name in wanted)
        found.append({"": what, "runs": str(count), "kills": str(killed), "exact": str(exact)})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--side", type=int, default=28, help="pixels")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=10)
    given = parser.parse_args()
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in (given.rows, given.rows // 10):
            write_images(folder / f"{size}.parquet", size, given.side)
        write_images(folder / "train.parquet", 5000, given.side)
        words = ["train", folder / "train.parquet", "--latent-dim", 8, "--epochs", 3, "--no-report", "-q"]
        follow(isthmus(*words, "-o", folder / "model"), threads=given.workers)
        print(table(throughput(folder, given.rows, given.workers)), flush=True)
        if given.kills:
            print(f"\n{table(kills(folder, given.rows, given.workers, given.kills))}")


if __name__ == "__main__":
    main()
