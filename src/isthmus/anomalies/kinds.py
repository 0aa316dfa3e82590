"""What the user's data are to a detector: a table, images, signals or series."""

from __future__ import annotations

import os
from typing import Any

from isthmus.anomalies.scorer import KINDS
from isthmus.data.base import Source
from isthmus.data.frames import is_frame
from isthmus.data.one_shape import in_one_shape
from isthmus.data.parquet_samples import sample_column
from isthmus.data.sample_kinds import CHANNELS, kind_of
from isthmus.data.sources import open_source
from isthmus.data.table_files import is_table
from isthmus.data.table_source import TableSource
from isthmus.errors import unknown_name
from isthmus.estimators.network_estimator import is_array_like
from isthmus.remote.paths import as_path


def kind_of_data(X: Any, kind: str) -> str:
    """One of "table", "images", "signals", "series"; what the user says comes first.

    Frames, files of tables and rows of numbers are tables. A series looks like a table, and must be said to be one.
    """
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    if kind != "auto":
        return kind
    if isinstance(X, TableSource) or is_frame(X) or is_array_like(X):
        return "table"
    if isinstance(X, str | os.PathLike) and is_table(as_path(X)) and sample_column(as_path(X)) is None:
        return "table"
    return kind_of_samples(in_one_shape(open_source(X, on_mixed_sizes="keep")), "auto")


def kind_of_samples(samples: Source, kind: str) -> str:
    """The same of opened samples that are no frame; of those that differ in shape the first one tells."""
    if samples.uniform:
        return kind_of(samples, kind, "auto").name
    if kind != "auto":
        return kind
    shape = samples[0].shape
    long, thin = max(shape), min(shape)
    return "signals" if len(shape) == 1 or (len(shape) == 2 and thin <= CHANNELS < long) else "images"
