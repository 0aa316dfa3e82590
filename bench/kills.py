"""Kills at random moments: what was whole before is whole after, and the next run leaves nothing behind.

python bench/kills.py [--count 1000] [--signal KILL] [CASE ...]

The cases are save (which gets all kills) and train, compress, denoise, embed and map (a tenth each). Every run is a
process forked from this one, which has imported torch already. With --signal TERM, INT or HUP the runs are asked to
end: their exit status is 128 + n, and there is nothing half-written even before the next run. Ctrl-C ends a case and
tells what was counted so far.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import random
import re
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process that has started threads must not be forked

import numpy as np
from PIL import Image

from isthmus import AutoEncoder, load
from isthmus.cli import main as isthmus_command
from isthmus.estimators.model_folder import load_model
from machine import machine, table

CHECKPOINT = "checkpoint.safetensors"
_DIGEST = re.compile(r"model-[0-9a-f]{16}\.safetensors")
_NEEDED = ("compression.lossless_learning", "compression.packing", "denoising.files", "manifold.page")
_FAILED, _SLOWEST = 99, 600.0


@dataclass(frozen=True)
class Ended:
    """How a process ended. early : whether a signal was sent before it was done. status : as of `Popen.returncode`."""

    early: bool
    status: int


def run(work: Callable[[], int | None], log: Path, moment: float = _SLOWEST, number: int = signal.SIGKILL) -> Ended:
    """Do some work in a process of its own, and send it a signal after `moment` seconds. log : what it prints."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(work, write, log)
    os.close(write)
    os.read(read, 1)  # it has begun
    done, _, _ = select.select([read], [], [], moment)
    early = not done
    if early:
        os.kill(child, number)
        if not select.select([read], [], [], _SLOWEST)[0]:
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    finished = os.read(read, 1)
    os.close(read)
    return Ended(early and not finished, os.waitstatus_to_exitcode(status))


def _be_child(work: Callable[[], int | None], write: int, log: Path) -> None:
    """The rest of a forked process; never returns."""
    status = _FAILED
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.write(write, b".")
    try:
        status = work() or 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    if status < 128:
        os.write(write, b".")
    os._exit(status)


class Case:
    """Work that is killed in `self.folder`, over and over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data.npy"
        np.save(self.data, bars(160))

    def prepare(self) -> None:
        """Leave what must not be lost."""

    def work(self) -> int | None:
        """What is killed."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise AssertionError or any other where something that was whole is not."""
        raise NotImplementedError

    def again(self) -> int | None:
        """The next run."""
        return self.work()

    def names(self) -> set[str]:
        """What is in the folder; the inside of stores is their own."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*"))
        kept = (path for path in found if not any(parent.suffix == ".lance" for parent in path.parents))
        return {_DIGEST.sub("model-DIGEST.safetensors", path.as_posix()) for path in kept}

    def isthmus(self, *arguments: str) -> int:
        """Run `isthmus ARGUMENTS` in the folder; names of files in quotes."""
        os.chdir(self.folder)
        return isthmus_command(arguments)


class Save(Case):
    """Two models in turn, into one folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        new = (AutoEncoder(2, network="dense", hidden=(512,), epochs=1, random_state=seed) for seed in (0, 1))
        self.models = [model.fit(bars(160)) for model in new]

    def prepare(self) -> None:
        self.models[0].save(self.folder / "model")

    def work(self) -> int | None:
        for number in itertools.cycle((1, 0)):
            self.models[number].save(self.folder / "model")
        return 0

    def check(self) -> None:
        found = load(self.folder / "model", device="cpu")
        same = [model for model in self.models if model.seed_ == found.seed_]
        assert len(same) == 1 and found.history_ == same[0].history_
        for name, tensor in same[0]._tensors().items():
            np.testing.assert_array_equal(load_model(self.folder / "model").tensors[name], tensor)

    def again(self) -> int | None:
        self.prepare()
        return 0


class Training(Case):
    """A command that trains, over a good model; the next run continues it, and comes to the same bits."""

    command: tuple[str, ...]
    files: tuple[str, ...] = ()

    def prepare(self) -> None:
        assert self.isthmus(*self.command, "--seed", "0", "-o", "model", "--quiet") == 0
        assert self._train("whole") == 0

    def _train(self, folder: str, *more: str) -> int:
        return self.isthmus(*self.command, "--seed", "1", "--checkpoint-seconds", "0", "-q", "-o", folder, *more)

    def work(self) -> int | None:
        return self._train("model", "--overwrite")

    def again(self) -> int | None:
        goes_on = (self.folder / "model" / CHECKPOINT).exists()
        status = self._train("model", "--resume" if goes_on else "--overwrite")
        one, other = (load_model(self.folder / name).tensors for name in ("model", "whole"))
        assert one.keys() == other.keys()
        for name, tensor in other.items():
            np.testing.assert_array_equal(one[name], tensor)
        return status

    def check(self) -> None:
        assert load(self.folder / "model", device="cpu").seed_ in (0, 1)


class Train(Training):
    """Auto-encoders."""

    command = ("train", "data.npy", "--latent-dim", "2", "--network", "dense", "--epochs", "4", "--no-report")


class Map(Training):
    """Maps, with their pictures and pages."""

    command = ("map", "data.npy", "--epochs", "8")

    def check(self) -> None:
        super().check()
        for name in ("map.png", "map-dark.png"):
            Image.open(self.folder / "model" / name).load()
        assert (self.folder / "model" / "map.html").read_text().rstrip().endswith("</html>")


class Compress(Case):
    """A folder of images into one archive."""

    def prepare(self) -> None:
        (self.folder / "photos").mkdir()
        for number, image in enumerate(bars(24, 48)):
            Image.fromarray(image).save(self.folder / "photos" / f"{number}.png")
        assert self.isthmus("train-codec", "photos", "--lossless", "--epochs", "1", "-q", "-o", "codec") == 0
        assert self.work() == 0

    def work(self) -> int | None:
        return self.isthmus("compress", "codec", "photos", "-o", "photos.isth", "--embed-model", "--overwrite")

    def check(self) -> None:
        assert self.isthmus("verify", "photos.isth") == 0


class Denoise(Case):
    """A folder of files, by two models in turn."""

    def prepare(self) -> None:
        for name in ("bars", "noisy"):
            (self.folder / name).mkdir()
        rng = np.random.default_rng(0)
        for number, image in enumerate(bars(16, 32)):
            noisy = np.clip(image + 20 * rng.standard_normal(image.shape), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(self.folder / "bars" / f"{number}.png")
            Image.fromarray(noisy).save(self.folder / "noisy" / f"{number}.png")
        for number in (0, 1):
            trained = "train-denoiser", "bars", "--noise", "gaussian:0.1", "--epochs", "40", "--seed", str(number)
            assert self.isthmus(*trained, "--size", "small", "-q", "-o", f"model-{number}") == 0
            assert self._denoise(number, f"by-{number}") == 0
        assert self.work() == 0

    def _denoise(self, number: int, folder: str) -> int:
        return self.isthmus("denoise", f"model-{number}", "noisy", "-o", folder, "-q", "--overwrite")

    def work(self) -> int | None:
        return self._denoise(0, "clean") or self._denoise(1, "clean")

    def check(self) -> None:
        for path in (self.folder / "noisy").iterdir():
            either = [(self.folder / name / path.name).read_bytes() for name in ("by-0", "by-1")]
            assert either[0] != either[1] and (self.folder / "clean" / path.name).read_bytes() in either


class Embed(Case):
    """Codes of two models in turn, in a store, an array and a table."""

    def prepare(self) -> None:
        for number in (0, 1):
            model = AutoEncoder(2 + number, network="dense", epochs=1, random_state=number).fit(np.load(self.data))
            model.save(self.folder / f"model-{number}")
            assert self._embed(number) == 0

    def _embed(self, number: int) -> int:
        each = (f"codes{suffix}" for suffix in (".lance", ".npy", ".parquet"))
        return max(self.isthmus("embed", f"model-{number}", "data.npy", "-o", name, "--overwrite") for name in each)

    def work(self) -> int | None:
        return self._embed(0) or self._embed(1)

    def check(self) -> None:
        import pyarrow.parquet as pq

        from isthmus import Store

        store = Store(self.folder / "codes.lance")
        assert len(store) == 160 and store.size == 2 + int(store.origin.model[-1])
        assert len(store.nearest(np.zeros((1, store.size)), 5)[0]) == 5
        assert np.load(self.folder / "codes.npy").shape in ((160, 2), (160, 3))
        assert pq.read_table(self.folder / "codes.parquet").num_rows == 160


CASES: dict[str, type[Case]] = {
    "save": Save,
    "train": Train,
    "compress": Compress,
    "denoise": Denoise,
    "embed": Embed,
    "map": Map,
}


def bars(n: int, side: int = 16) -> np.ndarray:
    """Grey bars on black, uint8 (n, side, side)."""
    rng = np.random.default_rng(0)
    images = np.zeros((n, side, side), np.uint8)
    for image, row, level in zip(images, rng.integers(1, side - 3, n), rng.integers(60, 256, n), strict=True):
        image[row : row + 3, 1:-1] = level + rng.integers(-20, 1, (3, side - 2))
    return images


def measure(name: str, count: int, number: int) -> dict[str, Any]:
    """Kill the work of a case so many times."""
    top = Path(tempfile.mkdtemp(prefix="isthmus-kills-"))
    (top / "folder").mkdir()
    case, log, said = CASES[name](top / "folder"), top / "log", Counter[str]()
    moments, begun = random.Random(name), time.perf_counter()
    assert run(case.prepare, log).status == 0, log.read_text()
    expected, whole = case.names(), 0.15
    if name != "save":
        start = time.perf_counter()
        assert run(case.work, log).status == 0, log.read_text()
        whole = time.perf_counter() - start
        assert case.names() == expected, case.names() ^ expected
    with suppress(KeyboardInterrupt):
        for _ in range(count):
            ended = run(case.work, log, moments.uniform(0, 1.05 * whole), number)
            _judge(case, ended, number, expected, log, said)
            said.update(runs=1, early=ended.early)
    shutil.rmtree(top)
    told = {key: said[key] for key in ("runs", "early", "broken", "next run failed", "litter", "wrong status")}
    return {"case": name, **told, "seconds": f"{time.perf_counter() - begun:.0f}"}


def _judge(case: Case, ended: Ended, number: int, expected: set[str], log: Path, said: Counter[str]) -> None:
    """Count what is wrong after a signal, and after the next run."""

    def tell(what: str, why: str) -> None:
        said[what] += 1
        print(f"{type(case).__name__}: {what}: {why}", flush=True)

    asked = number != signal.SIGKILL
    if asked and ended.early and ended.status != 128 + number:
        tell("wrong status", f"{ended.status}: {log.read_text()[-2000:]}")
    left = {name for name in case.names() - expected if not Path(name).name.startswith("checkpoint")}
    if asked and left:
        tell("litter", f"{sorted(left)} before the next run")
    if run(case.check, log).status != 0:
        tell("broken", log.read_text()[-2000:])
    if run(case.again, log).status != 0:
        tell("next run failed", log.read_text()[-2000:])
    if case.names() != expected:
        tell("litter", str(sorted(case.names() ^ expected)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--count", type=int, default=1000, help="kills of a save; a tenth of each of the others")
    parser.add_argument("--signal", default="KILL", choices=["KILL", "TERM", "INT", "HUP"])
    options = parser.parse_args()
    number = getattr(signal, f"SIG{options.signal}")
    for name in _NEEDED:  # once, and not in every process
        importlib.import_module(f"isthmus.{name}")
    counts = {name: options.count if name == "save" else max(1, options.count // 10) for name in options.cases}
    rows = [measure(name, count, number) for name, count in counts.items()]
    print(f"{machine()}, SIG{options.signal}\n\n{table(rows)}")
    return int(any(row[key] for row in rows for key in ("broken", "next run failed", "litter", "wrong status")))


if __name__ == "__main__":
    sys.exit(main())
