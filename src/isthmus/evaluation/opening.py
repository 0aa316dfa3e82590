"""The user's data as the source that a model takes."""

from __future__ import annotations

from typing import Any

from isthmus.data.folders import OnMixedSizes
from isthmus.data.sources import Source, open_source
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import open_table
from isthmus.errors import IsthmusError


def open_for_model(model: Any, X: Any, on_mixed_sizes: OnMixedSizes = "refuse") -> Source:
    """X as a source: the columns of tables are matched by the names that the model was trained with.

    Raises IsthmusError where the model takes tables with columns of any kind, and X is none.
    """
    scaler = getattr(model, "scaler_", None)
    if isinstance(scaler, TableScaler):
        table = open_table(X, schema=scaler.schema)
        if table is None:
            raise IsthmusError(f"this model takes tables; give a data frame or the file of a table, not {_kind(X)}")
        return table
    return open_source(X, on_mixed_sizes=on_mixed_sizes, columns=getattr(model, "feature_names_in_", None))


def _kind(X: Any) -> str:
    return X if isinstance(X, str) else f"a {type(X).__name__}"
