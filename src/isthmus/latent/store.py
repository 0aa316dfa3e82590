"""Codes on disk that can be searched by example: a table of LanceDB, in a folder `NAME.lance`.

Columns: sample (where it comes from), label where there are labels, vector (the code) and, for images, thumbnail (PNG).
The table's metadata name the model, so that codes of another one are not mixed up with its own.
"""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from isthmus.errors import IsthmusError, MissingExtraError, of_a_file
from isthmus.files import atomic_folder
from isthmus.remote.paths import as_path
from isthmus.words import count

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".lance"
_KEY = b"isthmus"  # of the metadata
_NAME = re.compile(r"[A-Za-z0-9_.\-]+")  # what LanceDB takes as the name of a table
_FLUSH_BYTES = 1 << 25  # of rows that are collected before they are written
_INDEXED = 20_000  # rows; fewer are searched as fast one by one
_PROBES = 20  # partitions of the index that a query looks into, of one for each 4,096 rows
_TRIES, _PAUSE = 20, 0.005  # of a reader that finds a store being replaced, and seconds between two of them
_THUMBNAIL = 64  # pixels along a side, at most


@dataclass(frozen=True)
class Origin:
    """What made the codes: name and digest of the model, and what integer labels mean."""

    model: str
    sha256: str
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Samples and their codes (n, size), labels (n,) and PNG thumbnails where there are any."""

    samples: Sequence[str]
    codes: np.ndarray
    labels: np.ndarray | None = None
    thumbnails: Sequence[bytes] | None = None

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class StoredSample:
    """A sample of a store, and the Euclidean distance of its code from that of the query."""

    sample: str
    label: str | None
    distance: float
    thumbnail: bytes | None = None


class Scaling(Protocol):
    """What thumbnails need to know about a model."""

    def scale(self, X: Any) -> np.ndarray:
        """Samples in scaled units, float32, (n, C, *spatial) or (n, features)."""


class Thumbnails:
    """Small pictures of the samples that a model takes, as PNG; the first samples decide what is black and white."""

    def __init__(self, model: Scaling) -> None:
        self._model = model
        self._limits: tuple[float, float] | None = None

    def __call__(self, samples: Any) -> list[bytes] | None:
        """One for each sample of a source or an array; None for tables and signals, which have none."""
        from isthmus.evaluation.pictures import as_pictures, shown_range
        from isthmus.evaluation.study import KINDS, network_layout

        scaled = network_layout(self._model.scale(samples), samples.shape[1:])
        kind = KINDS[scaled.ndim]
        if kind not in ("images", "volumes"):
            return None
        self._limits = self._limits or shown_range(scaled, kind)
        return [_png(picture) for picture in as_pictures(scaled, self._limits, _THUMBNAIL)]


def write_store(path: str | Path, blocks: Iterable[Rows], origin: Origin) -> int:
    """Write a store; returns how many samples it holds. It is there as a whole or not at all.

    An index is built where it pays. Raises IsthmusError where the name cannot be that of a store, MissingExtraError
    without LanceDB.
    """
    path = as_path(path)
    if path.suffix != SUFFIX or not _NAME.fullmatch(path.stem):
        raise IsthmusError(
            f"{path.name!r} cannot be the name of a store: letters, digits, - and _ before {SUFFIX} are needed"
        )
    if path.is_dir() and any(path.iterdir()) and not (path / "_versions").is_dir():
        raise IsthmusError(f"{path} is a folder with something else in it; name another place for the store")
    lancedb = _lancedb()
    with atomic_folder(path) as made:
        connection, table = lancedb.connect(made.parent), None
        for batch in _collected(_batches(blocks, origin)):
            if table is None:
                table = connection.create_table(path.stem, batch)
            else:
                table.add(batch)
        if table is None:
            raise IsthmusError(f"there is no sample to write into {path}")
        n = int(table.count_rows())
        if n >= _INDEXED:
            table.create_index("vector", config=lancedb.index.IvfFlat(distance_type="l2"))
        del table, connection
    return n


class Store:
    """A store that `write_store` or `isthmus embed` wrote.

    size : numbers of a code. origin : what made the codes.

    Raises IsthmusError where the folder is not such a store, MissingExtraError without LanceDB.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus import Store
    >>> from isthmus.latent.store import Origin, Rows, write_store
    >>> codes = np.eye(3, dtype=np.float32)
    >>> write_store("three.lance", [Rows(["a", "b", "c"], codes)], Origin("model", "0" * 64))
    3
    >>> [found.sample for found in Store("three.lance").nearest(codes[1:2], k=1)[0]]
    ['b']
    """

    def __init__(self, path: str | Path) -> None:
        self.path = as_path(path)
        if not self.path.is_dir():
            raise IsthmusError(f"there is no store {path}; `isthmus embed MODEL DATA -o {path}` writes one")
        self._open()

    def _open(self) -> None:
        """Open the table; again where it is replaced by another one meanwhile."""
        lancedb = _lancedb()
        for attempt in range(_TRIES):
            try:
                self._table = lancedb.connect(self.path.parent).open_table(self.path.stem)
                schema = self._table.schema
                self.size = int(schema.field("vector").type.list_size)
                origin = json.loads((schema.metadata or {})[_KEY])
                self.origin = Origin(**{**origin, "classes": tuple(origin["classes"])})
                break
            except (LookupError, ValueError, TypeError, AttributeError, OSError, RuntimeError) as error:
                if attempt == _TRIES - 1:
                    raise IsthmusError(
                        f"{self.path} is not a store that `isthmus embed` wrote, or it is damaged"
                    ) from error
                time.sleep(_PAUSE)
        self._columns = [name for name in schema.names if name != "vector"]

    def __repr__(self) -> str:
        codes, numbers = count(len(self), "code"), count(self.size, "number")
        return f"<Store {self.path}: {codes} of {numbers}, made by the model {self.origin.model!r}>"

    def __len__(self) -> int:
        return int(self._table.count_rows())

    def check_model(self, name: str, sha256: str) -> None:
        """Refuse a model that is not the one that made the codes."""
        if sha256 != self.origin.sha256:
            same = " of that name, trained anew or changed" if name == self.origin.model else ""
            raise IsthmusError(
                f"{self.path} holds codes of the model {self.origin.model!r} ({self.origin.sha256[:12]}), not of "
                f"{name!r} ({sha256[:12]}){same}: codes of two models have nothing to do with each other; embed again"
            )

    def nearest(self, codes: np.ndarray, k: int = 10) -> list[list[StoredSample]]:
        """The k samples with the nearest codes for each of `codes` (n, size), nearest first; fewer in a small store."""
        queries = np.asarray(codes, dtype=np.float32).reshape(len(codes), -1)
        if queries.shape[1] != self.size:
            raise IsthmusError(f"codes have {queries.shape[1]} numbers, and those in {self.path} have {self.size}")
        try:
            return [self._nearest(query, k) for query in queries]
        except (OSError, RuntimeError, ValueError) as error:  # its files are gone: it was replaced
            before = self.origin, self.size
            self._open()
            if (self.origin, self.size) != before:
                raise IsthmusError(
                    f"{self.path} was replaced by codes of another model while it was open; open it again"
                ) from error
            with of_a_file(f"{self.path} is damaged"):
                return [self._nearest(query, k) for query in queries]

    def _nearest(self, query: np.ndarray, k: int) -> list[StoredSample]:
        search = self._table.search(query).distance_type("l2").nprobes(_PROBES).limit(k)
        rows = search.select([*self._columns, "_distance"]).to_arrow().sort_by("_distance").to_pylist()
        return [
            StoredSample(
                row["sample"], self._label(row.get("label")), max(0.0, row["_distance"]) ** 0.5, row.get("thumbnail")
            )
            for row in rows
        ]

    def _label(self, label: Any) -> str | None:
        if label is None:
            return None
        known = isinstance(label, int) and 0 <= label < len(self.origin.classes)
        return self.origin.classes[label] if known else str(label)


def _lancedb() -> Any:
    os.environ.setdefault("LANCE_LOG", "error")  # it warns on standard error about what is no concern of a user
    try:
        import lancedb
        import lancedb.index
    except ImportError as error:
        raise MissingExtraError("a store of codes", "search") from error
    return lancedb


def _batches(blocks: Iterable[Rows], origin: Origin) -> Iterator[pa.Table]:
    import pyarrow as pa

    for rows in blocks:
        codes = np.ascontiguousarray(rows.codes, np.float32).reshape(len(rows.codes), -1)
        columns: dict[str, Any] = {"sample": pa.array(rows.samples, pa.string())}
        if rows.labels is not None:
            columns["label"] = pa.array(rows.labels)
        columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(codes.ravel()), codes.shape[1])
        if rows.thumbnails is not None:
            columns["thumbnail"] = pa.array(rows.thumbnails, pa.binary())
        yield pa.table(columns).replace_schema_metadata({_KEY: json.dumps(asdict(origin))})


def _collected(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Tables put together to larger ones: each write makes a file of its own."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(part.nbytes for part in waiting) >= _FLUSH_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(buffer, "PNG")
    return buffer.getvalue()
