"""The cells of a table as slot numbers; each column has a few slots, from which rows are drawn cell by cell.

value ──▶ slot: a category, a single value that is frequent, an interval of numbers, or "missing" ──▶ value
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from isthmus.data.columns import Column

_LEAST_INTERVALS, _MOST_INTERVALS = 8, 64  # of a column's numbers, beside frequent values: the root of the rows
_INSIDE = 9  # quantiles of the numbers in an interval, between which new ones are drawn


class RowSlots:
    """Values (n, columns), NaN where missing, as slots (n, columns) and back.

    edges, inside : of each column of numbers or dates, by its place: the lower ends of its intervals, (slots,), and
    quantiles of the training values in each, (slots, quantiles).
    holes : whether each column has missing cells, for which its last slot stands.
    known, sizes : slots of each column without that one, and with it.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        holes: Sequence[bool],
        edges: Mapping[int, np.ndarray],
        inside: Mapping[int, np.ndarray],
    ) -> None:
        self.columns, self.holes, self.edges, self.inside = columns, list(holes), dict(edges), dict(inside)
        self.known = [len(edges[j]) if j in edges else len(c.settings["counts"]) for j, c in enumerate(columns)]
        self.sizes = [size + hole for size, hole in zip(self.known, self.holes, strict=True)]

    @classmethod
    def of(cls, columns: Sequence[Column], values: np.ndarray) -> RowSlots:
        """Slots for training data."""
        edges, inside = {}, {}
        for j, column in enumerate(columns):
            if not column.is_category:
                known = np.sort(values[~np.isnan(values[:, j]), j])
                edges[j] = _edges(known)
                bounds = [*np.searchsorted(known, edges[j]), len(known)]
                levels = np.linspace(0, 1, _INSIDE)
                inside[j] = np.stack([np.quantile(known[a:b], levels) for a, b in pairwise(bounds)])
        return cls(columns, [column.missing > 0 for column in columns], edges, inside)

    @property
    def ordered(self) -> list[int]:
        """How many of the first slots of each column are intervals, in their order."""
        return [known if j in self.edges else 0 for j, known in enumerate(self.known)]

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What `restored` needs beside the columns."""
        return {f"edges.{j}": edges for j, edges in self.edges.items()} | {
            f"inside.{j}": inside for j, inside in self.inside.items()
        }

    @classmethod
    def restored(cls, columns: Sequence[Column], arrays: Mapping[str, np.ndarray]) -> RowSlots:
        """The inverse of `arrays`."""
        parts: dict[str, dict[int, np.ndarray]] = {"edges": {}, "inside": {}}
        for name, array in arrays.items():
            part, _, place = name.partition(".")
            parts[part][int(place)] = array
        return cls(columns, [column.missing > 0 for column in columns], parts["edges"], parts["inside"])

    def slots(self, values: np.ndarray) -> np.ndarray:
        """Values as slots, int64 (n, columns); a missing cell where training data have none counts as their first."""
        return np.stack([self.of_column(j, column) for j, column in enumerate(values.T)], 1)

    def of_column(self, place: int, column: np.ndarray) -> np.ndarray:
        """The values of one column as slots, int64 (n,)."""
        gone = np.isnan(column)
        if place in self.edges:
            found = np.searchsorted(self.edges[place], column, side="right") - 1
        else:
            found = np.where(gone, 0, column).astype(np.int64)
        slots: np.ndarray = np.clip(found, 0, self.known[place] - 1)
        slots[gone] = self.known[place] if self.holes[place] else 0
        return slots

    def reaches(self, place: int, slot: int, value: float) -> bool:
        """Whether a column's slot can give a value: one that the column could be written with, in its decimals."""
        if place not in self.edges:
            return True
        inside, settings = self.inside[place][slot], self.columns[place].settings
        decimals, step = settings.get("decimals"), settings.get("step")
        settled = round(value, decimals) if decimals is not None else round(value / step) * step if step else value
        return bool(inside[0] <= value <= inside[-1] and abs(settled - value) <= 1e-9 * max(1.0, abs(value)))

    def drawable(self, place: int) -> np.ndarray:
        """Which slots of a column stand for something that can be given back, bool (slots,): not "another value"."""
        allowed = np.ones(self.sizes[place], bool)
        if place not in self.edges:
            allowed[self.known[place] - 1] = False
        return allowed

    def values(self, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A value drawn from each slot, float64 (n, columns)."""
        values = slots.astype(np.float64)
        for j, hole in enumerate(self.holes):
            chosen = np.minimum(slots[:, j], self.known[j] - 1)
            if j in self.edges:
                place = rng.random(len(slots)) * (_INSIDE - 1)
                low = place.astype(np.int64)
                quantiles = self.inside[j][chosen]
                rows = np.arange(len(slots))
                below, above = quantiles[rows, low], quantiles[rows, low + 1]
                values[:, j] = below + (place - low) * (above - below)
            if hole:
                values[slots[:, j] == self.known[j], j] = np.nan
        return values


def _edges(known: np.ndarray) -> np.ndarray:
    """Lower ends of intervals: each frequent value has one of its own, the others lie in some of equal counts."""
    intervals = int(np.clip(len(known) ** 0.5, _LEAST_INTERVALS, _MOST_INTERVALS))
    different, counts = np.unique(known, return_counts=True)
    if len(different) <= 2 * intervals:
        return different
    frequent = different[counts * intervals >= len(known)]
    rest = known[~np.isin(known, frequent)]
    ends = np.quantile(rest, np.arange(intervals) / intervals, method="lower")
    following = np.searchsorted(different, frequent, side="right")
    after = different[following[following < len(different)]]
    edges: np.ndarray = np.unique(np.concatenate([different[:1], ends, frequent, after]))
    return edges
