"""Cells of tables as people read them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np

from isthmus.data.columns import Column
from isthmus.evaluation.theme import clipped

GONE = "–"  # of a cell that is missing
_WIDEST = 18  # characters of a cell


def shown(value: Any) -> str:
    """A value of an Arrow table in at most 18 characters."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return GONE
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    if isinstance(value, datetime.datetime):
        midnight = (value.hour, value.minute, value.second) == (0, 0, 0)
        return value.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M")
    return clipped(str(value), _WIDEST)


def shown_value(column: Column, value: float) -> str:
    """One of the numbers that stand for a column's cells, as of `TableSchema.encode`."""
    return shown(column.handler.decode(np.array([value]), column.settings)[0].as_py())


def column_rows(columns: Sequence[Column]) -> list[tuple[str, Sequence[str]]]:
    """The name of each column, and its kind, missing and distinct cells, an example, and what is done with it."""
    rows: list[tuple[str, Sequence[str]]] = []
    for column in columns:
        missing = "0" if not column.missing else f"{column.missing:,} ({column.missing / max(column.rows, 1):.0%})"
        example = clipped(column.example, 24) if column.example else ""
        kind = column.kind if column.is_used else "left out"
        treatment = column.treatment if column.is_used else column.note or "as told"
        rows.append((column.name, (kind, missing, f"{column.distinct:,}", example, treatment)))
    return rows


HEADINGS = ("kind", "missing", "distinct", "example", "what is done with it")
