"""What an archive holds, read without its model: neither torch nor scikit-learn is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
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


@dataclass(frozen=True)
class ArchiveFacts:
    """What an archive holds.

    samples, chunks, bytes : how many. plain_bytes : of the values before they were coded. shapes : how many samples of
    each shape and dtype, as "28 × 28 uint8". coded_by : how many samples by each method. model, model_id : what decodes
    them. model_bytes : of the model inside; None where it is elsewhere. damaged : what cannot be read, in words.
    """

    samples: int
    chunks: int
    bytes: int
    plain_bytes: int
    shapes: dict[str, int]
    coded_by: dict[str, int]
    model: str
    model_id: str
    model_bytes: int | None
    damaged: list[str]

    def rows(self) -> dict[str, str]:
        """Rows of a table for people."""
        inside = "" if self.model_bytes is None else f", inside ({self.model_bytes:,} bytes)"
        rows = {
            "samples": f"{self.samples:,} in {self.chunks:,} chunks",
            "kinds": ", ".join(f"{count:,} of {shape}" for shape, count in list(self.shapes.items())[:5]),
            "coded by": ", ".join(f"{method} {count:,}" for method, count in self.coded_by.items()),
            "bytes": f"{self.bytes:,} ({self.bytes / max(1, self.plain_bytes):.1%} of the plain values)",
            "model": f"{self.model} {self.model_id}".strip() + inside,
        }
        return rows | ({"damaged": "; ".join(self.damaged)} if self.damaged else {})


def archive_facts(archive: Path) -> ArchiveFacts:
    """What an archive holds. Raises IsthmusError where it is none."""
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
        return ArchiveFacts(
            samples=reader.count,
            chunks=len(reader.chunks),
            bytes=reader.size,
            plain_bytes=plain,
            shapes=shapes,
            coded_by=counts,
            model=str(reader.description.get("model", "")),
            model_id=reader.model_id.hex(),
            model_bytes=len(reader.model) if reader.model else None,
            damaged=damaged,
        )
