"""Random damage to archives: always the exact data, or a clear error; never a crash, and little memory.

python bench/codec_mutations.py [10000]
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.compression.coding.test_archive import MODEL, _mutated, read, three_chunks, written

from isthmus.errors import IsthmusError


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    samples = three_chunks()
    originals = {sample.image.tobytes() for sample in samples if sample.image is not None}
    archives = [written(samples), written(samples, embed=True), written(samples[:2], directory=False)]
    rng, outcomes, slowest = np.random.default_rng(0), Counter[str](), 0.0
    for number in range(count):
        broken = _mutated(archives[number % 3], rng)
        start = time.perf_counter()
        try:
            images, damaged = read(broken, MODEL)
            assert all(image.tobytes() in originals for image in images), "a wrong image without an error"
            complete = len(images) == (2 if number % 3 == 2 else 4)
            assert complete or damaged, "samples are missing without a word"
            outcomes["complete" if complete else "damage named, the rest read"] += 1
        except IsthmusError:
            outcomes["refused with a clear error"] += 1
        slowest = max(slowest, time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:,} mutations: {dict(outcomes)}; slowest {slowest:.3f} s, memory at most {memory:,.0f} MB")


if __name__ == "__main__":
    main()
