"""Files that hold a table, as Arrow tables with columns of every type."""

from __future__ import annotations

import datetime
import decimal
import importlib.util
import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from isthmus.data.packed import compression_of, only_member, opened
from isthmus.data.parquet_files import check_sizes, is_parquet, parquet_dataset
from isthmus.data.reading import reading
from isthmus.data.total_row import total_row
from isthmus.data.unpacked_sizes import check_arrow, check_workbook
from isthmus.errors import IsthmusError, MissingExtraError
from isthmus.files import atomic_path

TEXT = (".csv", ".tsv")
_LINES = (".jsonl", ".ndjson")  # of JSON
_MOST_EXCEL_ROWS = 1 << 20
_EXCEL, _TITLE_ROWS = ".xlsx", 50  # rows in which a table begins
_PACKED = (".gz", ".bz2", ".zst", ".xz", ".zip")


def is_text_table(path: Path) -> bool:
    """Whether a file's name says that it is a table of text, packed or not."""
    return _format(path) in TEXT


def is_table(path: Path) -> bool:
    """Whether a file's name says that it holds a table, or a folder is one of Parquet files."""
    return is_parquet(path) if path.is_dir() else _format(path) in (*TEXT, *READERS)


def read_arrow(path: Path) -> Any:
    """The table in a file that is no text table, or in a folder; checked, so that every cell is where it should be."""
    with reading(path, "a table"):
        table = read_parquet(path) if path.is_dir() else READERS[_format(path)](path)
        table.validate(full=True)
        len(table.column_names)  # which are decoded only now
        return table


def _format(path: Path) -> str:
    """The suffix of a file's name that says how it is written: .csv of table.csv.gz."""
    suffix, inner = path.suffix.lower(), Path(path.stem).suffix.lower()
    if suffix == ".zip" and inner not in (*TEXT, *_LINES) and path.is_file():
        inner = Path(only_member(path)).suffix.lower()
    return inner if suffix in _PACKED and inner in (*TEXT, *_LINES) else suffix


class ReadTable(NamedTuple):
    """An Arrow table; how it was read in one line, if there is something to say; columns that name its rows, if any."""

    table: Any
    said: str = ""
    ids: Any = None


def read_table(path: Path, csv: Mapping[str, Any] | None = None, aside: Collection[str] = ()) -> ReadTable:
    """The table in a file.

    csv : how a text table is written, where that is known; see `Dialect`. aside : columns that do not matter.

    Raises ReadingError for a column whose numbers can be read in two ways.
    """
    if is_text_table(path):
        from isthmus.data.csv_files import read_csv, refuse_unclear

        table, dialect = read_csv(path, csv)
        refuse_unclear(dialect, path, lambda name: name not in aside)
        ids = [name for name in dialect.index if name in table.column_names]
        return ReadTable(table.drop_columns(ids), dialect.sentence, table.select(ids) if ids else None)
    if csv:
        raise IsthmusError(f"settings of CSV files (csv) are for {' and '.join(TEXT)} files, not for {path}")
    return ReadTable(*_told_excel(path)) if _format(path) == _EXCEL else ReadTable(read_arrow(path))


def read_parquet(path: Path) -> Any:
    """A Parquet file, or a folder of them."""
    import pyarrow.parquet

    with reading(path, "a Parquet file"):
        check_sizes(path)
        if path.is_dir():
            return parquet_dataset(path).to_table()
        return pyarrow.parquet.ParquetFile(path).read()


def read_feather(path: Path) -> Any:
    """An Arrow IPC file (Feather version 2), or an Arrow IPC stream."""
    import pyarrow as pa

    with reading(path, "an Arrow file"), pa.memory_map(os.fspath(path)) as file:
        check_arrow(path)
        try:
            return pa.ipc.open_file(file).read_all()
        except pa.ArrowInvalid:
            file.seek(0)
            return pa.ipc.open_stream(file).read_all()


def read_json_lines(path: Path) -> Any:
    """JSON lines, packed or not: an object in each line, whose keys are the columns."""
    from pyarrow import json as arrow_json

    with reading(path, "JSON lines"), opened(path, compression_of(path)) as file:
        return arrow_json.read_json(file)


def read_json(path: Path) -> Any:
    """JSON: one array of objects, whose keys are the columns."""
    import pyarrow as pa

    with reading(path, "a table in JSON"), path.open(encoding="utf-8-sig") as file:
        rows = json.load(file)
        if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
            raise IsthmusError(
                f'{path} holds no table: JSON of one is an array of objects, as in [{{"width": 1}}, ...]'
            )
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.table({name: [row.get(name) for row in rows] for name in names})


def read_excel(path: Path) -> Any:
    """The first sheet of an Excel file."""
    return _told_excel(path)[0]


def _told_excel(path: Path) -> tuple[Any, str]:
    """The table in the first sheet of an Excel file, below its title if it has one, and what of that is to be said."""
    try:
        import openpyxl  # noqa: F401  # what pandas reads it with
        import pandas
    except ImportError as error:
        raise MissingExtraError(f"reading {path}", "formats") from error
    from isthmus.data.frames import as_table

    with reading(path, "an Excel file"):
        check_workbook(path)
    with reading(path, "an Excel file"), pandas.ExcelFile(path) as book:
        filled = pandas.read_excel(book, header=None, nrows=_TITLE_ROWS).notna().sum(axis=1).to_numpy()
        titles = int((2 * filled > filled.max(initial=0)).argmax()) if len(filled) else 0
        table = as_table(pandas.read_excel(book, skiprows=titles))
        first, *others = book.sheet_names
    said = [
        f"sheet {first!r}, the first of {len(others) + 1}" if others else "",
        f"{titles} line(s) before the table left out" if titles else "",
        total_row(table),
    ]
    return table, "; ".join(filter(None, said))


READERS: dict[str, Callable[[Path], Any]] = {
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".feather": read_feather,
    ".arrow": read_feather,
    ".arrows": read_feather,
    ".ipc": read_feather,
    **dict.fromkeys(_LINES, read_json_lines),
    ".json": read_json,
    _EXCEL: read_excel,
}


def check_format(path: Path, rows: int) -> None:
    """Refuse, before the work, a format that does not take so many rows or needs what is not installed."""
    if path.suffix.lower() == ".xlsx":
        if importlib.util.find_spec("openpyxl") is None:
            raise MissingExtraError(f"writing {path}", "formats")
        if rows >= _MOST_EXCEL_ROWS:
            raise IsthmusError(
                f"{rows:,} rows are too many for an Excel file, which takes {_MOST_EXCEL_ROWS - 1:,}; write .parquet "
                "or .csv"
            )


def write_table(path: Path, table: Any) -> None:
    """Write an Arrow table in the format that the file's name says, whole or not at all."""
    write_tables(path, [table])


def write_tables(path: Path, tables: Iterable[Any]) -> None:
    """Write Arrow tables of one schema, at least one, one below the other, in the formats of `write_table`."""
    with atomic_path(path) as temporary:
        writer = None
        for table in tables:
            writer = writer or WRITERS[path.suffix.lower()](temporary, table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()


def _parquet_writer(path: Path, schema: Any) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetWriter(path, schema)


def _arrow_writer(path: Path, schema: Any) -> Any:
    import pyarrow as pa

    return pa.ipc.new_file(
        str(path), schema, options=pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
    )


class _CsvWriter:
    """Cells that hold lists or the like are written as JSON."""

    def __init__(self, path: Path, schema: Any) -> None:
        import pyarrow as pa
        from pyarrow import csv

        self._nested = [i for i, type_ in enumerate(schema.types) if pa.types.is_nested(type_)]
        for i in self._nested:
            schema = schema.set(i, pa.field(schema.names[i], pa.string()))
        self._writer = csv.CSVWriter(path, schema, write_options=csv.WriteOptions(quoting_style="needed"))

    def write_table(self, table: Any) -> None:
        import pyarrow as pa

        for i in self._nested:
            cells = (cell if cell is None else json.dumps(cell, default=str) for cell in table.column(i).to_pylist())
            table = table.set_column(i, table.column_names[i], pa.array(cells, pa.string()))
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _JsonLinesWriter:
    """An object in each line."""

    _begin, _between, _end = "", "\n", "\n"

    def __init__(self, path: Path, schema: Any) -> None:
        self._file, self._before = path.open("w", encoding="utf-8"), self._begin

    def write_table(self, table: Any) -> None:
        for batch in table.to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                self._file.write(self._before + json.dumps(_finite(row), default=str, ensure_ascii=False))
                self._before = self._between

    def close(self) -> None:
        self._file.write(self._end if self._before == self._between else self._begin + self._end)
        self._file.close()


class _JsonWriter(_JsonLinesWriter):
    """One array of objects, each in its own line."""

    _begin, _between, _end = "[\n", ",\n", "\n]\n"


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """A row without NaN and infinities, which JSON does not have."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


class _ExcelWriter:
    """One sheet, row by row. Text is never a formula; whole numbers of more than 15 digits, as of cards, are text."""

    def __init__(self, path: Path, schema: Any) -> None:
        check_format(path, 0)
        from openpyxl import Workbook

        self._path, self._book, self._rows = path, Workbook(write_only=True), 0
        self._sheet = self._book.create_sheet("table")
        self._sheet.freeze_panes = "A2"
        self._sheet.append([self._cell(name) for name in schema.names])

    def write_table(self, table: Any) -> None:
        self._rows += table.num_rows
        if self._rows >= _MOST_EXCEL_ROWS:
            self._sheet.close()
        check_format(self._path, self._rows)
        for batch in table.to_batches(max_chunksize=10_000):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                self._sheet.append([self._cell(value) for value in row])

    def close(self) -> None:
        self._book.save(self._path)

    def _cell(self, value: Any) -> Any:
        if isinstance(value, bool | datetime.date) and getattr(value, "tzinfo", None) is None:
            return value
        if value is None or value != value:
            return None
        if isinstance(value, decimal.Decimal):
            value = float(value)
        if isinstance(value, int | float) and abs(value) < (10**15 if isinstance(value, int) else float("inf")):
            return value
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

        cell = WriteOnlyCell(self._sheet, ILLEGAL_CHARACTERS_RE.sub("", str(value)))
        cell.data_type = "s"
        return cell


WRITERS: dict[str, Callable[[Path, Any], Any]] = {  # what has write_table and close
    ".csv": _CsvWriter,
    ".parquet": _parquet_writer,
    ".feather": _arrow_writer,
    ".arrow": _arrow_writer,
    ".jsonl": _JsonLinesWriter,
    ".json": _JsonWriter,
    ".xlsx": _ExcelWriter,
}
