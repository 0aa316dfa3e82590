"""Rows of tables with columns of any kind on a page: as text beside what is decoded, and as colours of the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from isthmus.data.columns import Column
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource
from isthmus.evaluation.table_text import GONE, shown_value
from isthmus.evaluation.theme import Theme, clipped
from isthmus.serving.explorer.views import Viewer

_COLORED = 10  # categories with a colour of their own
_OTHERS, _LOW, _MIDDLE, _HIGH, _MISSING = range(_COLORED, _COLORED + 5)  # places in the palette
_WRONG = 0.5  # standard deviations from which on a number is marked
_DEVIATIONS = 3.0  # at the ends of a bar


@dataclass(frozen=True)
class TableViewer(Viewer):
    """Rows (columns,) of numbers that stand for cells, as `TableSchema.encode` gives them."""

    scaler: TableScaler | None = None

    @classmethod
    def of_table(cls, scaler: TableScaler) -> TableViewer:
        """For the rows of a model's tables."""
        used = scaler.schema.used
        zeros, ones = np.zeros(len(used)), np.ones(len(used))
        names = tuple(column.name for column in used)
        return cls("table", None, 0.0, 1.0, zeros, ones, names, scaler=scaler)

    @property
    def columns(self) -> Sequence[Column]:
        """The columns of a row."""
        assert self.scaler is not None
        return self.scaler.schema.used

    def pair(self, sample: np.ndarray | None, rebuilt: np.ndarray, width: int) -> Markup:
        """A row beside what is decoded, column by column; cells that differ are marked."""
        guesses = self._texts(rebuilt)
        originals = [""] * len(guesses) if sample is None else self._texts(sample)
        wrong = np.zeros(len(guesses), bool) if sample is None else self._differ(sample, rebuilt)
        row = Markup('<tr><th title="{}">{}</th><td>{}</td><td{}>{}</td></tr>')
        mark = Markup(' class="wrong"')
        lines = (
            row.format(name, clipped(name, 24), before, mark if differs and before != after else "", after)
            for name, before, after, differs in zip(self.names, originals, guesses, wrong.tolist(), strict=True)
        )
        head = Markup("<tr><th></th><td>original</td><td>decoded</td></tr>")
        table = Markup('<div class="row pair" style="width:{}px"><table>{}{}</table></div>')
        return table.format(width, head, Markup("").join(lines))

    def _texts(self, sample: np.ndarray) -> list[str]:
        pairs = zip(self.columns, np.asarray(sample, float).tolist(), strict=True)
        return [GONE if np.isnan(value) else shown_value(column, value) for column, value in pairs]

    def _differ(self, sample: np.ndarray, rebuilt: np.ndarray) -> np.ndarray:
        right, guess = self._comparable(sample), self._comparable(rebuilt)
        category = np.array([column.is_category for column in self.columns])
        with np.errstate(invalid="ignore"):
            differ: np.ndarray = np.where(category, right != guess, np.abs(right - guess) > _WRONG) & ~np.isnan(right)
        return differ

    def _comparable(self, sample: np.ndarray) -> np.ndarray:
        assert self.scaler is not None
        comparable: np.ndarray = self.scaler.comparable(np.asarray(sample, float)[None])[0]
        return comparable

    def _levels(self, sample: np.ndarray) -> list[float]:
        """Numbers by their deviations, categories by their rank: the commonest at the bottom."""
        levels = self._comparable(sample) / _DEVIATIONS
        for j, column in enumerate(self.columns):
            if column.is_category:
                levels[j] = 2 * levels[j] * _DEVIATIONS / max(len(column.settings["values"]) - 1, 1) - 1
        bounded: list[float] = np.clip(np.nan_to_num(levels), -1, 1).tolist()
        return bounded


@dataclass(frozen=True)
class Coloring:
    """Colours of a map. slots : of each row in the palette, (n,). names : what the slots in use mean."""

    slots: np.ndarray
    names: dict[int, str]

    @classmethod
    def of_column(cls, column: Column, values: np.ndarray) -> Coloring:
        """By a column: its commonest categories, or the thirds of its numbers."""
        missing = np.isnan(values)
        if column.is_category:
            texts = [clipped(str(value), 18) for value in column.settings["values"]]
            slots = np.minimum(np.where(missing, 0, values), _OTHERS).astype(int)
            names = dict(enumerate(texts[:_COLORED]))
        else:
            low, high = np.nanquantile(values, (1 / 3, 2 / 3), method="nearest") if not missing.all() else (0.0, 0.0)
            slots = np.where(values > high, _HIGH, np.where(values < low, _LOW, _MIDDLE))
            ends = shown_value(column, float(low)), shown_value(column, float(high))
            names = {_LOW: f"below {ends[0]}", _MIDDLE: f"{ends[0]} to {ends[1]}", _HIGH: f"above {ends[1]}"}
        return cls._of(np.where(missing, _MISSING, slots), names)

    @classmethod
    def of_classes(cls, classes: np.ndarray, names: Sequence[str]) -> Coloring:
        """By labels."""
        return cls._of(np.minimum(classes, _OTHERS), {i: clipped(name, 18) for i, name in enumerate(names[:_COLORED])})

    @classmethod
    def _of(cls, slots: np.ndarray, names: dict[int, str]) -> Coloring:
        used = set(np.unique(slots).tolist())
        all_names = names | {_OTHERS: "others", _MISSING: "missing"}
        return cls(slots, {slot: name for slot, name in sorted(all_names.items()) if slot in used})


def table_of_rows(scaler: TableScaler, values: np.ndarray) -> TableSource:
    """Rows (n, columns) of numbers that stand for cells, as a table again."""
    return TableSource(scaler.schema.decode(values), scaler.schema)


def palette(theme: Theme) -> list[str]:
    """The colour of each slot."""
    return [*theme.classes[:_COLORED], theme.muted, theme.cool, theme.muted, theme.warm, theme.faint]
