"""Text tables of measurements: the cells of signals are replaced, all other text stays byte for byte."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.data.csv_dialect import Ambiguous, Dialect
from isthmus.data.csv_sniffing import Layout, sniffed
from isthmus.data.sample_file import Clean, SampleFile, collected
from isthmus.data.signal_columns import why_no_signal
from isthmus.errors import IsthmusError

_CELL = re.compile(r"""(?P<before>[\s"']*)(?P<inside>.*?)(?P<after>[\s"']*)""", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,](?P<decimals>\d*))?|[.,](?P<only>\d+))(?P<exponent>e[+-]?\d+)?", re.IGNORECASE)
_MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", "inf", "-inf", "+inf"}
_MARKS = {  # of the order of bytes; the longer ones first
    b"\xff\xfe\0\0": "utf-32-le",
    b"\0\0\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
    b"\xef\xbb\xbf": "latin-1",
}
_LINE_END = re.compile(r"\r\n|\r|\n")
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
        dialect, layout = _sniffed(content)
        if dialect.compression is not None:
            raise IsthmusError(f"{path} is packed by {dialect.compression}; unpack it first")
        # Numbers and what stands between cells are ASCII: latin-1 gives every other byte back as it was.
        wide = dialect.encoding.startswith(("utf-16", "utf-32"))
        marks = [mark for mark, codec in _MARKS.items() if content.startswith(mark) and (codec != "latin-1") == wide]
        self._mark = marks[0] if marks else b""
        self._codec = _MARKS[self._mark] if marks else dialect.encoding if wide else "latin-1"
        self._text = _RawTable(content[len(self._mark) :].decode(self._codec), dialect, layout)
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
                reasons[name] = reason
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
    """A text as cells and what stands between them. odd : lines that have another number of cells than the rows."""

    def __init__(self, text: str, dialect: Dialect, layout: Layout) -> None:
        self.cells: list[str] = []
        self._between: list[str] = []
        pattern = _cells_of(dialect)
        rows, lines, first, line, end = [], [], 0, 0, 0
        while end < len(text):
            match = pattern.match(text, end)
            assert match is not None
            self.cells.append(match[1])
            self._between.append(match[2])
            end = match.end()
            if end == len(text) and match[2] == dialect.delimiter:  # the last cell is empty
                self.cells.append("")
                self._between.append("")
            if end == len(text) or match[2][-1] in "\r\n":
                rows.append(range(first, len(self.cells)))
                lines.append(line)
                line += sum(len(_LINE_END.findall(part)) for cell in rows[-1] for part in self._parts(cell))
                first = len(self.cells)
        begun = [
            row
            for row, line in zip(rows, lines, strict=True)
            if line >= layout.start
            and any(self.cells[cell].strip() for cell in row)
            and not (dialect.comment and self.cells[row[0]].startswith(dialect.comment))
        ]
        self._body = [row for row in begun if len(row) == layout.width]
        self.odd = len(begun) - len(self._body)
        self._names = layout.names if len(layout.names) == layout.width else [""] * layout.width

    def _parts(self, cell: int) -> tuple[str, str]:
        return self.cells[cell], self._between[cell]

    def columns(self) -> Iterator[tuple[str, list[int]]]:
        """The name of each column and where its cells are."""
        for j, name in enumerate(self._names):
            yield name or f"column {j + 1}", [row[j] for row in self._body]

    def joined(self, cells: Sequence[str]) -> str:
        """The text with other cells."""
        return "".join(part for pair in zip(cells, self._between, strict=True) for part in pair)


def _sniffed(content: bytes) -> tuple[Dialect, Layout]:
    """How a text is written; a first line that may be names or a row is taken for names, and so left alone."""
    try:
        return sniffed(content, {})
    except Ambiguous:
        return sniffed(content, {"header": True})


def _cells_of(dialect: Dialect) -> re.Pattern[str]:
    """A cell and what follows it: a delimiter, or the end of the line."""
    quoted = "{0}(?:[^{0}]|{0}{0})*{0}".format(re.escape(dialect.quote))
    if dialect.delimiter == "whitespace":
        return re.compile(rf"([ \t]*(?:{quoted}|[^ \t\r\n]*))([ \t]+(?=[^ \t\r\n])|[ \t]*(?:\r\n|\r|\n|\Z))")
    d = re.escape(dialect.delimiter)
    return re.compile(rf"( *{quoted}[^{d}\r\n]*|[^{d}\r\n]*)({d}|\r\n|\r|\n|\Z)")
