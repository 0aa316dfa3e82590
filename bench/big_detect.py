"""Rows of a generated Parquet file judged by a detector, as a user runs it: resident memory and rows a second.

python bench/big_detect.py [--rows 1000000,10000000] [--learned 20000]

Ten columns of numbers that go together. A detector learns from some rows, and `isthmus detect MODEL big.parquet -o
out.parquet` judges the file, writes a row for each, and explains those that are flagged: a thousand rows are anomalies.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from machine import machine, table
from memory import peak_memory

_COLUMNS, _GROUP, _STRANGE = 10, 250_000, 1000


def write_rows(path: Path, n: int, seed: int, strange: int) -> None:
    """n rows, of which that many have a value that does not go with the others."""
    rng, writer = np.random.default_rng(seed), None
    mixing = np.sin(np.arange(3 * _COLUMNS).reshape(3, _COLUMNS))
    odd = rng.choice(n, strange, replace=False)
    for start in range(0, n, _GROUP):
        size = min(_GROUP, n - start)
        x = rng.normal(size=(size, 3)) @ mixing + 0.2 * rng.normal(size=(size, _COLUMNS))
        x[odd[(odd >= start) & (odd < start + size)] - start, 4] += 6
        group = pa.table({f"x{j}": x[:, j] for j in range(_COLUMNS)})
        writer = writer or pq.ParquetWriter(path, group.schema)
        writer.write_table(group)
    if writer is not None:
        writer.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1000000,10000000")
    parser.add_argument("--learned", type=int, default=20_000)
    arguments = parser.parse_args()
    isthmus, rows = [sys.executable, "-m", "isthmus"], []
    for n in map(int, arguments.rows.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            usual, data, model, found = (Path(folder) / name for name in ("u.parquet", "t.parquet", "m", "out.parquet"))
            write_rows(usual, arguments.learned, 1, 0)
            write_rows(data, n, 0, _STRANGE)
            peak_memory([*isthmus, "train-detector", str(usual), "--minutes", "0.3", "-q", "-o", str(model)])
            began = time.perf_counter()
            peak = peak_memory([*isthmus, "detect", str(model), str(data), "-q", "-o", str(found)])
            seconds = time.perf_counter() - began
            assert pq.ParquetFile(found).metadata.num_rows == n
            rows.append(
                {
                    "rows": f"{n:,}",
                    "Parquet": f"{data.stat().st_size / 1e6:,.0f} MB",
                    "seconds": f"{seconds:.0f}",
                    "rows a second": f"{n / seconds:,.0f}",
                    "largest resident memory": f"{peak / 1e6:,.0f} MB",
                }
            )
            print(rows[-1], flush=True)
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
