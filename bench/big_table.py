"""A generated Parquet file of 10,000,000 rows and 20 columns: resident memory and rows a second, as a user runs it.

python bench/big_table.py [--rows 10000000] [--minutes 1]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from machine import machine, table
from memory import peak_memory

_GROUP = 250_000  # rows written at a time


def write_table(path: Path, rows: int) -> None:
    """Eight numbers, three counts, six categories, two dates and a yes or no; every tenth cell is missing."""
    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, rows, _GROUP):
        group = pa.table(_columns(rng, min(_GROUP, rows - start)))
        writer = writer or pq.ParquetWriter(path, group.schema)
        writer.write_table(group)
    if writer is not None:
        writer.close()


def _columns(rng: np.random.Generator, n: int) -> dict[str, Any]:
    causes = rng.normal(size=(n, 4))
    columns: dict[str, Any] = {}

    def add(name: str, values: np.ndarray, type_: Any = None) -> None:
        columns[name] = pa.array(values, type_, mask=rng.random(n) < 0.1)

    for j in range(8):
        add(f"number{j}", causes @ rng.normal(size=4) + 0.1 * rng.normal(size=n))
    for j in range(3):
        add(f"count{j}", rng.poisson(np.exp(causes[:, j] / 2)))
    for j in range(6):
        levels = np.clip(((causes[:, j % 4] + 3) / 6 * (3 + 5 * j)).astype(int), 0, 2 + 5 * j)
        add(f"kind{j}", np.array([f"value {i}" for i in range(3 + 5 * j)])[levels])
    seconds = 1_600_000_000 + (causes[:, :2] * 10_000_000).astype(np.int64)
    for j in range(2):
        add(f"date{j}", seconds[:, j].astype("datetime64[s]"))
    add("yes", causes[:, 3] > 0)
    return columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--minutes", type=float, default=1.0)
    arguments = parser.parse_args()
    isthmus = [sys.executable, "-m", "isthmus"]
    with tempfile.TemporaryDirectory() as folder:
        data, model, codes = (str(Path(folder) / name) for name in ("t.parquet", "model", "codes.npy"))
        write_table(Path(data), arguments.rows)
        size = Path(data).stat().st_size
        minutes = str(arguments.minutes)
        train = ["train", data, "--latent-dim", "8", "--minutes", minutes, "--no-report", "-q", "-o", model]
        rows = []
        for name, command in (("train", train), ("embed", ["embed", model, data, "-o", codes])):
            began = time.perf_counter()
            peak = peak_memory([*isthmus, *command])
            seconds = time.perf_counter() - began
            rows.append(
                {
                    "command": f"isthmus {name}",
                    "seconds": f"{seconds:.0f}",
                    "rows a second": f"{arguments.rows / seconds:,.0f}",
                    "largest resident memory": f"{peak / 1e6:,.0f} MB",
                }
            )
    print(f"{arguments.rows:,} rows of 20 columns, {size / 1e6:,.0f} MB of Parquet, {machine()}\n")
    print(table(rows))


if __name__ == "__main__":
    main()
