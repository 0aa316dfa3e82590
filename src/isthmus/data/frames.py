"""Data frames of pandas, polars and Arrow as Arrow tables, and back."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from isthmus.data.column_types import MARKERS
from isthmus.errors import IsthmusError

FRAMES = ("pandas", "polars", "arrow")


def is_frame(data: Any) -> bool:
    """Whether these are data with named columns."""
    if hasattr(data, "collect_schema") and _library(data) == "polars":
        return True  # asking a lazy frame for its columns costs, and warns
    return hasattr(data, "columns") and (hasattr(data, "iloc") or hasattr(data, "__arrow_c_stream__"))


def frame_kind(data: Any) -> str:
    """What kind of data frame: "pandas", "polars" or "arrow". Of a file: pandas where it is installed, else Arrow."""
    module = _library(data)
    if module in ("pandas", "polars"):
        return module
    if module != "pyarrow" and not is_frame(data) and importlib.util.find_spec("pandas") is not None:
        return "pandas"
    return "arrow"


def as_table(frame: Any) -> Any:
    """A data frame as an Arrow table; a pandas index is left aside, names become text, a lazy frame is collected.

    Raises IsthmusError for two columns of one name, and for a column of mixed types, with its row.
    """
    import pyarrow as pa

    if hasattr(frame, "iloc"):
        return _from_pandas(frame)
    if _library(frame) == "polars":
        return _from_polars(frame.collect() if hasattr(frame, "collect") else frame)
    table = frame if isinstance(frame, pa.Table) else pa.table(frame)
    for i, (name, type_) in enumerate(zip(table.column_names, table.schema.types, strict=True)):
        if "_view" in str(type_):  # Arrow has no kernels that take rows of such
            table = table.set_column(i, name, table.column(i).cast(_without_views(type_)))
    return table


def as_frame(table: Any, kind: str, *, index: Any = None, like: Any = None) -> Any:
    """An Arrow table as a data frame of a kind that `frame_kind` names.

    index : of a pandas frame. like : a pandas frame whose columns' names and types are kept where they can be.
    """
    if kind == "pandas":
        return _to_pandas(table, index, like)
    if kind == "polars":
        import polars

        return polars.from_arrow(table)
    return table


def numbers_as_frame(values: np.ndarray, like: Any, names: Sequence[str] | None = None) -> Any:
    """Numbers (n, columns) as a data frame of the kind of `like`, with its index and its columns' types.

    names : of the columns, by default those of `like`.
    """
    import pyarrow as pa

    if names is None:
        names = like.column_names if hasattr(like, "column_names") else like.columns
    table = pa.table(dict(zip(map(str, names), values.T, strict=True)))
    kind = frame_kind(like)
    return as_frame(table, kind, index=like.index, like=like) if kind == "pandas" else as_frame(table, kind)


def _library(data: Any) -> str:
    return type(data).__module__.partition(".")[0]


def _without_views(type_: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        return pa.dictionary(type_.index_type, _without_views(type_.value_type), type_.ordered)
    return {"string_view": pa.large_string(), "binary_view": pa.large_binary()}.get(str(type_), type_)


def _from_polars(frame: Any) -> Any:
    wrong = next((name for name, dtype in frame.schema.items() if str(dtype) == "Object"), None)
    if wrong is not None:  # whose cells would come as addresses
        raise IsthmusError(f"column {wrong!r} holds Python objects, which no kind of column takes; leave it out")
    return frame.to_arrow()


def _from_pandas(frame: Any) -> Any:
    import pandas
    import pyarrow as pa

    names = [str(name) for name in frame.columns]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise IsthmusError(f"the data frame has two columns of the name {twice!r}; rename one of them")
    frame = frame.set_axis(names, axis=1)  # a shallow copy
    for i, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, pandas.SparseDtype):
            frame.isetitem(i, frame.iloc[:, i].sparse.to_dense())
        elif isinstance(dtype, pandas.CategoricalDtype) and isinstance(dtype.categories.dtype, pandas.IntervalDtype):
            frame.isetitem(i, frame.iloc[:, i].cat.rename_categories(str))  # Arrow has no intervals
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError) as error:
        cleaned = _without_markers(frame)
        if cleaned is frame:
            raise _what_is_wrong(frame, error) from error
        return _from_pandas(cleaned)


def _without_markers(frame: Any) -> Any:
    """Columns of objects with None in place of texts like "?"; the frame itself where there are none."""
    cleaned = frame
    for i, dtype in enumerate(frame.dtypes):
        marked = frame.iloc[:, i].isin(MARKERS) if dtype.kind == "O" else None
        if marked is not None and marked.any():
            cleaned = cleaned.copy(deep=False) if cleaned is frame else cleaned
            cleaned.isetitem(i, frame.iloc[:, i].mask(marked, None))
    return cleaned


def _what_is_wrong(frame: Any, error: Exception) -> IsthmusError:
    """The column of a pandas frame that is of no one type and the first row that differs, or of a type Arrow lacks."""
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        if column.dtype.kind != "O":
            continue
        cells = [(row, value) for row, value in enumerate(column) if value is not None and value == value]
        other = next((pair for pair in cells if type(pair[1]) is not type(cells[0][1])), None)
        if other is not None:
            first, (row, value) = cells[0], other
            return IsthmusError(
                f"column {name!r} mixes types: {value!r} ({type(value).__name__}) in row {row}, after "
                f"{first[1]!r} ({type(first[1]).__name__}) in row {first[0]}; make it one type, as with .astype(str)"
            )
    found = re.search(r"Conversion failed for column (.*) with type", str(error))
    if found is not None and found[1] in frame.columns:
        column = frame[found[1]]
        value = next((v for v in column if v is not None), None)
        return IsthmusError(
            f"column {found[1]!r} holds {type(value).__name__} ({str(value)[:40]} in row 0), which no kind of column "
            f"takes; leave it out"
        )
    return IsthmusError(f"the data frame cannot be read: {' '.join(str(error).split())}")


def _to_pandas(table: Any, index: Any, like: Any) -> Any:
    """A pandas frame with the types that its columns had, as `like` or the table's own metadata say."""
    import pandas

    names = [str(name) for name in like.columns] if like is not None else []
    dtypes = dict(zip(names, like.dtypes, strict=True)) if like is not None else _recorded(table)
    columns = [
        _series(column, dtypes.get(name)) for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    frame = pandas.DataFrame(dict(enumerate(columns)))
    if set(table.column_names) <= set(names):
        frame.columns = like.columns[[names.index(name) for name in table.column_names]]
    else:
        frame.columns = table.column_names
    if index is not None and len(index) == len(frame):
        frame.index = index
    return frame


def _recorded(table: Any) -> Mapping[str, Any]:
    """The types of columns that pandas left in a table's metadata, as far as this pandas knows them."""
    import pandas

    metadata = (table.schema.metadata or {}).get(b"pandas")
    found = {}
    for entry in json.loads(metadata)["columns"] if metadata else ():
        name, text = entry["field_name"], str(entry["numpy_type"])
        if text.endswith("[pyarrow]") and name in table.column_names and text != "string[pyarrow]":
            found[name] = pandas.ArrowDtype(table.schema.field(name).type)
        elif entry["pandas_type"] != "categorical":
            with suppress(TypeError):
                found[name] = pandas.api.types.pandas_dtype(text)
    return found


def _series(column: Any, dtype: Any) -> Any:
    """An Arrow column as a pandas series, in a type if it can be that without a change of its values."""
    import pandas

    if dtype is not None and hasattr(dtype, "__from_arrow__") and not isinstance(dtype, pandas.CategoricalDtype):
        with suppress(Exception):  # a type of somebody else's may raise anything
            return pandas.Series(dtype.__from_arrow__(column)).astype(dtype)
    series = column.to_pandas()
    if dtype is None or series.dtype == dtype:
        return series
    if isinstance(dtype, pandas.CategoricalDtype):
        by_text = {str(category): category for category in dtype.categories}
        if not isinstance(series.dtype, pandas.CategoricalDtype) or not set(map(str, series.dropna())) <= set(by_text):
            return series
        return series.astype(object).map(lambda cell: by_text.get(str(cell))).astype(dtype)
    with suppress(ValueError, TypeError, OverflowError):
        cast = series.astype(dtype)
        if series.isna().equals(cast.isna()) and (dtype.kind == "O" or (cast == series)[series.notna()].all()):
            return cast
    return series
