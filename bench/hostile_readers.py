"""Data files from strangers: mutations of files of every format, through every reader that takes them.

python bench/hostile.py readers 100000      needs: pip install '.[all,dev]'
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.data.file_kinds import write_all

from isthmus import open_source
from isthmus.data.sample_files import READABLE, open_sample
from isthmus.data.table_files import is_table
from isthmus.data.table_source import open_table

_MOST = 64  # bytes of a piece that is copied or cut
_HEAD = 300  # bytes in which most formats say what follows
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF)


def cases(rng: np.random.Generator) -> Iterator[tuple[str, Path, Callable[[Path], Any]]]:
    """Mutated files without end: a name, a file, and what reads it; formats take turns."""
    kinds = defaultdict(list)
    for name, content in originals().items():
        kinds[Path(name).suffix].append((name, content))
    while True:
        for files in kinds.values():
            name, content = files[int(rng.integers(len(files)))]
            readers = [reader for reader in READERS if READERS[reader][0](Path(name))]
            reader = readers[int(rng.integers(len(readers)))]
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / name
                path.write_bytes(mutated(content, rng))
                yield f"{reader} {name}", path, READERS[reader][1]


def originals() -> dict[str, bytes]:
    """A whole file of each format, kind and depth."""
    with tempfile.TemporaryDirectory() as folder:
        write_all(Path(folder))
        _write_tables(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _write_tables(folder: Path) -> None:
    """What `write_all` has not: tables, npz, IDX and Zarr."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.integers(0, 9, 60), "word": rng.choice(["x", "yy"], 60)})
    frame["when"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(60), "h")
    rows = pa.Table.from_pandas(frame)
    pa.parquet.write_table(rows, folder / "t.parquet", row_group_size=20)
    for packing in ("uncompressed", "lz4", "zstd"):
        pa.feather.write_feather(rows, folder / f"{packing}.feather", compression=packing)
    with pa.ipc.new_stream(folder / "t.arrows", rows.schema) as stream:
        stream.write_table(rows)
    frame.to_json(folder / "t.jsonl", orient="records", lines=True)
    rows = pa.Table.from_pandas(frame[["a", "b"]])
    pa.parquet.write_table(rows, folder / "numbers.parquet")
    pa.feather.write_feather(rows, folder / "numbers.feather")
    frame[["a", "b"]].to_json(folder / "numbers.jsonl", orient="records", lines=True)
    frame[["a", "b"]].to_csv(folder / "numbers.csv.gz", index=False)
    frame.to_excel(folder / "t.xlsx", index=False)
    for packing in ("gz", "bz2", "xz", "zip"):
        frame.to_csv(folder / f"t.csv.{packing}", index=False)
    images = rng.integers(0, 255, (12, 5, 7)).astype(np.uint8)
    np.savez(folder / "plain.npz", X=images, y=np.arange(12))
    np.savez_compressed(folder / "packed.npz", X=images.astype(np.float32))
    header = bytes([0, 0, 8, 3]) + np.array(images.shape, ">u4").tobytes()
    (folder / "t-idx3-ubyte").write_bytes(header + images.tobytes())
    import zarr

    with zarr.storage.ZipStore(folder / "t.zarr.zip", mode="w") as store:
        zarr.create_array(store, data=images.astype(np.float32), chunks=(4, 5, 7))


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """A file with one to four changes; of a zip, half of them inside its members, packed anew with right checksums."""
    if content[:4] == b"PK\x03\x04" and rng.random() < 0.5:
        return _mutated_member(content, rng)
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        reach = len(changed) if rng.random() < 0.5 else min(_HEAD, len(changed))
        place = int(rng.integers(max(1, reach)))
        if rng.random() < 0.2:
            place = max(0, len(changed) - 1 - place)  # where formats keep their directories
        piece = int(rng.integers(1, _MOST))
        match int(rng.integers(7)):
            case 0:
                changed[place : place + 1] = bytes([int(rng.integers(256))])
            case 1:
                changed[place : place + 1] = bytes([int(rng.choice(_NUMBERS))])
            case 2:
                changed[place : place + 4] = rng.integers(0, 1 << 32, dtype=np.uint32).tobytes()
            case 3:
                del changed[place : place + piece]
            case 4:
                changed[place:place] = changed[place : place + piece]
            case 5:
                changed[place : place + 8] = b"\xff" * int(rng.integers(1, 9))
            case _:
                del changed[place + 1 :]
        if not changed:
            return b""
    return bytes(changed)


def _mutated_member(content: bytes, rng: np.random.Generator) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        chosen = int(rng.integers(len(old.namelist())))
        for number, name in enumerate(old.namelist()):
            inner = old.read(name)
            new.writestr(name, mutated(inner, rng) if number == chosen and inner else inner)
    return target.getvalue()


def _all(source: Any) -> Any:
    """Every sample, if there are not too many for the machine; a few at both ends else."""
    few = np.array([0, len(source) - 1])
    return source.take(few if source.uniform and source.nbytes > 1 << 26 else np.arange(min(len(source), 1000)))


READERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Any]]] = {  # which files it takes, and how
    "matrix": (lambda path: True, lambda path: _all(open_source(path))),
    "table": (is_table, lambda path: open_table(path, None)),
    "samples": (lambda path: path.suffix in READABLE, lambda path: list(open_sample(path).samples())),
    "ragged": (lambda path: path.suffix in READABLE, lambda path: _all(open_source([path], on_mixed_sizes="keep"))),
}
