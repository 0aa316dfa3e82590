"""What the report of a model of tables shows, measured once on a bounded number of rows.

Errors of all kinds of columns are told in one unit: what the simplest guess costs in that column, which is the mean of
numbers and dates, and the commonest value of categories. 0 is no error, 1 is no better than that guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.data.columns import Column
from isthmus.data.frames import as_table
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource
from isthmus.evaluation.baselines import pca_baseline
from isthmus.evaluation.directions import code_plane
from isthmus.evaluation.opening import open_for_model
from isthmus.evaluation.study import MOST_TEST, MOST_TRAIN, Classes, choose, classes_of
from isthmus.evaluation.theme import share
from isthmus.words import count

_LEAST_ERROR = 0.01  # of the simplest guess: of columns that nearly always hold one value


@dataclass(frozen=True)
class ColumnQuality:
    """How well one column comes back.

    ours, pca, simple : of numbers and dates, the share of their variance that is kept; of categories, the share of
    cells that are right. simple is the mean or the commonest value. errors : ours and PCA's, where simple's are 1.
    """

    column: Column
    ours: float
    pca: float
    simple: float
    errors: tuple[float, float]
    cells: int


@dataclass(frozen=True)
class TableStudy:
    """A model's reconstructions of a table's rows, and those of PCA of the same features with as many numbers.

    data : what the source of the test rows is called. read_as : how the data were read.
    originals, rebuilt : Arrow tables with the model's columns.
    values : of the originals, float64 (n, columns), NaN where missing.
    rebuilt_values : the same of what was rebuilt.
    costs, pca_costs : the error of each cell divided by that of the simplest guess in its column, NaN where missing.
    places : row numbers in the data that were given. plane, classes : as in `Study`.
    """

    data: str
    scaler: TableScaler
    read_as: str
    originals: Any
    rebuilt: Any
    values: np.ndarray
    rebuilt_values: np.ndarray
    costs: np.ndarray
    pca_costs: np.ndarray
    qualities: tuple[ColumnQuality, ...]
    codes: np.ndarray
    plane: tuple[np.ndarray, tuple[str, str]]
    places: np.ndarray
    classes: Classes | None
    history: tuple[Mapping[str, Any], ...]
    description: Mapping[str, str]
    samples_given: int
    pca_components: int
    pca_samples: int

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that the network sees."""
        return self.scaler.schema.used

    @property
    def code_size(self) -> int:
        """Numbers in a code."""
        return int(self.codes.shape[1])

    @property
    def error(self) -> float:
        """The mean over the columns of what is left of the simplest guess's error."""
        return _mean(quality.errors[0] for quality in self.qualities)

    @property
    def pca_error(self) -> float:
        """The same for PCA."""
        return _mean(quality.errors[1] for quality in self.qualities)

    def written(self, error: float) -> str:
        """Such an error as text."""
        return share(error)

    @property
    def error_in_words(self) -> str:
        """What `error` is."""
        return f"what is left of the error of means and commonest values, over {count(len(self.values), 'row')}"

    @property
    def row_errors(self) -> np.ndarray:
        """The mean cost of each row's known cells, (n,)."""
        return _row_errors(self.costs)


def table_study(
    model: Any,
    *,
    train: Any,
    test: Any,
    labels: Any = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
) -> TableStudy:
    """Measure a model of tables on at most 10,000 rows of `test`; see `report` for the arguments."""
    source, training = open_for_model(model, test), open_for_model(model, train)
    assert isinstance(source, TableSource) and isinstance(training, TableSource)
    scaler: TableScaler = model.scaler_
    rng = np.random.default_rng(0)  # the choice of rows is part of what is measured: always the same
    chosen, fitted = choose(len(source), MOST_TEST, rng), choose(len(training), MOST_TRAIN, rng)
    rows = source.subset(chosen)
    values = rows.take(np.arange(len(rows)))
    codes = np.asarray(model.transform(rows), np.float32)
    codes = codes.reshape(len(codes), -1)
    rebuilt = as_table(model.inverse_transform(codes.reshape(-1, *model.code_shape_)))
    pca_codes, pca_values = pca_of_table(scaler, model, training.subset(fitted), rows, codes.shape[1])
    rebuilt_values = scaler.schema.encode(rebuilt)
    costs = cell_costs(scaler, values, rebuilt_values)
    pca_costs = cell_costs(scaler, values, pca_values)
    columns = zip(scaler.schema.used, costs.T, pca_costs.T, _simple(scaler, values), strict=True)
    qualities = [_quality(*each) for each in columns if not np.isnan(each[1]).all()]
    return TableStudy(
        data=source.name,
        scaler=scaler,
        read_as=source.said,
        originals=rows.table,
        rebuilt=rebuilt,
        values=values,
        rebuilt_values=rebuilt_values,
        costs=costs,
        pca_costs=pca_costs,
        qualities=tuple(qualities),
        codes=codes,
        plane=code_plane(codes, _row_errors(costs), flat=len(model.code_shape_) == 1),
        places=rows.rows,
        classes=classes_of(source.labels if labels is None else labels, class_names, len(source), chosen),
        history=tuple(model.history_),
        description=dict(model.describe()),
        samples_given=len(source),
        pca_components=pca_codes.shape[1],
        pca_samples=len(fitted),
    )


def pca_of_table(
    scaler: TableScaler, model: Any, train: TableSource, test: TableSource, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """PCA of standardised numbers and one-hot categories: codes (n, size) of test rows, and their rows rebuilt.

    What is rebuilt are values (n, columns) after the same way back as the model's: the likeliest category, rounding.
    """
    fitted, features = (model.scale(rows)[:, : scaler.width] for rows in (train, test))
    pca = pca_baseline(fitted, features, size)
    return pca.codes, _way_back(scaler, pca.reconstruction)


def table_errors(model: Any, rows: TableSource, codes: np.ndarray, pca: np.ndarray) -> tuple[float, float]:
    """The errors of a model's reconstructions of rows and of PCA's, as in `TableStudy.error`.

    codes : of the rows, as the model gives them. pca : reconstructed features (n, width or more).
    """
    scaler: TableScaler = model.scaler_
    values = rows.take(np.arange(len(rows)))
    ours = scaler.schema.encode(as_table(model.inverse_transform(codes)))
    both = [cell_costs(scaler, values, rebuilt) for rebuilt in (ours, _way_back(scaler, pca))]
    first, second = (_mean(np.nanmean(costs[:, ~np.isnan(costs).all(0)], axis=0)) for costs in both)
    return first, second


def _way_back(scaler: TableScaler, outputs: np.ndarray) -> np.ndarray:
    """Outputs as values (n, columns), after the same way back as the model's: the likeliest category, rounding."""
    import torch

    schema = scaler.schema
    return schema.encode(schema.decode(scaler.from_network(torch.from_numpy(outputs))))


def cell_costs(scaler: TableScaler, values: np.ndarray, rebuilt: np.ndarray) -> np.ndarray:
    """The error of each cell divided by the mean error of the simplest guess in its column: (n, columns).

    NaN where missing, and in columns that hold one value.
    """
    right, guess = scaler.comparable(values), scaler.comparable(rebuilt)
    costs = np.empty_like(right)
    for j, (column, simple) in enumerate(zip(scaler.schema.used, _simple(scaler, values), strict=True)):
        error = (right[:, j] != guess[:, j]).astype(float) if column.is_category else (right[:, j] - guess[:, j]) ** 2
        costs[:, j] = np.where(np.isnan(right[:, j]), np.nan, error / simple)
    return costs


def _simple(scaler: TableScaler, values: np.ndarray) -> list[float]:
    """The mean error of the training data's mean, and of its commonest value, in each column.

    NaN where it never errs: nothing can be said of a column that holds one value.
    """
    errors = []
    for column, right in zip(scaler.schema.used, scaler.comparable(values).T, strict=True):
        known = right[~np.isnan(right)]
        error = (known != 0).astype(float) if column.is_category else known**2
        wrong = float(error.mean()) if len(known) else 0.0
        errors.append(max(wrong, _LEAST_ERROR) if wrong > 1e-12 else np.nan)
    return errors


def _quality(column: Column, costs: np.ndarray, pca: np.ndarray, simple: float) -> ColumnQuality:
    ours, theirs = float(np.nanmean(costs)), float(np.nanmean(pca))
    kept, other = 1 - ours * simple, 1 - theirs * simple
    if not column.is_category:  # the share of the variance around the training data's mean
        kept, other, simple = 1 - ours, 1 - theirs, 1.0
    return ColumnQuality(column, kept, other, 1 - simple, (ours, theirs), int((~np.isnan(costs)).sum()))


def _row_errors(costs: np.ndarray) -> np.ndarray:
    known = ~np.isnan(costs)
    errors: np.ndarray = np.nansum(costs, axis=1) / known.sum(axis=1).clip(1)
    return errors


def _mean(values: Iterable[float]) -> float:
    some = list(values)
    return float(np.mean(some)) if some else 0.0
