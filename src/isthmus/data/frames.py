"""Data frames of pandas, polars and Arrow as Arrow tables, and back."""

from __future__ import annotations

import importlib.util
from typing import Any

from isthmus.errors import IsthmusError


def is_frame(data: Any) -> bool:
    """Whether these are data with named columns."""
    return hasattr(data, "columns") and (hasattr(data, "iloc") or hasattr(data, "__arrow_c_stream__"))


def frame_kind(data: Any) -> str:
    """What kind of data frame: "pandas", "polars" or "arrow". Of a file: pandas where it is installed, else Arrow."""
    module = type(data).__module__.partition(".")[0]
    if module in ("pandas", "polars"):
        return module
    if module != "pyarrow" and not is_frame(data) and importlib.util.find_spec("pandas") is not None:
        return "pandas"
    return "arrow"


def as_table(frame: Any) -> Any:
    """A data frame as an Arrow table; a pandas index is left aside.

    Raises IsthmusError for two columns of one name, and for a column of mixed types, with its row.
    """
    import pyarrow as pa

    if isinstance(frame, pa.Table):
        return frame
    if not hasattr(frame, "iloc"):
        return pa.table(frame)
    names = list(frame.columns)
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise IsthmusError(f"the data frame has two columns of the name {str(twice)!r}; rename one of them")
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError) as error:
        raise _what_is_mixed(frame, error) from error


def _what_is_mixed(frame: Any, error: Exception) -> IsthmusError:
    """The column of a pandas frame that is of no one type, and the first row that differs from those before."""
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        known = [(row, value) for row, value in enumerate(column) if value is not None and value == value]
        other = next((pair for pair in known if type(pair[1]) is not type(known[0][1])), None)
        if column.dtype == object and other is not None:
            first, (row, value) = known[0], other
            return IsthmusError(
                f"column {str(name)!r} mixes types: {value!r} ({type(value).__name__}) in row {row}, after "
                f"{first[1]!r} ({type(first[1]).__name__}) in row {first[0]}; make it one type, as with .astype(str)"
            )
    return IsthmusError(f"the data frame cannot be read: {' '.join(str(error).split())}")


def as_frame(table: Any, kind: str, index: Any = None) -> Any:
    """An Arrow table as a data frame of a kind that `frame_kind` names. index : of a pandas frame."""
    if kind == "pandas":
        frame = table.to_pandas()
        if index is not None and len(index) == len(frame):
            frame.index = index
        return frame
    if kind == "polars":
        import polars

        return polars.from_arrow(table)
    return table
