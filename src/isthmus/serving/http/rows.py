"""Rows of requests: arrays (n, ...) or Arrow tables of n rows, put together and taken apart again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np


def kind_of(rows: Any) -> Hashable:
    """What rows must share to be computed together: dtype and shape of a row, or names and types of columns."""
    if isinstance(rows, np.ndarray):
        return rows.dtype.str, rows.shape[1:]
    return tuple(zip(rows.column_names, map(str, rows.schema.types), strict=True))


def joined(parts: Sequence[Any]) -> Any:
    """Rows of one kind, one after the other."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import pyarrow as pa

    return pa.concat_tables(parts)


def part_of(rows: Any, start: int, count: int) -> Any:
    """The rows from `start` on."""
    return rows[start : start + count] if isinstance(rows, np.ndarray) else rows.slice(start, count)


def size_of(rows: Any) -> int:
    """How many values there are, or cells."""
    return int(rows.size) if isinstance(rows, np.ndarray) else int(rows.num_rows * rows.num_columns)
