"""Which cells of a row make it strange: one rule for lists, pages, files and streams."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.anomalies.findings import Detector
from isthmus.data.table_source import TableSource

MOST_GUILTY = 3  # cells of a row that are named
_AS_GUILTY = 0.5  # of the share of a row's guiltiest cell: from there on a cell counts as guilty, too


@dataclass(frozen=True)
class Guilt:
    """A cell of a strange row. share : of the row's strangeness. value, expected : as in the table."""

    column: str
    share: float
    value: Any
    expected: Any


def explained(detector: Detector, rows: TableSource) -> tuple[np.ndarray, Any]:
    """The share of each column in the strangeness of rows, (n, columns), and the expected rows, an Arrow table."""
    rows = copy.copy(rows)
    rows.frame = "arrow"
    parts = detector.scorer_.parts(rows)
    names = [column.name for column in rows.schema.used]
    return shares(np.stack([column.to_numpy() for column in parts.scores.columns], 1)), parts.expected.select(names)


def shares(scores: np.ndarray) -> np.ndarray:
    """Scores of columns (n, columns) as shares of their row; what speaks for a row's being normal has none."""
    above = np.clip(np.nan_to_num(np.asarray(scores, np.float64)), 0, None)
    found: np.ndarray = above / np.maximum(above.sum(1, keepdims=True), 1e-30)
    return found


def guiltiest(share: np.ndarray) -> list[list[int]]:
    """The columns that make each row strange, the guiltiest first, at most three.

    share : (n, columns). Such are those that carry at least half as much of the strangeness as the guiltiest one.

    >>> guiltiest(np.array([[0.1, 0.6, 0.3], [0.0, 0.9, 0.1], [0.0, 0.0, 0.0]]))
    [[1, 2], [1], []]
    """
    order = np.argsort(-share, axis=1, kind="stable")[:, :MOST_GUILTY]
    return [
        [j for j in columns.tolist() if row[j] > 0 and row[j] >= _AS_GUILTY * row[columns[0]]]
        for row, columns in zip(share, order, strict=True)
    ]


def guilty_cells(share: np.ndarray, expected: Any, table: Any) -> list[list[Guilt]]:
    """The three cells of each row that make it strangest, the guiltiest first.

    share : (n, columns) of those of `expected`, an Arrow table. table : the rows as they are.
    """
    names = expected.column_names
    order = np.argsort(-share, axis=1, kind="stable")[:, :MOST_GUILTY]
    given = {name: table.column(name) for name in {names[j] for j in order.ravel()} & {*table.column_names}}
    return [
        [
            Guilt(
                names[j],
                float(share[i, j]),
                given[names[j]][i].as_py() if names[j] in given else None,
                expected.column(names[j])[i].as_py(),
            )
            for j in columns
            if share[i, j] > 0
        ]
        for i, columns in enumerate(order)
    ]


def main_cells(cells: Sequence[Guilt]) -> list[Guilt]:
    """Of the cells that `guilty_cells` found in a row, those that `guiltiest` would name."""
    return [cells[j] for j in guiltiest(np.array([[cell.share for cell in cells]]))[0]] if cells else []
