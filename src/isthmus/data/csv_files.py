"""Text tables (CSV and its kin) as Arrow tables."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from isthmus.data.csv_dialect import Ambiguous, Dialect, given_settings
from isthmus.data.csv_header import counts_up
from isthmus.data.csv_sniffing import Layout, code_page, csv_reader, laid_out, sniffed, text_lines
from isthmus.data.number_texts import (
    MISSING,
    MISSING_WORDS,
    Notation,
    as_numbers,
    column_notations,
    fitting_notations,
    is_number,
    trimmed,
)
from isthmus.data.packed import opened
from isthmus.data.reading import reading
from isthmus.data.total_row import total_row
from isthmus.errors import ReadingError, unknown_name

_BLOCK, _MOST_BLOCK = 1 << 20, 1 << 30
_LINES_OF_A_BLOCK = 16  # or a block of many columns is nothing but overhead
_MANY_COLUMNS = 10_000  # of which each would be a task for threads
_INDEX_NAMES = {"id", "index", "idx", "row", "rowid", "row_id", "rownames", "rownum", "no", "nr", "#"}
_UNNAMED = re.compile(r"|Unnamed: \d+(_level_\d+)?")  # how pandas writes an index, and reads it back


def read_csv(
    data: Path | bytes, dialect: Dialect | Mapping[str, Any] | None = None, *, name: str | None = None
) -> tuple[Any, Dialect]:
    """A text table as a `pyarrow.Table` with columns of every type, and how it was read.

    data : a file, packed or not, or the bytes of one. dialect : how it is written, or some settings of it, by the names
    of `Dialect`'s fields, where they are known; the rest is found out. name : what it is called in messages.

    Columns of numbers are int64 or float64, whatever their notation; what marks a gap (`MISSING`) is null. Columns of
    words are text, in which empty cells and the unmistakable marks are null; so are codes with leading zeros (02139),
    where the first rows have some. Columns that `Dialect.index` names are in the table. A column of numbers that can be
    read in two ways stays text, and `Dialect.unclear` names it.

    Raises ReadingError where the file as a whole can be read in two ways, IsthmusError where it cannot be read.

    >>> table, dialect = read_csv(b"a;b\\n1,5;yes\\n2,25;no\\n")
    >>> table.to_pydict(), dialect.sentence
    ({'a': [1.5, 2.25], 'b': ['yes', 'no']}, "columns between ';', decimal commas, names in line 1")
    """
    table, found = _told(data, dialect, name, with_codes=True)
    return _with_gaps(table), found


def read_verbatim(
    data: Path | bytes, dialect: Dialect | Mapping[str, Any] | None = None, *, name: str | None = None
) -> tuple[Any, Dialect]:
    """`read_csv`, but with every cell of a column of words as it is written, and codes with zeros as numbers."""
    return _told(data, dialect, name, with_codes=False)


def _told(
    data: Path | bytes, dialect: Dialect | Mapping[str, Any] | None, name: str | None, *, with_codes: bool
) -> tuple[Any, Dialect]:
    what = name or (str(data) if isinstance(data, Path) else "the text")
    given = dialect if isinstance(dialect, Dialect) else given_settings(dialect)
    try:
        with reading(what, "a CSV file"):
            return _read(data, given, with_codes)
    except Ambiguous as doubt:
        raise ambiguous(f"{what}: {doubt.fact}", *doubt.settings) from doubt


def ambiguous(fact: str, *settings: str) -> ReadingError:
    """The error for what settings of the dialect decide, such as "header=yes" or "header=no"."""
    pairs = [dict([setting.split("=", 1)]) for setting in settings]
    return ReadingError(
        fact,
        f"open it with open_source(path, csv={' or '.join(map(str, pairs))})",
        " or ".join(f"--csv '{setting}'" for setting in settings),
    )


def refuse_unclear(dialect: Dialect, path: Path, wanted: Callable[[str], bool]) -> None:
    """Raise an error for the first column that is wanted and whose numbers can be read in two ways."""
    for name, cell in dialect.unclear:
        if wanted(name):
            ways = ("decimal=,", "decimal=.") if "," in cell else ("thousands=.", "thousands= ")
            raise ambiguous(f"column {name!r} of {path} holds {cell!r}, which can be read in two ways", *ways)


def _read(data: Path | bytes, given: Dialect | dict[str, Any], with_codes: bool) -> tuple[Any, Dialect]:
    if isinstance(given, Dialect):
        dialect, layout = given, laid_out(text_lines(data, given), given)
        settings: dict[str, Any] = {"index": given.index, "decimal": given.decimal, "thousands": given.thousands}
    else:
        dialect, layout = sniffed(data, given)
        settings = given
    layout = replace(layout, codes=_codes(layout) if with_codes else frozenset())
    table = _parsed(data, dialect, layout)
    if any(str(type_) == "binary" for type_ in table.schema.types) and "encoding" not in settings:
        with opened(data, dialect.compression) as file:
            page = code_page(file.read())
        known = dialect.but(encoding=page) if isinstance(given, Dialect) else given | {"encoding": page}
        return _read(data, known, with_codes)
    while table.column_names[-1].startswith("Unnamed: ") and table.columns[-1].null_count == table.num_rows:
        table = table.remove_column(table.num_columns - 1)  # lines end in delimiters
    table, dialect = _with_numbers(data, table, dialect, layout, settings)
    total = total_row(table)
    dialect = dialect.but(assumed=(*dialect.assumed, total)) if total else dialect
    index = settings["index"] if "index" in settings else _index(table, dialect)
    for name in index:
        if name not in table.column_names:
            raise unknown_name("index column", name, table.column_names)
    return table, dialect.but(index=tuple(index))


def _parsed(data: Path | bytes, dialect: Dialect, layout: Layout) -> Any:
    """Every column in the type that Arrow finds for it; numbers that it does not know stay text."""
    import pyarrow as pa
    from pyarrow import ArrowInvalid
    from pyarrow import csv as arrow_csv

    def skip(row: Any) -> str:
        return "skip" if dialect.comment and row.text.startswith(dialect.comment) else "error"

    if layout.width != len(layout.names):
        raise ValueError(f"there are {len(layout.names)} names above rows of {layout.width} cells")
    rewritten = dialect.delimiter == "whitespace" or layout.padded
    block, threads = max(_BLOCK, min(_MOST_BLOCK, _LINES_OF_A_BLOCK * layout.line)), layout.width < _MANY_COLUMNS
    quoted = any("\n" in cell or "\r" in cell for row in layout.rows for cell in row)
    while True:
        with opened(data, dialect.compression) as file:
            plain = dialect.but(delimiter=",", quote='"', encoding="utf-8") if rewritten else dialect
            try:
                table = arrow_csv.read_csv(
                    _rewritten(file, dialect, layout) if rewritten else file,
                    arrow_csv.ReadOptions(
                        column_names=layout.names,
                        skip_rows=0 if rewritten else layout.start,
                        encoding="utf8" if plain.encoding.startswith("utf-8") else plain.encoding,
                        block_size=block,
                        use_threads=threads,
                    ),
                    arrow_csv.ParseOptions(
                        delimiter=plain.delimiter,
                        quote_char=plain.quote,
                        newlines_in_values=quoted,
                        invalid_row_handler=skip if dialect.comment else None,
                    ),
                    arrow_csv.ConvertOptions(
                        null_values=MISSING,
                        decimal_point=dialect.decimal,
                        column_types=dict.fromkeys(layout.codes, pa.string()),
                    ),
                )
            except ArrowInvalid as error:
                if "straddling" in str(error) and block < _MOST_BLOCK:  # a line that is longer than a block
                    block *= 8
                elif not quoted:
                    quoted = True
                elif threads:  # on one thread the message says in which row the fault is
                    threads = False
                else:
                    raise
                continue
        if dialect.comment and not rewritten and _has_comments(table, dialect.comment):
            rewritten = True
            continue
        return table


def _rewritten(file: BinaryIO, dialect: Dialect, layout: Layout) -> io.BytesIO:
    """The rows in the plainest form, for what Arrow cannot read: comments, runs of spaces, quotes after spaces."""
    lines = io.TextIOWrapper(file, encoding=dialect.encoding, newline="")
    for _ in range(layout.start):
        next(lines, None)
    kept = (line for line in lines if not (dialect.comment and line.startswith(dialect.comment)))
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(csv_reader(kept, dialect))
    lines.detach()
    return io.BytesIO(out.getvalue().encode())


def _codes(layout: Layout) -> frozenset[str]:
    """The columns whose first cells are digits, and some of them begin with a zero: 02139 and 2139 are not the same."""
    found = set()
    for name, column in zip(layout.names, zip(*layout.rows, strict=False), strict=False):
        cells = [cell.strip() for cell in column if cell.strip() not in MISSING]
        if all(map(str.isdecimal, cells)) and any(len(cell) > 1 and cell[0] == "0" for cell in cells):
            found.add(name)
    return frozenset(found)


def _has_comments(table: Any, mark: str) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    first = table.columns[0]
    return pa.types.is_string(first.type) and bool(pc.any(pc.starts_with(first, mark)).as_py())


def _with_numbers(
    data: Path | bytes, table: Any, dialect: Dialect, layout: Layout, given: Mapping[str, Any]
) -> tuple[Any, Dialect]:
    """Columns of text that are numbers in another notation than Arrow's become numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words = [i for i, type_ in enumerate(table.schema.types) if pa.types.is_string(type_)]
    texts = {i: trimmed(table.column(i)) for i in words if table.column_names[i] not in layout.codes}
    fitting = {i: found for i, text in texts.items() if (found := column_notations(text))}
    if not fitting:
        return table, dialect
    marked = [found for i, found in fitting.items() if pc.any(pc.match_substring_regex(texts[i], "[.,]")).as_py()]
    decimal, assumed = _decimal(marked, dialect, layout, given)
    if decimal is not None and decimal != dialect.decimal:
        dialect = dialect.but(decimal=decimal)
        return _with_numbers(data, _parsed(data, dialect, layout), dialect, layout, {**given, "decimal": decimal})
    thousands = {n.thousands for found in fitting.values() for n in found if n.decimal == decimal} - {None}
    marks = [given["thousands"]] if "thousands" in given else sorted(thousands, key=str)
    columns, unclear, used = list(table.columns), [], None
    for i, found in fitting.items():
        notations = [Notation(dialect.decimal, mark) for mark in (None, *marks)] if decimal else []
        notation = next((n for n in notations if n in found), None)
        if notation is None or (used and notation.thousands not in (None, used)):
            unclear.append((table.column_names[i], texts[i].drop_null()[0].as_py()))
            continue
        used = notation.thousands or used
        columns[i] = as_numbers(texts[i], notation)
    dialect = dialect.but(thousands=used, unclear=tuple(unclear), assumed=(*dialect.assumed, *assumed))
    return pa.table(columns, names=table.column_names), dialect


def _decimal(
    fitting: list[frozenset[Notation]], dialect: Dialect, layout: Layout, given: Mapping[str, Any]
) -> tuple[str | None, list[str]]:
    """The decimal mark of a file, by its columns of numbers that are text, and what of it is assumed; None if open."""
    if "decimal" in given or "thousands" in given:
        return given.get("decimal") or ("," if given["thousands"] == "." else "."), []
    if not fitting or dialect.decimal == ",":  # which the first rows have proved
        return dialect.decimal, []
    common = set.intersection(*({notation.decimal for notation in found} for found in fitting))
    if len(common) == 1:
        return next(iter(common)), []
    if not common:
        return None, []
    if _proves_points(layout):
        return ".", []
    if dialect.delimiter == ";":
        return ",", ["commas taken for decimal ones, as in most files with ';'"]
    return None, []


def _proves_points(layout: Layout) -> bool:
    """Whether a column has numbers like 2.5, which no comma notation has."""
    for column in zip(*(row for row in layout.rows if len(row) == layout.width), strict=True):
        if not any("." in cell for cell in column):
            continue
        found = fitting_notations(cell for cell in column if cell not in MISSING)
        if found and {notation.decimal for notation in found} == {"."}:
            return True
    return False


def _index(table: Any, dialect: Dialect) -> tuple[str, ...]:
    """Leading columns that number or name the rows: unnamed ones, an "id" that counts up, words without repeats."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = table.column_names
    if table.num_columns < 2 or not table.num_rows:
        return ()
    if dialect.header:
        unnamed = 0
        while unnamed < len(names) - 1 and _UNNAMED.fullmatch(names[unnamed]):
            unnamed += 1
        if unnamed:
            return tuple(names[:unnamed])
    first = table.columns[0]
    if first.null_count:
        return ()
    if pa.types.is_integer(first.type):
        named = dialect.header and names[0].strip().lower() in _INDEX_NAMES
        return (names[0],) if named and _counts_up(first) else ()
    if not dialect.header or not pa.types.is_string(first.type) or len(first.unique()) < len(first):
        return ()
    named = pc.all(pc.match_substring_regex(first, r"\pL")).as_py()  # 1,5 and 2020-01-01 have no letters
    return (names[0],) if named and not any(map(is_number, first.slice(0, 1000).to_pylist())) else ()


def _counts_up(column: Any) -> bool:
    import numpy as np

    values = column.to_numpy()
    return bool(np.all(np.diff(values) == 1)) if len(values) > 1 else counts_up([str(values[0])])


def _with_gaps(table: Any) -> Any:
    """Columns of words with null where a cell is empty or says that it is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    marks = pa.array(MISSING_WORDS)
    columns = [
        pc.if_else(pc.is_in(column, value_set=marks), None, column) if pa.types.is_string(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)
