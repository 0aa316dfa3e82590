"""Data in, scaled, through a network, and out: what estimators with a scaler and a network do alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from isthmus.data.in_memory import is_list_of_arrays, is_list_of_paths, loaded, nested, refuse_masked
from isthmus.data.scaling import Scaler, check_finite
from isthmus.data.sources import Source, open_source
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource, open_table
from isthmus.data.units import check_units, in_units_of
from isthmus.device import choose_device, move
from isthmus.errors import IsthmusError, sklearn_validation
from isthmus.estimators.base import Estimator
from isthmus.networks import AutoEncoderNetwork
from isthmus.training.feed import as_tensor
from isthmus.training.task import in_memory_order

_BATCH_NUMBERS = 1 << 19  # numbers in one batch of inference: enough to keep the cores busy, little memory


class NetworkEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base of the estimators: data in, network, data out. Subclasses define `__init__` and `fit`."""

    scaler_: Scaler
    network_: AutoEncoderNetwork

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []  # codes are float32, whatever comes in
        tags.non_deterministic = False
        return tags

    def _open(self, X: Any, *, reset: bool) -> Source:
        """The user's data as a source, in the model's units; scikit-learn's bookkeeping of tables in memory.

        Columns are matched by name: they come in the order of the training data, and others are left out.
        """
        table = self._table(X, reset=reset)
        if isinstance(table, TableSource):
            return table
        X = loaded(X)
        refuse_masked(X)
        named = hasattr(X, "columns") and hasattr(X, "iloc")  # what scikit-learn knows to have names
        if is_array_like(X):
            with sklearn_validation():
                X = validate_data(self, X, reset=reset, dtype="numeric", ensure_all_finite=False)
            source = open_source(X)
        else:
            columns = None if reset else getattr(self, "feature_names_in_", None)
            source = open_source(X, columns=columns) if table is None else table
            if reset and named:
                with sklearn_validation():
                    validate_data(self, X, skip_check_array=True)
            if reset and not (named and _are_positions(X.columns)):
                self._remember_columns(source)
        if len(source) == 0:
            raise IsthmusError(f"{source.name} holds 0 samples; at least 1 is needed")
        if reset:
            return source
        self._check_samples(source)
        return in_units_of(self.scaler_, source)

    def _table(self, X: Any, *, reset: bool) -> Source | None:
        """A table with columns of any kind, for models of such; a file of numbers that was read; None for the rest."""
        if reset or not isinstance(self.scaler_, TableScaler):
            return None
        asked = getattr(self, "missing_columns", "refuse")
        table = open_table(X, schema=self.scaler_.schema, missing_columns=asked)
        if table is None:
            names = ", ".join(column.name for column in self.scaler_.schema.used[:4])
            raise IsthmusError(f"this model takes tables with named columns ({names}, ...), as a data frame or a file")
        return table

    def _remember_columns(self, source: Source) -> None:
        if len(source.shape) == 2:
            self.n_features_in_ = source.shape[1]
        if source.feature_names is not None:
            self.feature_names_in_ = np.asarray(source.feature_names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _check_samples(self, source: Source) -> None:
        trained, seen = self.scaler_.sample_shape, tuple(source.shape[1:])
        if seen != trained:
            raise IsthmusError(
                f"samples of {source.name} have shape {seen}, but the model was trained on samples of shape {trained}"
            )
        floats = [np.dtype(dtype).kind == "f" for dtype in (source.dtype, self.scaler_.dtype)]
        if floats[0] != floats[1] and (floats[0] or self.scaler_.kind == "range"):
            raise IsthmusError(
                f"samples of {source.name} are {source.dtype}, but the model was trained on {self.scaler_.dtype}; "
                f"give them with that dtype and in its units, since another range would be misread"
            )

    @torch.inference_mode()
    def _scaled_batches(self, source: Source, *, own_units: bool = True) -> Iterator[Tensor]:
        """The source in order as scaled batches on the network's device, checked for NaN and infinities.

        own_units : whether samples in other units than those of the training data are refused.
        """
        device = self._place()
        start = 0
        for chunk in source.chunks(self._batch_size()):
            if not isinstance(self.scaler_, TableScaler):
                check_finite(source, chunk, start)
                if own_units:
                    check_units(self.scaler_, chunk, source.name)
            start += len(chunk)
            x = self.scaler_.to_network(as_tensor(chunk).to(device))
            yield in_memory_order(x)

    def _batch_size(self) -> int:
        features = max(1, int(np.prod(self.scaler_.network_shape)))
        return max(1, min(4096, _BATCH_NUMBERS // features))

    def _place(self) -> torch.device:
        """Move the network to the device that `device` names, and return that."""
        check_is_fitted(self)
        device = choose_device(self.device)
        move(self.network_, device)
        return device

    def scale(self, X: Any) -> np.ndarray:
        """Data in scaled units, as the network sees it: float32 array of shape (n_samples, *network_shape).

        Images have shape (n_samples, channels, *spatial) and a range of about [0, 1]; columns of tables have mean 0
        and standard deviation 1. Numbers of any size are taken: what a decoder gives may be far from all data.
        """
        check_is_fitted(self)
        source = self._open(X, reset=False)
        scaled = np.empty((len(source), *self.scaler_.network_shape), np.float32)
        fill(scaled, (x.cpu().numpy() for x in self._scaled_batches(source, own_units=False)))
        return scaled


def _are_positions(names: Any) -> bool:
    """Whether columns are numbered 0, 1, 2, ..., as a data frame's are that were given no names."""
    return list(names) == list(range(len(names)))


def fill(target: np.ndarray, blocks: Iterator[np.ndarray]) -> None:
    """Write successive blocks into an array of their total length."""
    start = 0
    for block in blocks:
        target[start : start + len(block)] = block
        start += len(block)


def is_array_like(X: Any) -> bool:
    """Whether scikit-learn should look at it: arrays of up to two dimensions, lists of numbers, sparse matrices."""
    if isinstance(X, list | tuple):
        return nested(X) <= 2 and not (is_list_of_arrays(X) or is_list_of_paths(X))
    if isinstance(X, np.memmap | np.ma.MaskedArray) or not (isinstance(X, np.ndarray) or hasattr(X, "tocsr")):
        return False
    return bool(X.ndim <= 2)
