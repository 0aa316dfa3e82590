"""What an archive holds, told without its model: neither torch nor scikit-learn is needed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from isthmus.compression.coding.archive import Reader
from isthmus.errors import IsthmusError


def open_archive(file: BinaryIO, archive: Path) -> Reader:
    """A reader of an open file; an error that names the archive where it is none."""
    try:
        return Reader(file)
    except IsthmusError as error:
        raise IsthmusError(f"{archive}: {error}") from error


def describe(archive: Path) -> dict[str, str]:
    """Rows of a table: what an archive holds."""
    with archive.open("rb") as file:
        reader = open_archive(file, archive)
        counts: dict[str, int] = {}
        shapes: dict[str, int] = {}
        plain, damaged = 0, list(reader.damaged)
        for number in range(len(reader.chunks)):
            try:
                chunk = reader.chunk(number)
            except IsthmusError as error:
                damaged.append(str(error))
                continue
            counts[chunk.method] = counts.get(chunk.method, 0) + chunk.count
            shape = "file" if chunk.method == "file" else f"{' × '.join(map(str, chunk.shape[1:]))} {chunk.dtype}"
            shapes[shape] = shapes.get(shape, 0) + chunk.count
            plain += math.prod(chunk.shape) * np.dtype(chunk.dtype).itemsize
        inside = reader.model
        rows = {
            "samples": f"{reader.count:,} in {len(reader.chunks):,} chunks",
            "kinds": ", ".join(f"{count:,} of {shape}" for shape, count in list(shapes.items())[:5]),
            "coded by": ", ".join(f"{method} {count:,}" for method, count in counts.items()),
            "bytes": f"{reader.size:,} ({reader.size / max(1, plain):.1%} of the plain values)",
            "model": f"{reader.description.get('model', '')} {reader.model_id.hex()}".strip()
            + (f", inside ({len(inside):,} bytes)" if inside else ""),
        }
    if damaged:
        rows["damaged"] = "; ".join(damaged)
    return rows
