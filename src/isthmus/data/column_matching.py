"""Columns of new data beside those that a model was trained with: found by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from isthmus.data.columns import TableSchema, refuse_twice
from isthmus.errors import IsthmusError, unknown_name, warn

MissingColumns = Literal["refuse", "fill"]
MISSING_COLUMNS: tuple[str, ...] = get_args(MissingColumns)


def matched_by_name(table: Any, schema: TableSchema, missing_columns: str) -> Any:
    """An Arrow table with all columns that a schema uses; `columns_to_fill` decides which may be missing."""
    return with_empty_columns(table, columns_to_fill(table.column_names, schema, missing_columns), schema)


def columns_to_fill(names: Sequence[str], schema: TableSchema, missing_columns: str) -> list[str]:
    """The columns that a table with these names lacks, to be filled as unknown; extra columns only cause a warning.

    missing_columns : "refuse", or "fill" with a warning. Raises IsthmusError for a name that occurs twice, and for a
    column that is missing where that is refused.
    """
    if missing_columns not in MISSING_COLUMNS:
        raise unknown_name("missing_columns", missing_columns, MISSING_COLUMNS)
    refuse_twice(names)
    known = {column.name for column in schema.columns}
    others = [name for name in names if name not in known]
    if others:
        warn(f"columns that the model does not know are ignored: {_listed(others)}")
    lacking = [column.name for column in schema.used if column.name not in names]
    if lacking and missing_columns == "refuse":
        what = f"column {_listed(lacking)}" if len(lacking) == 1 else f"columns {_listed(lacking)}"
        raise IsthmusError(
            f"the table lacks {what}, which the model was trained with; missing_columns='fill' (--missing-columns fill "
            f"on the command line) takes such cells for unknown"
        )
    if lacking:
        warn(f"columns that the model was trained with are missing, and count as unknown: {_listed(lacking)}")
    return lacking


def with_empty_columns(table: Any, names: Sequence[str], schema: TableSchema) -> Any:
    """An Arrow table with empty columns added under these names, in the types of a schema."""
    import pyarrow as pa

    for name in names:
        table = table.append_column(name, pa.nulls(table.num_rows, schema.arrow.field(name).type))
    return table


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:4])) + (", ..." if len(names) > 4 else "")
