"""The one place that finds out how a text table is written, from its first lines."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from isthmus.data.csv_dialect import Ambiguous, Dialect
from isthmus.data.csv_header import Verdict, names_or_row, second_line
from isthmus.data.limits import MOST_COLUMNS, check_columns
from isthmus.data.number_texts import MISSING, Notation, fitting_notations, is_number
from isthmus.data.packed import compression_of, opened

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = (",", ";", "\t", "|", " ", "whitespace")
_COMMENTS = ("#", "%")
_HEAD_BYTES, _MOST_HEAD_BYTES, _LINES = 1 << 20, 1 << 26, 50
_CELLS = 100_000  # that are looked at
_ROWS = 1000


@dataclass(frozen=True)
class Layout:
    """What the first lines of a file hold, read in its dialect.

    names : of the columns. width : of the rows. start : lines before the first row. rows : the first ones. padded :
    whether spaces follow the delimiters, which are no part of words. line : the length of the longest of these lines.
    codes : names of columns of digits that are text.
    """

    names: tuple[str, ...]
    width: int
    start: int
    rows: list[list[str]]
    padded: bool = False
    line: int = 0
    codes: frozenset[str] = frozenset()


def sniffed(data: Path | bytes, given: Mapping[str, Any]) -> tuple[Dialect, Layout]:
    """How a file is written, as far as its first lines show it; `given` settings are kept.

    Raises Ambiguous where these lines can be read in two ways.
    """
    compression = compression_of(data)
    with opened(data, compression) as file:
        head, whole = _head(file)
    encoding = given.get("encoding") or _encoding(head)
    lines = _lines(head, whole, encoding)
    newline = next((end for end in ("\r\n", "\n", "\r") if lines and lines[0].endswith(end)), "\n")
    dialect = Dialect(encoding=encoding, compression=compression, newline=newline)
    dialect = _without_preamble(dialect, lines, given)
    rest = "".join(lines[dialect.skipped :])
    quote = given.get("quote") or _quote(rest)
    _check_width(lines[dialect.skipped :], given.get("delimiter"), quote)
    delimiter = given.get("delimiter") or (dialect.delimiter if dialect.assumed else _delimiter(rest, quote, dialect))
    dialect = dialect.but(quote=quote, delimiter=delimiter)
    dialect, layout = _headed(_without_titles(dialect, lines, given), lines, given)
    return dialect.but(decimal=given.get("decimal") or _decimal(layout, given)), layout


def laid_out(lines: Sequence[str], dialect: Dialect) -> Layout:
    """The names and the first rows of a file whose dialect is known."""
    text = "".join(lines[dialect.skipped :])
    if dialect.header and dialect.comment is not None:
        text = text.removeprefix(dialect.comment).lstrip(" ")  # names may stand in a comment
    found = records(text, dialect)
    names: list[str] = []
    used = 0
    if dialect.header:
        (names, used), found = (found[0] if found else ([], 0)), found[1:]
        if dialect.second:
            (more, used), found = found[0], found[1:]
            names = _joined(names, more) if dialect.second == "names" else names
    rows = [row for row, _ in found]
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else len(names)
    names = names if dialect.header else [f"x{i}" for i in range(width)]
    if len(names) == width - 1:  # a last column that is empty, or R's way: row names have no name of their own
        names = [*names, ""] if all(row[-1] == "" for row in rows) else ["", *names]
    spaces = 0 if dialect.delimiter in " whitespace" else text.count(dialect.delimiter + " ")
    quoted = bool(spaces) and re.search(f"{re.escape(dialect.delimiter)} +{dialect.quote}", text) is not None
    words = not all(cell in MISSING or is_number(cell) for row in rows for cell in row)
    padded = quoted or (words and spaces > text.count(dialect.delimiter) // 2)
    return Layout(_distinct(names), width, dialect.skipped + used, rows, padded, max(map(len, lines), default=0))


def text_lines(data: Path | bytes, dialect: Dialect) -> list[str]:
    """The first lines of a file whose dialect is known."""
    with opened(data, dialect.compression) as file:
        head, whole = _head(file)
    return _lines(head, whole, dialect.encoding)


def _check_width(lines: Sequence[str], delimiter: str | None, quote: str) -> None:
    """Refuse a table of too many columns before its cells are looked at."""
    if not lines or len(lines[0]) <= MOST_COLUMNS:
        return
    first = max((line for line in lines[:2]), key=len)
    counts = (first.count(mark) for mark in ([delimiter] if delimiter else _DELIMITERS[:4]))
    if max(counts) >= MOST_COLUMNS and first.count(quote) < len(first) // 100:
        check_columns(max(first.count(mark) for mark in _DELIMITERS[:4]) + 1)


def _lines(head: bytes, whole: bool, encoding: str) -> list[str]:
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head, final=whole)
    if "\0" in text:
        raise ValueError("it is not text")
    lines = list(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    return lines if whole or len(lines) == 1 else lines[:-1]


def records(text: str, dialect: Dialect, most: int = _ROWS) -> list[tuple[list[str], int]]:
    """The first rows of a text, each with the number of lines up to its end; cells have no spaces around."""
    lines = list(io.StringIO(text, newline=""))
    found: list[tuple[list[str], int]] = []
    reader = csv_reader(lines, dialect)
    cells = 0
    for row in islice(_readable(reader), most):
        if row and not (
            dialect.comment and found and row[0].startswith(dialect.comment) and len(row) < len(found[0][0])
        ):
            found.append(([cell.strip() for cell in row], reader.line_num))
        cells += len(row)
        if cells > _CELLS and len(found) > 5:
            break
    return found


def _readable(reader: Any) -> Iterator[list[str]]:
    """The rows up to a cell that is too long for one, as a whole line is with the wrong delimiter."""
    with suppress(csv.Error):
        yield from reader


def csv_reader(lines: Any, dialect: Dialect) -> Any:
    """Python's reader of CSV, for what Arrow's cannot read."""
    if dialect.delimiter == "whitespace":
        lines = (" ".join(line.split()) + "\n" for line in lines)
    delimiter = " " if dialect.delimiter == "whitespace" else dialect.delimiter
    return csv.reader(lines, delimiter=delimiter, quotechar=dialect.quote, skipinitialspace=delimiter != " ")


def _head(file: BinaryIO) -> tuple[bytes, bool]:
    """The first lines of a file, 50 of them where they are long, and whether that is all of it."""
    head = b""
    while len(head) < _MOST_HEAD_BYTES and (not head or head.count(b"\n") + head.count(b"\r") < _LINES):
        piece = file.read(_HEAD_BYTES)
        if not piece:
            return head, True
        head += piece
    return head, not file.read(1)


def _encoding(head: bytes) -> str:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    even, odd = head[:4096:2].count(0), head[1:4096:2].count(0)
    if max(even, odd) > len(head[:4096]) // 4:
        return "utf-16-le" if odd > even else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return code_page(head)
    return "utf-8"


def code_page(text: bytes) -> str:
    """The code page of a text that is not UTF-8: that of Windows in the west, or Latin 1 where that has gaps."""
    try:
        text.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _without_preamble(dialect: Dialect, lines: Sequence[str], given: Mapping[str, Any]) -> Dialect:
    """Lines before the table that say what they are: Excel's "sep=;", comments, and empty ones."""
    if "skipped" in given:
        return dialect.but(skipped=given["skipped"], comment=given.get("comment"))
    skipped, comment, assumed = 0, given.get("comment"), dialect.assumed
    delimiter = dialect.delimiter
    for line in lines:
        marked = re.fullmatch(r'"?sep=(.)"?', line.strip("\r\n")) if not skipped else None
        if marked:
            delimiter, assumed = marked[1], (*assumed, f"line 1 names the delimiter {marked[1]!r}")
        elif "comment" not in given and comment is None and line.startswith(_COMMENTS):
            comment = line[0]
        elif line.strip() and not (comment and line.startswith(comment)):
            break
        skipped += 1
    if skipped == len(lines):  # nothing but "comments": then they are the table
        return dialect.but(comment=given.get("comment"))
    return dialect.but(delimiter=delimiter, skipped=skipped, comment=comment, assumed=assumed)


def _quote(text: str) -> str:
    """The quotes around cells: double ones, unless there are single ones only."""
    cell = r"(?:^|[,;\t| \r]){0}[^{0}\r\n]*{0}(?=$|[,;\t|\r\n ])"
    single, double = (len(re.findall(cell.format(q), text[:_HEAD_BYTES], re.MULTILINE)) for q in "'\"")
    return "'" if single > double and (single > 1 or text.startswith("''")) else '"'


def _delimiter(text: str, quote: str, dialect: Dialect) -> str:
    """What stands between columns: what gives rows of one length, and numbers in them."""
    scores: dict[str, float] = {}
    alone = False
    decimals: Sequence[Sequence[str]] = ()
    widths: dict[str, int] = {}
    for delimiter in _DELIMITERS:
        rows = [row for row, _ in records(text, dialect.but(delimiter=delimiter, quote=quote), 200)]
        if not rows or max(map(len, rows)) < 2:
            continue
        body = rows[1:] or rows
        width, count = Counter(map(len, body)).most_common(1)[0]
        cells = [cell for row in body if len(row) == width for cell in row if cell not in MISSING]
        numbers = sum(map(is_number, cells)) / max(1, len(cells))
        if width < 2 or (delimiter in " whitespace" and numbers < 0.5):
            continue
        regular = len({*map(len, rows)}) == 1
        if delimiter == " ":
            alone = regular  # then runs of spaces are empty cells
        if delimiter == "whitespace" and (alone or not regular):
            continue
        if len(rows[0]) == 1 and width == 2 and delimiter == "," and '"' not in text:
            decimals = body  # perhaps
            continue
        alike = count / len(body) - (0 if len(rows[0]) == width else 0.3)
        scores[delimiter] = alike * (0.5 + numbers)
        widths[delimiter] = width
    if not scores and decimals and _has_row_names(decimals):
        return ","
    if not scores:
        return next((d for d in _DELIMITERS[:4] if d not in text), ",")
    best = max(scores, key=lambda d: scores[d])
    rivals = [d for d, score in scores.items() if score == scores[best] == 1.5 and widths[d] != widths[best]]
    if rivals:
        raise Ambiguous(
            f"columns between {best!r} or between {rivals[0]!r}: both give rows of numbers",
            f"delimiter={best}",
            f"delimiter={rivals[0]}",
        )
    return best


def _has_row_names(body: Sequence[Sequence[str]]) -> bool:
    """Whether "1,5" under one name is a value after its row's name (R writes so), or a number with a decimal comma."""
    if not all(row[-1].isdecimal() for row in body):
        return True
    first = [row[0] for row in body]
    if not all(map(is_number, first)) or (all(c.isdecimal() for c in first) and len(set(first)) == len(first)):
        raise Ambiguous(
            f"{','.join(body[0])!r} below one name is a number with a decimal comma, or a row's name and a value",
            "delimiter=;",
            "delimiter=,",
        )
    return False


def _without_titles(dialect: Dialect, lines: Sequence[str], given: Mapping[str, Any]) -> Dialect:
    """Leave out lines of words in front of a table of several columns."""
    if "skipped" in given or dialect.assumed:
        return dialect
    found = records("".join(lines[dialect.skipped :]), dialect)
    width = Counter(len(row) for row, _ in found).most_common(1)[0][0] if found else 1
    titles = 0
    for row, end in found[: len(found) // 2]:
        if width < 3 or len(row) > 1 or is_number(row[0]):
            break
        titles = end
    if not titles:
        return dialect
    return dialect.but(skipped=dialect.skipped + titles, assumed=(f"{titles} line(s) before the table left out",))


def _headed(dialect: Dialect, lines: Sequence[str], given: Mapping[str, Any]) -> tuple[Dialect, Layout]:
    """Whether there is a line of names, and which."""
    if "header" in given:
        dialect = dialect.but(header=given["header"])
        return dialect, laid_out(lines, dialect)
    named = _named_by_comment(dialect, lines)
    if named is not None and "skipped" not in given:
        dialect = dialect.but(skipped=named, assumed=(*dialect.assumed, "names are those of the last comment"))
        return dialect, laid_out(lines, dialect)
    found = [row for row, _ in records("".join(lines[dialect.skipped :]), dialect)]
    verdict = Verdict(True) if _only_names_quoted(lines, dialect, found) else _verdict(found)
    if verdict.header is None:
        listed = ", ".join(found[0][:4]) + (", ..." if len(found[0]) > 4 else "")
        what = f"line {dialect.skipped + 1} ({listed}) may be a line of names or a row: nothing proves either"
        raise Ambiguous(what, "header=yes", "header=no")
    assumed = (*dialect.assumed, verdict.assumed) if verdict.assumed else dialect.assumed
    second = second_line(found) if verdict.header else ""
    dialect = dialect.but(header=verdict.header, second=second, assumed=assumed)
    return dialect, laid_out(lines, dialect)


def _only_names_quoted(lines: Sequence[str], dialect: Dialect, found: Sequence[Sequence[str]]) -> bool:
    """Whether all cells of the first line are in quotes, and numbers below it are not."""
    marks = [line.count(dialect.quote) for line in lines[dialect.skipped :][: len(found)]]
    names = found[0] if found else []
    if len(marks) < 2 or marks[0] < 2 * len(names) or min(marks[1:]) >= 2 * len(names):
        return False
    needless = not any(mark in name for name in names for mark in (dialect.delimiter, dialect.quote, "\n", "\r"))
    return needless and len(set(names)) == len(names) and all(name not in MISSING for name in names[1:] or names)


def _verdict(found: list[list[str]]) -> Verdict:
    if not found:
        raise ValueError("it is empty")
    first, body = found[0], found[1:]
    if body and len(first) == Counter(map(len, body)).most_common(1)[0][0] - 1:
        return Verdict(True)  # names of all columns but that of the row names, or the empty one at the end
    return names_or_row(first, [row for row in body if len(row) == len(first)])


def _named_by_comment(dialect: Dialect, lines: Sequence[str]) -> int | None:
    """The number of the comment line that names the columns, as NumPy writes it."""
    number = dialect.skipped - 1
    if dialect.comment is None or number < 0 or not lines[number].startswith(dialect.comment):
        return None
    text = lines[number][1:].strip()
    names = [row for row, _ in records(text, dialect.but(comment=None))]
    rows = [row for row, _ in records("".join(lines[dialect.skipped :]), dialect, 20)]
    whole = rows and all(is_number(cell) or cell in MISSING for row in rows for cell in row)
    fits = names and len(names[0]) == len(rows[0]) > 1 and not any(map(is_number, names[0]))
    return number if whole and fits else None


def _decimal(layout: Layout, given: Mapping[str, Any]) -> str:
    """The decimal mark that the first rows prove; a point where they prove none."""
    if given.get("thousands") == ".":
        return ","
    for column in zip(*(row for row in layout.rows if len(row) == layout.width), strict=True):
        if not any("," in cell for cell in column):
            continue
        found = fitting_notations(cell for cell in column if cell not in MISSING)
        if found and {notation.decimal for notation in found} == {","}:
            return ","
    return Notation().decimal


def _joined(above: Sequence[str], below: Sequence[str]) -> list[str]:
    """The names of two lines, of which the upper one may name several columns once."""
    names, last = [], ""
    for name, more in zip(above, below, strict=True):
        last = name or last
        names.append(" ".join(filter(None, (last, more))))
    return names


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names as pandas makes them: "Unnamed: 3" for none but the first, "a.1" for a second "a"."""
    made: list[str] = []
    seen: set[str] = set()
    for place, name in enumerate(names):
        plain = name or ("" if place == 0 else f"Unnamed: {place}")
        count, unique = 0, plain
        while unique in seen:
            count += 1
            unique = f"{plain}.{count}"
        seen.add(unique)
        made.append(unique)
    return tuple(made)
