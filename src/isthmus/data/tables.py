"""Tables as sources: data frames, Arrow tables, CSV, Parquet and Feather files.

A table is read into memory as one numeric matrix, in the narrowest type that holds all its columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import ArraySource, Source
from isthmus.data.csv_dialect import Dialect
from isthmus.data.csv_files import read_verbatim, refuse_unclear
from isthmus.data.in_memory import as_numbers
from isthmus.data.labels import as_labels
from isthmus.data.reading import reading
from isthmus.data.table_files import read_arrow
from isthmus.errors import IsthmusError, ReadingError, unknown_name, warn

_INDEX_COLUMN = re.compile(r"__index_level_\d+__")  # how pandas stores a row index in Arrow and Parquet


class Columns:
    """Which columns of a table are features and which one holds the labels.

    only : the features by name, in their order, where they are known; others are left out with a warning.
    """

    def __init__(self, labels: str | None = None, drop: Sequence[str] = (), only: Sequence[str] | None = None) -> None:
        self.labels = None if labels is None else str(labels)
        self.drop = (drop,) if isinstance(drop, str) else tuple(map(str, drop))
        self.only = None if only is None else tuple(map(str, only))

    def choose(
        self, names: Sequence[str], unfit: Callable[[int], str | None], table: str, index: Sequence[str] = ()
    ) -> list[int]:
        """The positions of the features. unfit : says of a column what it holds instead of numbers. index : names of
        columns that number the rows."""
        for name in (*self.drop, *([] if self.labels is None else [self.labels])):
            if name not in names:
                raise unknown_name(f"column of {table}", name, names)
        aside = {*self.drop, self.labels, *(name for name in names if _INDEX_COLUMN.fullmatch(name))}
        if self.only is None:
            features = [i for i, name in enumerate(names) if name not in aside and name not in index]
        else:
            features = matching(self.only, names, table, aside={*aside, *index})
        wrong = {names[i]: what for i in features if (what := unfit(i)) is not None}
        if wrong:
            raise _no_numbers(table, wrong)
        if not features:
            raise IsthmusError(f"{table} has 0 feature(s) (shape=(?, 0)) while a minimum of 1 is required.")
        return features

    def takes(self, name: str) -> bool:
        """Whether a column is a feature, if it holds numbers."""
        return name in self.only if self.only is not None else name not in (*self.drop, self.labels)


def matching(wanted: Sequence[str], names: Sequence[str], table: str, aside: Collection[str | None] = ()) -> list[int]:
    """The positions of the columns that a model was trained with, in its order; columns are matched by name.

    aside : columns that are known to be no features. Others that are not wanted are named in a warning. Raises
    IsthmusError for a column that is missing.
    """
    places = {name: i for i, name in enumerate(names)}
    missing = [name for name in wanted if name not in places]
    if missing:
        raise IsthmusError(
            f"{table} has no column {', '.join(map(repr, missing[:5]))}{', ...' if len(missing) > 5 else ''}, "
            f"with which the model was trained; its columns: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        )
    extra = [name for name in names if name not in set(wanted) and name not in aside]
    if extra:
        listed = ", ".join(map(repr, extra[:5])) + (f" and {len(extra) - 5} more" if len(extra) > 5 else "")
        warn(f"{table}: columns that the model was not trained with are left out: {listed}")
    return [places[name] for name in wanted]


def matched(source: Source, wanted: Sequence[str] | None) -> Source:
    """A source with the columns that a model was trained with, in its order, where both have names."""
    if wanted is None or source.feature_names is None:
        return source
    places = matching(tuple(map(str, wanted)), source.feature_names, source.name)
    return source if places == list(range(source.shape[1])) else _SomeColumns(source, places)


class _SomeColumns(Source):
    """Some columns of a table, in another order."""

    def __init__(self, source: Source, places: Sequence[int]) -> None:
        assert source.feature_names is not None
        super().__init__(
            (len(source), len(places)),
            source.dtype,
            name=source.name,
            labels=source.labels,
            feature_names=[source.feature_names[i] for i in places],
        )
        self._source = source
        self._places = list(places)

    def _take(self, indices: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self._source.take(indices)[:, self._places])

    def location(self, index: int) -> str:
        return self._source.location(index)


def _no_numbers(table: str, wrong: Mapping[str, str]) -> ReadingError:
    listed = ", ".join(f"{name!r} ({what})" for name, what in list(wrong.items())[:5])
    more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return ReadingError(
        f"{table} has columns that hold no numbers: {listed}{more}",
        f"leave them out, as in open_source(..., drop_columns={list(wrong)[:5]!r}), or make one of them labels_column",
        "leave them out with --drop-column, or name one of them with --labels-column",
    )


def frame_source(frame: Any, columns: Columns) -> ArraySource:
    """A pandas DataFrame; one whose columns share one NumPy type is not copied."""
    names = [str(name) for name in frame.columns]
    frame = _with_numbers(frame)
    dtypes = list(frame.dtypes)

    def unfit(i: int) -> str | None:
        return None if dtypes[i].kind in "biuf" else str(dtypes[i])

    features = columns.choose(names, unfit, "the data frame")
    chosen = frame if features == list(range(len(names))) else frame.iloc[:, features]
    common = np.result_type(*(_numpy_type(frame.iloc[:, i]) for i in features))
    if all(isinstance(dtypes[i], np.dtype) for i in features):
        matrix = chosen.to_numpy(dtype=common)
    else:
        matrix = chosen.to_numpy(dtype=common, na_value=np.nan)
    labels = None
    if columns.labels is not None:
        labels = as_labels(frame.iloc[:, names.index(columns.labels)].to_numpy(), f"column {columns.labels!r}")
    return ArraySource(matrix, unit="row", labels=labels, feature_names=[names[i] for i in features])


def _with_numbers(frame: Any) -> Any:
    """A data frame whose columns of Python's numbers are such of NumPy's."""
    objects = [i for i, dtype in enumerate(frame.dtypes) if isinstance(dtype, np.dtype) and dtype.kind == "O"]
    columns = {i: as_numbers(frame.iloc[:, i].to_numpy()) for i in objects}
    found = {i: values for i, values in columns.items() if values.dtype != object}
    frame = frame.copy(deep=False) if found else frame
    for i, values in found.items():
        frame.isetitem(i, values)
    return frame


def _numpy_type(column: Any) -> np.dtype:
    """The NumPy type that holds a pandas column; missing values need a floating-point one."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        return dtype
    plain = np.dtype(getattr(dtype, "numpy_dtype", None) or dtype.subtype)
    return np.result_type(plain, np.float64) if plain.kind in "biu" and column.isna().any() else plain


def arrow_source(table: Any, columns: Columns, name: str | None = None, index: Sequence[str] = ()) -> ArraySource:
    """A pyarrow Table. index : names of columns that number the rows."""
    import pyarrow as pa

    names, types = table.column_names, table.schema.types  # made anew each time they are asked for

    def unfit(i: int) -> str | None:
        type_ = types[i]
        if is_number(type_) or pa.types.is_decimal(type_):
            return None
        return "nothing" if pa.types.is_null(type_) else _example(table.column(i))

    what = name or "the table"
    features = columns.choose(names, unfit, what, index)
    arrays = [_as_numbers(table.column(i)) for i in features]
    common = np.result_type(*(type_.to_pandas_dtype() for type_ in {a.type for a in arrays}))
    matrix = as_matrix(arrays, common)
    labels = None
    if columns.labels is not None:
        labels = labels_of(table.column(names.index(columns.labels)), f"column {columns.labels!r} of {what}")
    return ArraySource(matrix, name=name, unit="row", labels=labels, feature_names=[names[i] for i in features])


def is_number(type_: Any) -> bool:
    """Whether cells of an Arrow type are numbers that NumPy has."""
    import pyarrow.types as types

    return bool(types.is_integer(type_) or types.is_floating(type_) or types.is_boolean(type_))


def as_matrix(columns: Sequence[Any], dtype: np.dtype) -> np.ndarray:
    """Arrow columns of numbers beside each other, (n, columns); missing cells are NaN."""
    matrix = np.empty((len(columns[0]), len(columns)), dtype)
    for j, column in enumerate(columns):
        matrix[:, j] = column.to_numpy()
    return matrix


def labels_of(column: Any, what: str) -> np.ndarray:
    """An Arrow column as labels. what : it is called in messages."""
    import pyarrow as pa

    number = pa.types.is_integer(column.type) and not column.null_count
    return as_labels(column.to_numpy() if number else column.to_pylist(), what)


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


def file_source(path: Path, columns: Columns) -> ArraySource:
    """A file that holds a table, in a format other than text."""
    with reading(path, "a table"):
        return arrow_source(read_arrow(path), columns, str(path))


class CsvSource(ArraySource):
    """The rows of a text table. dialect : how it was read."""

    def __init__(self, source: ArraySource, dialect: Dialect) -> None:
        self.__dict__ |= source.__dict__
        self.dialect, self.said = dialect, dialect.sentence


def csv_source(path: Path, columns: Columns, settings: Mapping[str, Any] | Dialect | None = None) -> CsvSource:
    """A text table, whose notation and layout `isthmus.data.csv_files` finds out; `settings` of these are given.

    Columns that number or name the rows are no features, unless they are asked for.
    """
    table, dialect = read_verbatim(path, settings)
    refuse_unclear(dialect, path, columns.takes)
    return CsvSource(arrow_source(table, columns, str(path), index=dialect.index), dialect)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ".", 1))
    except ValueError:
        return False
    return True
