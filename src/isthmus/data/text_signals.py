"""Text tables of measurements: the cells of signals are replaced, all other text stays byte for byte."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from isthmus.data.sample_file import Clean, SampleFile, collected
from isthmus.data.signal_columns import why_no_signal
from isthmus.errors import IsthmusError

_CELL = re.compile(r"""(?P<before>[\s"']*)(?P<inside>.*?)(?P<after>[\s"']*)""", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,](?P<decimals>\d*))?|[.,](?P<only>\d+))(?P<exponent>e[+-]?\d+)?", re.IGNORECASE)
_MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", "inf", "-inf", "+inf"}
_MARKS = {b"\xef\xbb\xbf": "latin-1", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_DIGITS = 9  # significant ones: more than networks compute
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:[.,]\d{3})")
_UNCLEAR = "numbers that can be read in two ways"
_TOLD = 8  # names of columns in a note


class TextSignals(SampleFile):
    """A table whose columns are signals of one time: one sample (rows, signal columns), float64.

    Columns of dates, words and labels, and those that only rise or fall, are left alone.
    """

    signal = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        content = path.read_bytes()
        self._mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
        # Numbers and what stands between cells are ASCII: latin-1 gives every other byte back as it was.
        self._codec = _MARKS.get(self._mark, "latin-1")
        self._text = _RawTable(content[len(self._mark) :].decode(self._codec))
        reasons = {}
        self._columns: list[_Column] = []
        found = {name: _Column.of(self._text.cells, cells) for name, cells in self._text.columns()}
        commas = any(isinstance(column, _Column) and column.mark == "," for column in found.values())
        for name, column in found.items():
            if isinstance(column, _Column) and commas and column.mark == "." and column.grouped:
                column = _UNCLEAR
            reason = column if isinstance(column, str) else why_no_signal(column.values[~np.isnan(column.values)])
            if isinstance(column, _Column) and reason is None:
                self._columns.append(column)
            else:
                reasons[_plain(name, self._codec)] = reason
        listed = ", ".join(f"{name} ({why})" for name, why in list(reasons.items())[:_TOLD])
        listed += f" and {len(reasons) - _TOLD} more" if len(reasons) > _TOLD else ""
        if not self._columns:
            raise IsthmusError(f"{path} holds no column that is a signal: {listed or 'it is empty'}")
        if reasons:
            self.note(f"columns left alone: {listed}")
        if self._text.odd:
            self.note(f"{self._text.odd} lines of other lengths left alone")

    def check_target(self, target: Path) -> None:
        if target.suffix.lower() not in (".csv", ".tsv", ".txt"):
            raise IsthmusError(f"{target} must end in .csv, .tsv or .txt: the format that is written")

    def samples(self) -> Iterator[np.ndarray]:
        return iter(collected(self._cleaned))

    def rewrite(self, target: Path, clean: Clean) -> None:
        cells = list(self._text.cells)
        for column, values in zip(self._columns, self._cleaned(clean).T, strict=True):
            for cell, old, new in zip(column.cells, column.values.tolist(), values.tolist(), strict=True):
                if old == old:  # a gap stays
                    cells[cell] = column.written(cells[cell], old, new)
        target.write_bytes(self._mark + self._text.joined(cells).encode(self._codec))

    def layout(self, parts: Iterator[np.ndarray]) -> np.ndarray:
        return next(parts)

    def _cleaned(self, clean: Clean) -> np.ndarray:
        values = np.stack([column.values for column in self._columns], 1)
        return self._without_nan(values, clean, channels=True)


@dataclass(frozen=True)
class _Column:
    """Numbers of a column. cells : where they stand. values : (rows,), NaN where there is none.

    decimals : behind the decimal mark. exponent : "e" or "E" where most are written so, else "". grouped : whether the
    mark may set thousands apart: all that have it have three digits behind it.
    """

    cells: Sequence[int]
    values: np.ndarray
    decimals: int
    exponent: str
    mark: str
    grouped: bool

    @classmethod
    def of(cls, texts: Sequence[str], cells: Sequence[int]) -> _Column | str:
        """A column of numbers and gaps, or what it holds instead, in a word."""
        values, forms, exponents = np.full(len(cells), np.nan), Counter[int](), Counter[str]()
        insides = [texts[cell].strip(" \t\"'") for cell in cells]
        mark = "," if any("," in inside for inside in insides) else "."
        for row, inside in enumerate(insides):
            if inside.lower() in _MISSING:
                continue
            number = _NUMBER.fullmatch(inside)
            if number is None:
                return "words"
            if mark == "," and "." in inside:
                return _UNCLEAR
            values[row] = float(inside.replace(",", "."))
            forms[len(number["decimals"] or number["only"] or "")] += 1
            exponents[(number["exponent"] or "")[:1]] += 1
        if not forms:
            return "empty"
        marked = [inside for inside in insides if mark in inside]
        grouped = bool(marked) and all(map(_GROUPED.fullmatch, marked))
        if grouped and mark == ",":
            return _UNCLEAR
        exponent = exponents.most_common(1)[0][0]
        whole = 0 if exponent else len(str(int(np.nanmax(np.abs(values)))))
        decimals = min(max(forms), max(0, _DIGITS - max(1, whole)))
        return cls(cells, values, decimals, exponent, mark, grouped)

    def written(self, text: str, old: float, new: float) -> str:
        """A cell with another number in the column's form; the same text where the number is the same in that form."""
        before, after = self._form(old), self._form(new)
        if before == after:
            return text
        cell = _CELL.fullmatch(text)
        assert cell is not None
        return f"{cell['before']}{after}{cell['after']}"

    def _form(self, value: float) -> str:
        text = f"{value:.{self.decimals}{self.exponent or 'f'}}"
        text = text.removeprefix("-") if not text.strip("-0.") else text
        return text.replace(".", self.mark)


class _RawTable:
    """A text as cells and what stands between them. odd : lines that have another number of cells than most."""

    def __init__(self, text: str) -> None:
        self.cells: list[str] = []
        self._between: list[str] = []
        delimiter = _delimiter(text)
        d = re.escape(delimiter)
        pattern = re.compile(rf'("(?:[^"]|"")*"[^{d}\r\n]*|[^{d}\r\n]*)({d}|\r\n|\r|\n|\Z)')
        starts, end = [0], 0
        while end < len(text):
            match = pattern.match(text, end)
            assert match is not None
            self.cells.append(match[1])
            self._between.append(match[2])
            end = match.end()
            if match[2] != delimiter:
                starts.append(len(self.cells))
        self._rows = [range(a, b) for a, b in pairwise(starts) if "".join(self.cells[a:b]).strip()]
        widths = Counter(map(len, self._rows))
        self._width = widths.most_common(1)[0][0] if widths else 0
        fitting = [row for row in self._rows if len(row) == self._width and not self.cells[row[0]].startswith("#")]
        self.odd = len(self._rows) - len(fitting)
        named = bool(fitting) and _are_names([self.cells[cell].strip(" \t\"'") for cell in fitting[0]])
        self._names = [self.cells[cell].strip(" \t\"'") for cell in fitting[0]] if named else []
        self._body = fitting[named:]

    def columns(self) -> Iterator[tuple[str, list[int]]]:
        """The name of each column and where its cells are."""
        for j in range(self._width):
            name = (self._names[j] if self._names else "") or f"column {j + 1}"
            yield name, [row[j] for row in self._body]

    def joined(self, cells: Sequence[str]) -> str:
        """The text with other cells."""
        return "".join(part for pair in zip(cells, self._between, strict=True) for part in pair)


def _are_names(cells: Sequence[str]) -> bool:
    """Whether the first row holds names: not all cells are numbers, or they are 0, 1, 2, ... (pandas writes these)."""
    counted = len(cells) > 2 and [cell for cell in cells if cell] == [str(i) for i in range(sum(map(bool, cells)))]
    return counted or not all(_NUMBER.fullmatch(cell) or cell.lower() in _MISSING for cell in cells)


def _plain(name: str, codec: str) -> str:
    """A name that was read byte by byte, as text."""
    try:
        return name.encode(codec).decode("utf-8" if codec == "latin-1" else codec)
    except UnicodeDecodeError:
        return name


def _delimiter(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    return max("\t;,|", key=lambda d: len(next(csv.reader([first], delimiter=d), [])))
