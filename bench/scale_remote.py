"""A partitioned Parquet data set in a bucket of an S3 server on this machine, beside the same files on disk.

python bench/scale_remote.py [--rows 2000000] [--repeats 3]

Each reading is a process of its own: the table is opened, then all rows are taken in the order of training. "first" is
with an empty cache, "again" with what that left; on disk the files are in the system's memory both times. The server
(moto, written in Python) is a process beside it on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from machine import machine, table

_COLUMNS, _PARTS, _BATCH = 20, 16, 256
_READ = """
import json, sys, time
import numpy as np
from isthmus.data.table_source import open_table
from isthmus.data.sources import open_source
from isthmus.training.order import epoch_batches
path, kind = sys.argv[1:]
began, cpu = time.perf_counter(), time.process_time()
source = open_table(path) if kind == "table" else open_source(path)
opened = time.perf_counter() - began
total = 0.0
for indices in epoch_batches(len(source), np.arange(0), 256, [0]):
    total += float(source.take(indices).ravel()[:8].sum(dtype=np.float64))
print(json.dumps({"rows": len(source), "opened": opened, "seconds": time.perf_counter() - began,
                  "cpu": time.process_time() - cpu, "total": total,
                  "memory": int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1e3}))
"""


def write_table(folder: Path, rows: int) -> None:
    """A folder for each of four years, with four files each."""
    rng = np.random.default_rng(0)
    for part in range(_PARTS):
        causes = rng.normal(size=(rows // _PARTS, 4))
        values = causes @ rng.normal(size=(4, _COLUMNS)) + 0.1 * rng.normal(size=(rows // _PARTS, _COLUMNS))
        place = folder / f"year={2020 + part // 4}"
        place.mkdir(parents=True, exist_ok=True)
        columns = {f"number{j}": column for j, column in enumerate(values.T.astype(np.float32))}
        pq.write_table(pa.table(columns), place / f"part-{part % 4}.parquet", row_group_size=50_000)


def write_images(folder: Path, images: int) -> None:
    """Generated images of 28 × 28 pixels, as lists in Parquet."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for part in range(_PARTS):
        n = images // _PARTS
        noise = rng.integers(0, 256, (n, 28, 28), np.uint8)
        noise[:, ::2] //= 16
        pixels = pa.FixedSizeListArray.from_arrays(pa.array(noise.ravel()), 28 * 28)
        pq.write_table(pa.table({"image": pixels}), folder / f"part-{part:02}.parquet", row_group_size=5_000)


@contextmanager
def s3_server(files: Path) -> Iterator[dict[str, str]]:
    """An S3 server that holds the files in a bucket "data"; the environment that leads to it."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "ISTHMUS_CACHE": str(files.parent / "cache"),
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        client = boto3.client(
            "s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name="us-east-1",
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip
        client.create_bucket(Bucket="data")
        for file in files.rglob("*.parquet"):
            client.upload_file(str(file), "data", file.relative_to(files).as_posix())
        yield environment
    finally:
        server.terminate()
        server.wait(timeout=30)


def read(path: str, kind: str, environment: dict[str, str]) -> dict[str, Any]:
    """What one process tells of reading everything."""
    said = subprocess.run(
        [sys.executable, "-c", _READ, path, kind], env=environment, capture_output=True, text=True, timeout=1800
    )
    if said.returncode:
        raise SystemExit(said.stderr)
    result: dict[str, Any] = json.loads(said.stdout)
    return result


def train(path: str, environment: dict[str, str]) -> float:
    """Seconds of `isthmus train` over one epoch."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["train", path, "--latent-dim", "8", "--epochs", "1", "--no-report", "-q", "-o", f"{folder}/model"]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "isthmus", *command], env=environment, check=True, timeout=1800)
        return time.perf_counter() - began


def compare(kind: str, files: Path, environment: dict[str, str], repeats: int) -> list[dict[str, str]]:
    """Rows of the table: disk and bucket in turn, the medians of a few."""
    cache = Path(environment["ISTHMUS_CACHE"])
    found: dict[str, list[dict[str, Any]]] = {"disk": [], "bucket, first": [], "bucket, again": []}
    for _ in range(repeats):
        shutil.rmtree(cache, ignore_errors=True)
        for where, path in (
            ("disk", str(files)), ("bucket, first", f"s3://data/{files.name}"),
            ("bucket, again", f"s3://data/{files.name}"),
        ):  # fmt: skip
            found[where].append(read(path, kind, environment))
    assert len({result["total"] for results in found.values() for result in results}) == 1  # the same samples
    disk = statistics.median(result["seconds"] for result in found["disk"])
    rows = []
    for where, results in found.items():
        seconds = statistics.median(result["seconds"] for result in results)
        rows.append(
            {
                "data": kind,
                "where": where,
                "seconds to open": f"{statistics.median(r['opened'] for r in results):.1f}",
                "seconds in all": f"{seconds:.1f}",
                "samples a second": f"{results[0]['rows'] / seconds:,.0f}",
                "of disk": f"{disk / seconds:.2f}",
                "CPU seconds": f"{statistics.median(r['cpu'] for r in results):.1f}",
                "largest resident memory": f"{max(r['memory'] for r in results):,.0f} MB",
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--train", action="store_true", help="also one epoch of `isthmus train` on each")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        files = Path(name) / "files"
        write_table(files / "table", arguments.rows)
        write_images(files / "images", arguments.images)
        size = {kind: sum(f.stat().st_size for f in (files / kind).rglob("*.parquet")) for kind in ("table", "images")}
        print(f"{arguments.rows:,} rows of {_COLUMNS} numbers, {size['table'] / 1e6:,.0f} MB, and {arguments.images:,} "
              f"images, {size['images'] / 1e6:,.0f} MB, in {_PARTS} files each; {machine()}\n")  # fmt: skip
        with s3_server(files) as environment:
            rows = [
                row
                for kind in ("table", "images")
                for row in compare(kind, files / kind, environment, arguments.repeats)
            ]
            print(table(rows))
            if arguments.train:
                shutil.rmtree(environment["ISTHMUS_CACHE"], ignore_errors=True)
                disk = train(str(files / "table"), environment)
                print(f"\none epoch of training on the table: disk {disk:.1f} s, bucket "
                      f"{train('s3://data/table', environment):.1f} s")  # fmt: skip


if __name__ == "__main__":
    main()
