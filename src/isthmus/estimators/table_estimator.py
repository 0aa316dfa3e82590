"""What estimators of tables with columns of any kind do alike: frames, files and matrices with NaN in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from isthmus.data.columns import TableSchema
from isthmus.data.frames import is_frame
from isthmus.data.sources import Source, open_source
from isthmus.data.table_source import TableSource, array_source, open_table
from isthmus.errors import IsthmusError, sklearn_validation
from isthmus.estimators.base import Estimator


class TableEstimator(Estimator):
    """Base of estimators that have `column_kinds`, `missing_values` and `missing_columns` among their parameters."""

    column_kinds: Mapping[str, str] | None
    missing_values: Sequence[Any]
    missing_columns: str

    def _open_table(self, X: Any, schema: TableSchema | None) -> TableSource:
        """The user's table as a source, and scikit-learn's bookkeeping. schema : that of the training data."""
        reset = schema is None
        if is_table_like(X):
            source = open_table(
                X, self.column_kinds, self.missing_values, schema=schema, missing_columns=self.missing_columns
            )
            if source is not None:
                if reset:
                    names = [column.name for column in source.schema.columns]
                    self.n_features_in_, self.feature_names_in_ = len(names), np.asarray(names, object)
                return source
            X = open_source(X)
        if isinstance(X, Source):
            X = matrix_of(X)
        with sklearn_validation():
            X = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        return array_source(X, self.column_kinds, self.missing_values, schema)

    def _json_params(self, params: dict[str, Any]) -> dict[str, Any]:
        kinds = params["column_kinds"]
        return params | {
            "column_kinds": None if kinds is None else dict(kinds),
            "missing_values": list(params["missing_values"]),
        }

    def _names_in(self) -> list[str] | None:
        """The names of the columns, as JSON values; None where they have none."""
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]


def matrix_of(source: Source) -> np.ndarray:
    """The rows of a file of numbers, as of .npy."""
    if len(source.shape) != 2:
        raise IsthmusError(
            f"{source.name} is no table: samples have shape {source.shape[1:]}; give a data frame, rows of numbers, or "
            "a CSV, Parquet, Arrow or JSON lines file"
        )
    resident = source.resident()
    return source.take(np.arange(len(source))) if resident is None else resident


def is_table_like(X: Any) -> bool:
    """Whether X is a data frame, a path or a source, and no array."""
    return is_frame(X) or isinstance(X, str | Path | TableSource)
