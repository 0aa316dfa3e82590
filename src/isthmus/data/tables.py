"""Tables as sources: data frames, Arrow tables, CSV, Parquet and Feather files.

A table is read into memory as one numeric matrix, in the narrowest type that holds all its columns.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import ArraySource, as_labels
from isthmus.data.reading import reading
from isthmus.errors import IsthmusError, unknown_name

_INDEX_COLUMN = re.compile(r"__index_level_\d+__")  # how pandas stores a row index in Arrow and Parquet


class Columns:
    """Which columns of a table are features and which one holds the labels."""

    def __init__(self, labels: str | None = None, drop: Sequence[str] = ()) -> None:
        self.labels = None if labels is None else str(labels)
        self.drop = (drop,) if isinstance(drop, str) else tuple(map(str, drop))

    def choose(self, names: Sequence[str], unfit: Callable[[int], str | None], table: str) -> list[int]:
        """The positions of the features; `unfit` says of a column what it holds instead of numbers."""
        for name in (*self.drop, *([] if self.labels is None else [self.labels])):
            if name not in names:
                raise unknown_name(f"column of {table}", name, names)
        features = [i for i, name in enumerate(names) if name != self.labels and name not in self.drop]
        features = [i for i in features if not _INDEX_COLUMN.fullmatch(names[i])]
        wrong = {names[i]: what for i in features if (what := unfit(i)) is not None}
        if wrong:
            listed = ", ".join(f"{name!r} ({what})" for name, what in list(wrong.items())[:5])
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            raise IsthmusError(
                f"{table} has columns that hold no numbers: {listed}{more}; leave them out with "
                f"drop_columns={list(wrong)[:5]!r} (--drop-column), or name one of them as labels_column "
                "(--labels-column)"
            )
        if not features:
            raise IsthmusError(f"{table} has 0 feature(s) (shape=(?, 0)) while a minimum of 1 is required.")
        return features


def frame_source(frame: Any, columns: Columns) -> ArraySource:
    """A pandas DataFrame; one whose columns share one NumPy type is not copied."""
    names = [str(name) for name in frame.columns]
    dtypes = list(frame.dtypes)

    def unfit(i: int) -> str | None:
        return None if dtypes[i].kind in "biuf" else str(dtypes[i])

    features = columns.choose(names, unfit, "the data frame")
    chosen = frame if len(features) == len(names) else frame.iloc[:, features]
    common = np.result_type(*(_numpy_type(frame.iloc[:, i]) for i in features))
    if all(isinstance(dtypes[i], np.dtype) for i in features):
        matrix = chosen.to_numpy(dtype=common)
    else:
        matrix = chosen.to_numpy(dtype=common, na_value=np.nan)
    labels = None
    if columns.labels is not None:
        labels = as_labels(frame.iloc[:, names.index(columns.labels)].to_numpy(), f"column {columns.labels!r}")
    return ArraySource(matrix, unit="row", labels=labels, feature_names=[names[i] for i in features])


def _numpy_type(column: Any) -> np.dtype:
    """The NumPy type that holds a pandas column; missing values need a floating-point one."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        return dtype
    plain = np.dtype(getattr(dtype, "numpy_dtype", None) or dtype.subtype)
    return np.result_type(plain, np.float64) if plain.kind in "biu" and column.isna().any() else plain


def arrow_source(table: Any, columns: Columns, name: str | None = None) -> ArraySource:
    """A pyarrow Table."""
    import pyarrow as pa

    def unfit(i: int) -> str | None:
        type_ = table.schema.types[i]
        numeric = pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_)
        if numeric or pa.types.is_decimal(type_):
            return None
        return "nothing" if pa.types.is_null(type_) else _example(table.column(i))

    what = name or "the table"
    features = columns.choose(table.column_names, unfit, what)
    arrays = [_as_numbers(table.column(i)) for i in features]
    matrix = np.empty((table.num_rows, len(features)), np.result_type(*(a.type.to_pandas_dtype() for a in arrays)))
    for j, array in enumerate(arrays):
        matrix[:, j] = array.to_numpy()
    labels = None
    if columns.labels is not None:
        column = table.column(columns.labels)
        number = pa.types.is_integer(column.type) and not column.null_count
        labels = as_labels(column.to_numpy() if number else column.to_pylist(), f"column {columns.labels!r} of {what}")
    names = [table.column_names[i] for i in features]
    return ArraySource(matrix, name=name, unit="row", labels=labels, feature_names=names)


def _as_numbers(column: Any) -> Any:
    """An Arrow column in a type that NumPy has; missing values become NaN."""
    import pyarrow as pa

    gaps = column.null_count and not pa.types.is_floating(column.type)
    return column.cast(pa.float64(), safe=False) if gaps or pa.types.is_decimal(column.type) else column


def _example(column: Any) -> str:
    """The type of a column and its first entry that is no number: "string, 'yes' in row 17"."""
    for row, value in enumerate(column.slice(0, 100_000)):
        text = value.as_py()
        if text is not None and not _is_number(str(text)):
            return f"{column.type}, {str(text)[:40]!r} in row {row}"
    return str(column.type)


def parquet_source(path: Path, columns: Columns) -> ArraySource:
    """A Parquet file."""
    import pyarrow.parquet

    with reading(path, "a Parquet file"):
        table = pyarrow.parquet.ParquetFile(path).read()
    return arrow_source(table, columns, str(path))


def feather_source(path: Path, columns: Columns) -> ArraySource:
    """An Arrow IPC file (Feather version 2), or an Arrow IPC stream."""
    import pyarrow as pa

    with reading(path, "an Arrow file"), pa.memory_map(str(path)) as file:
        try:
            table = pa.ipc.open_file(file).read_all()
        except pa.ArrowInvalid:
            file.seek(0)
            table = pa.ipc.open_stream(file).read_all()
        return arrow_source(table, columns, str(path))


def csv_source(path: Path, columns: Columns) -> ArraySource:
    """A text file of numbers separated by commas, semicolons or tabs, with or without a line of names.

    The first line holds names unless all its entries are numbers; 0, 1, 2, ... are names too (pandas writes them).
    A first column without a name that counts the rows is pandas' index, and left out.
    """
    from pyarrow import csv as arrow_csv

    with reading(path, "a CSV file"):
        first, second = _first_lines(path)
        delimiter = max("\t;,|", key=first.count)
        cells = next(csv.reader([first], delimiter=delimiter), [])
        named = _is_header(cells)
        decimal = "," if delimiter == ";" and "," in second and "." not in second else "."
        parse = arrow_csv.ParseOptions(delimiter=delimiter)
        convert = arrow_csv.ConvertOptions(decimal_point=decimal)
        read = arrow_csv.ReadOptions(column_names=None if named else [f"x{i}" for i in range(len(cells))])
        try:
            table = arrow_csv.read_csv(path, read, parse, convert)
        except ValueError:  # read it again on one thread: then the message says in which row the fault is
            read.use_threads = False
            table = arrow_csv.read_csv(path, read, parse, convert)
        if table.num_columns > 1 and not table.column_names[0] and _counts_rows(table.column(0)):
            table = table.remove_column(0)
    return arrow_source(table, columns, str(path))


def _first_lines(path: Path) -> tuple[str, str]:
    import pyarrow as pa

    with pa.input_stream(str(path)) as stream:  # decompresses by the file's suffix
        head = stream.read(1 << 20).decode("utf-8-sig", errors="replace")
    first, second, *_ = [*[line for line in head.splitlines() if line.strip()][:2], "", ""]
    return first, second


def _is_header(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    counted = len(filled) > 2 and filled == [str(i) for i in range(len(filled))]
    return counted or not all(_is_number(cell) for cell in filled)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ".", 1))
    except ValueError:
        return False
    return True


def _counts_rows(column: Any) -> bool:
    array = column.to_numpy()
    return array.dtype.kind in "iu" and np.array_equal(array, np.arange(len(array)))


def read_table(path: Any) -> Any:
    """The table in a file as an Arrow table; None for a file that holds none."""
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(str(path)) if str(path).endswith(".csv") else None
