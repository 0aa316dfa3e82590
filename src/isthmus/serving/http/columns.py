"""Tables as tensors, one for each column, in requests and in answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isthmus.data.columns import TableSchema
from isthmus.serving.http.limits import Refusal


def as_arrow(columns: Mapping[str, Any], schema: TableSchema) -> Any:
    """Columns as an Arrow table with the types that a schema says, as far as they decide what a cell means.

    columns : lists or arrays (n,) or (n, 1) by name; None and NaN are missing. Raises `Refusal` where one has cells
    that the column does not take, or another number of them.
    """
    import pyarrow as pa

    arrays = {name: _column(name, values, schema) for name, values in columns.items()}
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in list(arrays.items())[:4])
        raise Refusal(400, f"columns have different lengths: {lengths}")
    return pa.table(arrays)


def _column(name: str, values: Any, schema: TableSchema) -> Any:
    import pyarrow as pa

    if isinstance(values, np.ndarray):
        if values.size != len(values):
            raise Refusal(400, f"column {name[:60]!r} has shape {list(values.shape)}; give one value a row")
        values = values.ravel()
        if values.dtype == object:
            values = [value.decode() if isinstance(value, bytes) else value for value in values]
    try:
        array = pa.array(values, from_pandas=True)
        index = schema.arrow.get_field_index(name)
        wanted = schema.arrow.field(index).type if index >= 0 else array.type
        if pa.types.is_null(array.type) or (pa.types.is_temporal(wanted) and pa.types.is_string(array.type)):
            return array.cast(wanted)
        return array
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        said = " ".join(str(error).split())[:200]
        raise Refusal(400, f"column {name[:60]!r} cannot be read: {said}") from error


def as_tensors(name: str, table: Any) -> dict[str, np.ndarray]:
    """The columns of an Arrow table as arrays (n,), called NAME.COLUMN; texts and dates as objects."""
    return {f"{name}.{column}": _array(table.column(column)) for column in table.column_names}


def _array(column: Any) -> np.ndarray:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or (pa.types.is_boolean(kind) and not column.null_count):
        numbers: np.ndarray = column.to_numpy()
        return numbers
    found = np.empty(len(column), object)
    found[:] = [None if value is None else str(value) for value in column.to_pylist()]
    return found
