"""The codec's loops in NumPy and compiled, beside each other: the same bytes, and how long they take.

python bench/codec_speed.py [mnist grey lossy]      needs: pip install '.[bench]'
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

import codec_data as data
from isthmus import Codec
from isthmus.compression.coding import compiled
from machine import machine, table
from targets import QUICK, Target, note

TURNS = 1 if QUICK else 3
TARGETS: dict[
    str, list[tuple[str, str, float]]
] = {  # of the compiled loops, on all cores: what, direction, at least how much a second
    "mnist": [("MNIST, lossless, encoding", "in", 10_000), ("MNIST, lossless, decoding", "out", 10_000)],
    "grey": [("photographs, lossless, decoding", "out", 3e6)],
    "lossy": [("photographs of 768 × 512, lossy, decoding", "out", 10)],
}


def subject(name: str) -> tuple[Codec, Any, int, str]:
    """A codec, what it codes, how many units that is, and what these are."""
    if name == "lossy":
        codec = data.trained("colour-lossy", "lossy", 30.0, lambda: data.colour()[0])
        image = np.resize(data.colour()[1][0], (512, 768, 3))[None]
        return codec, image, 1, "photographs"
    codec = data.trained(f"{name}-lossless", "lossless", data.MINUTES[name], lambda: getattr(data, name)()[0])
    images = getattr(data, name)()[1]
    if name == "mnist":
        return codec, images[:2560], len(images[:2560]), "images"
    return codec, images, sum(image.size for image in images), "values"


def seconds(function: Callable[[], Any]) -> tuple[float, float, Any]:
    """By the clock, of the processor, and what the function gives."""
    clock, processor = time.perf_counter(), time.process_time()
    result = function()
    return time.perf_counter() - clock, time.process_time() - processor, result


def measure(name: str) -> None:
    codec, images, count, units = subject(name)
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    archives = set()
    choices: dict[str, Callable[[int], bool]] = {"NumPy": lambda values: False, "compiled": lambda values: True}
    with patch.object(compiled, "pays", choices["compiled"]):
        first = seconds(partial(codec.compress, images))[0]
    print(f"\n{name}: {first:.1f} s the first time, with loading the loops, or compiling them where that never was")
    for _ in range(TURNS):
        for loops, pays in choices.items():
            with patch.object(compiled, "pays", pays):
                *encoding, archive = seconds(partial(codec.compress, images))
                *decoding, back = seconds(partial(codec.decompress, archive))
            assert len(back) == len(images)
            archives.add(archive)
            times.setdefault(("in", loops), []).append((encoding[0], encoding[1]))
            times.setdefault(("out", loops), []).append((decoding[0], decoding[1]))
    assert len(archives) == 1, "the loops do not write the same bytes"
    rows = []
    for (direction, loops), found in times.items():
        clock, processor = (statistics.median(times) for times in zip(*found, strict=True))
        speeds = {f"{units} a second": f"{count / clock:,.4g}", "of one core": f"{count / processor:,.4g}"}
        rows.append({"": direction, "loops": loops, **speeds, "s": f"{clock:.2f}", "s of cores": f"{processor:.2f}"})
    print(f"\n{table(rows)}", flush=True)
    clocks = {
        direction: statistics.median(clock for clock, _ in times[direction, "compiled"]) for direction in ("in", "out")
    }
    note(*(Target(what, count / clocks[way], least, f"{units}/s", at_least=True) for what, way, least in TARGETS[name]))


def main() -> None:
    print(machine())
    for name in sys.argv[1:] or ("mnist", "grey", "lossy"):
        measure(name)


if __name__ == "__main__":
    main()
