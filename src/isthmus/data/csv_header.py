"""Whether the first row of a text table holds the names of its columns, by evidence.

Names that are numbers (years, wavelengths, 0, 1, 2, ...) look like a sample, and a sample may look like them; a wrong
guess drops a sample or adds one. So each rule below asks for evidence that a row of values would hardly show. Where
evidence points both ways, the answer is that nobody can know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from isthmus.data.number_texts import MISSING, is_number

_ENOUGH_CELLS = 20  # of one form, so that another form in the first row is no accident
_LEAST_BELOW = 5  # rows of numbers below a second line of names, so that it is no row with odd cells
_LONG = 8  # numbers that rise by chance once in 40,000 rows


@dataclass(frozen=True)
class Verdict:
    """header : whether the row holds names; None if open. assumed : what was taken without a proof, in words."""

    header: bool | None
    assumed: str = ""


def names_or_row(first: Sequence[str], body: Sequence[Sequence[str]]) -> Verdict:
    """What the first row of a table is, by the rows below it; cells have no spaces around."""
    columns = [[row[j] for row in body if row[j] not in MISSING] for j in range(len(first))]
    numeric = [sum(map(is_number, column)) * 2 > len(column) for column in columns]
    words = [j for j, cell in enumerate(first) if cell not in MISSING and not is_number(cell)]
    numbers = [j for j, cell in enumerate(first) if is_number(cell) and (numeric[j] or not columns[j])]
    if not body:
        return Verdict(bool(words))
    above = [j for j in words if numeric[j]]
    if above:
        told = 0 in words or len(above) >= len(numbers) or _is_progression([first[j] for j in numbers])
        return Verdict(True if told else None)
    if any(first[j] in columns[j] for j in words):
        return Verdict(False)  # a name is not one of its own column's values
    if not numbers:
        return Verdict(bool(words), "the first row taken for names" if words else "")
    if any(cell in MISSING for cell in first[1:]):
        return Verdict(False)  # a row with a gap
    indexed = first[0] == "" and all(row[0] not in MISSING for row in body)
    return _numbers_as_names([first[j] for j in numbers], [columns[j] for j in numbers], body, numbers, indexed)


def second_line(found: Sequence[Sequence[str]]) -> str:
    """What the row below the names is, as `Dialect.second` has it, where it holds words above numbers.

    found : the first rows, with the names; cells have no spaces around.
    """
    if len(found) < 2 + _LEAST_BELOW or len(found[0]) != len(found[1]):
        return ""
    names, second = found[:2]
    body = [row for row in found[2:] if len(row) == len(names)]
    columns = [[row[j] for row in body if row[j] not in MISSING] for j in range(len(names))]
    numeric = [j for j, column in enumerate(columns) if column and all(map(is_number, column))]
    words = [j for j in numeric if second[j] not in MISSING]
    if any(is_number(second[j]) for j in words) or 2 * len(words) < len(numeric):
        return ""
    alone = len(words) == 1 and not any(cell for j, cell in enumerate(second) if j != words[0])
    if len(words) < 2 and not alone:
        return ""
    return "units" if len(set(names)) == len(names) and "" not in names[1:] else "names"


def _numbers_as_names(
    first: list[str], columns: list[list[str]], body: Sequence[Sequence[str]], places: list[int], indexed: bool
) -> Verdict:
    """`names_or_row` where the row's cells are numbers above numbers. indexed : its first cell alone is empty."""
    rows = [[row[j] for j in places] for row in body]
    listed = ", ".join(first[:3]) + (", ..." if len(first) > 3 else "")
    names, row = Verdict(True, f"{listed} taken for names"), Verdict(False, f"{listed} taken for a row")
    if indexed and counts_up([r[0] for r in body]):
        return names
    if first in rows:
        return row
    far = _share_far_outside(first, columns)
    if len(set(first)) < len(first):
        return Verdict(None if far == 1 else False)
    default = first == [str(i) for i in range(len(first))]  # pandas' names of columns that have none
    if default and (len(first) > 2 or indexed):
        return names
    form = _other_form(first, columns)
    if form == "proof":
        return names
    if default or _is_progression(first):
        if far >= 0.5 or (len(first) >= _LONG and _share(rows, _is_monotone) <= 0.1):
            return names
        alike = len(first) > 2 and not indexed and _share(rows, _is_spaced) >= 0.5  # its rows rise evenly, too
        return row if alike else Verdict(None)
    return Verdict(None) if form or indexed or far == 1 else row


def _other_form(first: Sequence[str], columns: Sequence[Sequence[str]]) -> str:
    """Whether the row is whole numbers above fractions, or the reverse: "proof", "hint" or ""."""
    below = [cell for column in columns for cell in column]
    if all(map(_is_whole, first)) and below and not any(map(_is_whole, below)):
        return "proof" if len(below) >= _ENOUGH_CELLS else "hint"
    if not any(map(_is_whole, first)) and len(below) >= _ENOUGH_CELLS and all(map(_is_whole, below)):
        values = _values([first])
        return "proof" if values is not None and values.min() >= 0 and _is_monotone(first) else ""
    return ""


def _share_far_outside(first: Sequence[str], columns: Sequence[Sequence[str]]) -> float:
    """The share of the numbers that lie further from those below them than these span, or have none below them."""
    far = []
    for cell, column in zip(first, columns, strict=True):
        top, below = _values([[cell]]), _values([[value] for value in column]) if len(column) > 2 else None
        if top is None or below is None:
            far.append(not column)
            continue
        low, high = below.min() / 2, below.max() / 2  # halves have no overflow
        far.append(max(low - top[0, 0] / 2, top[0, 0] / 2 - high) > high - low)
    return sum(far) / len(far)


def _is_progression(cells: Sequence[str]) -> bool:
    """Whether these are numbers as columns are named: evenly spaced, years, or many that rise or fall."""
    if _is_spaced(cells) or (len(cells) >= _LONG and _is_monotone(cells)):
        return True
    years = len(cells) > 1 and all(map(_is_whole, cells)) and all(1900 <= int(cell) <= 2100 for cell in cells)
    return years and _is_monotone(cells)


def _is_spaced(cells: Sequence[str]) -> bool:
    values = _values([cells])
    if values is None or values.shape[1] < 3:
        return False
    steps = np.diff(values[0])
    size = max(abs(values).max(), 1e-300)
    return bool(steps[0] != 0 and np.ptp(steps) <= 1e-6 * abs(steps[0]) + 1e-12 * size)


def _is_monotone(cells: Sequence[str]) -> bool:
    values = _values([cells])
    if values is None:
        return False
    steps = np.diff(values[0])
    return bool(np.all(steps > 0) or np.all(steps < 0))


def _share(rows: Sequence[Sequence[str]], what: Callable[[Sequence[str]], bool]) -> float:
    return sum(map(what, rows)) / len(rows)


def _is_whole(cell: str) -> bool:
    return cell.lstrip("+-").isdecimal()


def counts_up(cells: Sequence[str]) -> bool:
    """Whether these are whole numbers, each one more than the one before; a single one must be 0."""
    if not cells or not all(map(_is_whole, cells)) or (len(cells) == 1 and cells[0] != "0"):
        return False
    return all(int(after) - int(before) == 1 for before, after in pairwise(cells))


def _values(rows: Sequence[Sequence[str]]) -> np.ndarray | None:
    """Cells as numbers, with decimal points or commas; None where there are other ones."""
    try:
        return np.array([[float(cell) for cell in row] for row in rows])
    except ValueError:
        pass
    try:
        return np.array([[float(cell.replace(",", ".")) for cell in row] for row in rows])
    except ValueError:
        return None
