"""Search by example: what the index finds and how long a query takes, and the memory of embedding generated images.

python bench/search.py [1000000]      needs: pip install '.[search]', MNIST
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import isthmus
from codec_memory import write_digits
from isthmus import AutoEncoder, datasets
from isthmus.latent import store as search
from machine import machine, table
from memory import peak_memory

PLACE = Path(".bench/search")
CLI = [sys.executable, "-m", "isthmus"]
K, QUERIES = 10, 200


def model() -> AutoEncoder:
    """An auto-encoder of MNIST with a code of 32 numbers, trained once."""
    folder = PLACE / "mnist-32"
    if not folder.is_dir():
        peak_memory([*CLI, "train", "mnist", "--latent-dim", "32", "--minutes", "0.5", "-q", "-o", str(folder)])
    found: AutoEncoder = isthmus.load(folder)
    return found


def exact(codes: np.ndarray, queries: np.ndarray) -> list[set[str]]:
    """The names of the 10 nearest of all codes, by brute force."""
    found = []
    for query in queries:
        distances = np.square(codes - query).sum(axis=1)
        found.append({str(i) for i in np.argpartition(distances, K)[:K]})
    return found


def asked(store: search.Store, queries: np.ndarray, truth: list[set[str]]) -> dict[str, Any]:
    """Recall, and the time of one query after another."""
    store.nearest(queries[:5], K)
    walls, found, processor = [], [], time.process_time()
    for query in queries:
        start = time.perf_counter()
        found.append({n.sample for n in store.nearest(query[None], K)[0]})
        walls.append(time.perf_counter() - start)
    processor = time.process_time() - processor
    recall = np.mean([len(a & b) / K for a, b in zip(found, truth, strict=True)])
    return {
        "recall@10": f"{recall:.4f}",
        "median": f"{1e3 * np.median(walls):.1f} ms",
        "95 of 100 below": f"{1e3 * np.quantile(walls, 0.95):.1f} ms",
        "processor": f"{1e3 * processor / len(queries):.1f} ms",
    }


def searches(folder: Path) -> list[dict[str, Any]]:
    """70,000 digits with and without an index; asked for test digits moved by a pixel."""
    coder, mnist = model(), datasets.load("mnist")
    images = np.concatenate([mnist.train.images, mnist.test.images])
    codes = coder.encode(images)
    queries = coder.encode(np.roll(mnist.test.images[:QUERIES], 1, axis=2))
    rows = []
    for count in (10_000, 20_000, len(codes)):
        truth = exact(codes[:count], queries)
        for indexed in (False, True):
            search._INDEXED = 0 if indexed else count + 1
            path = folder / f"codes-{count}-{indexed}.lance"
            start = time.perf_counter()
            block = search.Rows([str(i) for i in range(count)], codes[:count], np.arange(count) % 10)
            search.write_store(path, [block], search.Origin("mnist-32", ""))
            written = time.perf_counter() - start
            row = {"codes": f"{count:,}", "index": "yes" if indexed else "no", "written in": f"{written:.1f} s"}
            rows.append(row | asked(search.Store(path), queries, truth))
    return rows


def memories(folder: Path, most: int) -> list[dict[str, Any]]:
    """Embedding more and more generated images from a file, as a user does it."""
    peak_memory(
        [*CLI, "train", "digits", "--latent-dim", "10", "--epochs", "3", "-q", "--no-report", "-o", str(folder / "m")]
    )
    rows = []
    for count in (most // 100, most // 10, most):
        data, store = folder / f"{count}.npy", folder / f"digits-{count}.lance"
        write_digits(data, count)
        start = time.perf_counter()
        peak = peak_memory([*CLI, "embed", str(folder / "m"), str(data), "-o", str(store)])
        seconds = time.perf_counter() - start
        size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        row = {"images": f"{count:,}", "time": f"{seconds:.0f} s", "largest resident memory": f"{peak / 1e6:,.0f} MB"}
        rows.append(row | {"store": f"{size / 1e6:,.0f} MB"})
        data.unlink()
    return rows


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        print(f"{machine()}\n\n{table(searches(Path(folder)))}\n", flush=True)
        print(table(memories(Path(folder), most)))


if __name__ == "__main__":
    main()
