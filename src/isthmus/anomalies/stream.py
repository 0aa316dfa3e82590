"""Samples that arrive line by line: rows as CSV after a line of names or as JSON objects, or the names of files."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol

from isthmus.data.base import Source
from isthmus.data.column_types import MARKERS, is_text
from isthmus.data.columns import TableSchema
from isthmus.data.scaling import finite_sample
from isthmus.data.table_source import TableSource
from isthmus.errors import IsthmusError

_DELIMITERS = (",", ";", "\t", "|")
_BYTES = 1 << 16  # that are read at a time
_LONGEST = 1 << 24  # bytes of a line
MOST_LINES = 1024  # that are handed on at once


def lines_of(file: IO[bytes], most: int = MOST_LINES) -> Iterator[list[tuple[int, bytes]]]:
    """What has arrived of a file or pipe, as complete lines with their numbers from 1; waits where nothing has.

    most : lines that are handed on at once.

    Raises IsthmusError for a line that does not end.
    """
    read = getattr(file, "read1", file.read)  # a pipe hands over what is there
    rest, number = b"", 0
    while True:
        chunk = read(_BYTES)
        *whole, rest = (rest + chunk).split(b"\n")
        if not chunk and rest:
            whole, rest = [rest], b""
        if len(rest) > _LONGEST:
            raise IsthmusError(f"line {number + len(whole) + 1} is longer than {_LONGEST:,} bytes; rows must be lines")
        numbered = [(number + i, line.rstrip(b"\r")) for i, line in enumerate(whole, 1)]
        number += len(whole)
        for start in range(0, len(numbered), most):
            yield numbered[start : start + most]
        if not chunk:
            return


@dataclass(frozen=True)
class Arrived:
    """What was read from some lines.

    samples : those that could be read, None if there are none; rows are a `TableSource`. lines : the number of each
    one's line. wrong : what is wrong with other lines, by their numbers.
    """

    samples: Source | None
    lines: list[int]
    wrong: dict[int, str]


class Reader(Protocol):
    """Turns lines into samples. at_once : lines that it is given together at most."""

    at_once: ClassVar[int]

    def read(self, lines: Sequence[tuple[int, bytes]]) -> Arrived:
        """Lines with their numbers as samples."""


class FileReader:
    """Turns lines, each the name of a file, into the image or the signal that it holds.

    One at a time, so that a bad file costs its own line only.
    """

    at_once: ClassVar[int] = 1

    def __init__(self, opened: Callable[[list[Path]], Source]) -> None:
        """opened : files as a detector takes them; raises IsthmusError or OSError for what does not fit."""
        self._opened = opened

    def read(self, lines: Sequence[tuple[int, bytes]]) -> Arrived:
        """A line with its number as a sample."""
        ((number, line),) = lines
        name = os.fsdecode(line).strip()
        if not name:
            return Arrived(None, [], {})
        try:
            samples = self._opened([Path(name).expanduser()])
            finite_sample(samples, 0)
        except (IsthmusError, OSError) as error:
            return Arrived(None, [], {number: str(error)})
        return Arrived(samples, [number], {})


class RowReader:
    """Turns lines into rows of a table whose columns are known.

    The first line that is not empty says what follows: an object of JSON, or the names of columns, of which any order
    and more than needed are fine. A comma in a number is a decimal comma where columns are separated by semicolons. One
    line is one row: cells hold no line breaks.
    """

    at_once: ClassVar[int] = MOST_LINES

    def __init__(self, schema: TableSchema) -> None:
        self._schema = schema
        self._types = {field.name: field.type for field in schema.arrow}
        self._names: list[str] | None = None  # of the columns of CSV
        self._delimiter = ""
        self._is_json = False

    def read(self, lines: Sequence[tuple[int, bytes]]) -> Arrived:
        """Lines with their numbers as rows.

        Raises IsthmusError where the line of names lacks a column.
        """
        good: list[tuple[int, dict[str, Any]]] = []
        wrong: dict[int, str] = {}
        for number, line in lines:
            try:
                row = self._row(number, line)
            except _WrongLineError as error:
                wrong[number] = str(error)
                continue
            if row is not None:
                good.append((number, row))
        return self._encoded(good, wrong)

    def _row(self, number: int, line: bytes) -> dict[str, Any] | None:
        """The cells of a row by their columns; None for an empty line and for the line of names."""
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise _WrongLineError(f"it is no UTF-8 text (byte {error.start + 1})") from error
        if not text.strip():
            return None
        if self._names is None and not self._is_json:
            if not text.lstrip().startswith("{"):
                self._begin(number, text)
                return None
            self._is_json = True
        cells = _object(text) if self._is_json else self._split(text)
        return {name: self._cell(name, value) for name, value in cells.items()}

    def _begin(self, number: int, text: str) -> None:
        """Take a line for the names of columns."""
        needed = [column.name for column in self._schema.used]
        found = {mark: [name.strip() for name in next(csv.reader([text], delimiter=mark))] for mark in _DELIMITERS}
        self._delimiter = max(_DELIMITERS, key=lambda mark: len({*found[mark]} & {*needed}))
        self._names = found[self._delimiter]
        lacking = [name for name in needed if name not in self._names]
        if lacking:
            raise IsthmusError(
                f"line {number} must name the columns, and lacks {lacking[0]!r}, which the model was trained with: "
                f"{text.strip()[:80]!r}"
            )

    def _split(self, text: str) -> dict[str, Any]:
        assert self._names is not None
        cells = next(csv.reader([text], delimiter=self._delimiter))
        if len(cells) != len(self._names):
            raise _WrongLineError(f"it has {len(cells)} cells, and the line of names {len(self._names)}")
        return dict(zip(self._names, cells, strict=True))

    def _cell(self, name: str, value: Any) -> Any:
        """A cell in the type of its column; columns that are not known are text."""
        import pyarrow as pa

        type_ = self._types.get(name)
        if value is None or (isinstance(value, str) and value.strip() in MARKERS):
            return None
        if isinstance(value, list | dict):
            raise _WrongLineError(f"column {name!r} holds {'a list' if isinstance(value, list) else 'an object'}")
        if type_ is None or is_text(type_) or pa.types.is_dictionary(type_):
            return value if isinstance(value, str) else json.dumps(value)
        try:
            if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
                return self._number(value)
            if pa.types.is_boolean(type_) and not isinstance(value, str):
                return bool(value)
            return pa.array([value]).cast(type_)[0].as_py()
        except (ValueError, TypeError, NotImplementedError) as error:
            raise _WrongLineError(f"column {name!r} holds {value!r}, which is no {_in_words(type_)}") from error

    def _number(self, value: Any) -> float:
        if isinstance(value, str) and self._delimiter == ";":
            value = value.replace(",", ".")
        return float(value)

    def _encoded(self, good: list[tuple[int, dict[str, Any]]], wrong: dict[int, str]) -> Arrived:
        """Rows as a source; those that the table's columns do not take are found one by one."""
        if not good:
            return Arrived(None, [], wrong)
        try:
            return Arrived(self._source([row for _, row in good]), [number for number, _ in good], wrong)
        except IsthmusError as error:
            if len(good) == 1:
                return Arrived(None, [], wrong | {good[0][0]: re.sub(r" in row \d+", "", str(error))})
        fine = []
        for number, row in good:
            one = self._encoded([(number, row)], {})
            wrong = wrong | one.wrong
            fine += [] if one.wrong else [(number, row)]
        return self._encoded(fine, wrong)

    def _source(self, rows: list[dict[str, Any]]) -> TableSource:
        import pyarrow as pa

        names = dict.fromkeys([*self._types, *(name for row in rows for name in row)])
        columns = {name: pa.array([row.get(name) for row in rows], self._type(name)) for name in names}
        return TableSource(pa.table(columns), self._schema)

    def _type(self, name: str) -> Any:
        import pyarrow as pa

        type_ = self._types.get(name, pa.string())
        if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
            return pa.float64()
        return pa.string() if pa.types.is_dictionary(type_) else type_


class _WrongLineError(IsthmusError):
    """What is wrong with one line."""


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _WrongLineError(f"it is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise _WrongLineError('it is no JSON object, as in {"name": value}')
    return found


def _in_words(type_: Any) -> str:
    import pyarrow as pa

    if pa.types.is_boolean(type_):
        return "true or false"
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return "date"
    return (
        "number"
        if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_)
        else str(type_)
    )
