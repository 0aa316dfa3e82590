"""`Imputer`: fill the holes of a table from the cells that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from isthmus.data.column_matching import MissingColumns
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource
from isthmus.device import choose_device, move
from isthmus.errors import IsthmusError
from isthmus.estimators.base import anywhere
from isthmus.estimators.model_contents import parts_of
from isthmus.estimators.model_folder import kept_in
from isthmus.estimators.table_estimator import TableEstimator, is_table_like
from isthmus.networks import restored
from isthmus.remote.paths import as_path
from isthmus.spec import is_integer
from isthmus.tables.factors import Factors
from isthmus.tables.learning import Prediction, Recovery, judge, learn, network_for
from isthmus.tables.network import CellNetwork
from isthmus.training.feed import as_tensor
from isthmus.training.progress import Listener
from isthmus.training.run import Run
from isthmus.typed_json import typed, typed_array

_BATCH = 2048  # rows at a time


class Imputer(OneToOneFeatureMixin, TransformerMixin, TableEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Fill the holes of a table: each missing cell from the known cells of its row.

        row with holes ──▶ factors, and networks that learned to find cells that were hidden ──▶ row without holes

    It learns from the table with holes itself. Numbers keep the range and the decimals of their column, whole numbers
    stay whole, and only categories that occur are filled in; known cells are not touched. A linear auto-encoder that
    allows for holes (factor analysis) makes a first guess, and several small networks learn what is left. Each network
    never sees one part of the cells; these parts tell how well cells are found: `recovery_`.

    Parameters
    ----------
    members : int, default=5
        Networks whose predictions are averaged, at least 2.
    column_kinds : dict of str, optional
        Kinds of columns by name where the guess is wrong: "number", "category", "ordinal:low<middle<high", "date",
        "ignore".
    missing_values : sequence, default=()
        Values that stand for a missing cell, as in (-999,), beside NaN, None and the usual texts ("?", "NA", ...).
    missing_columns : {"refuse", "fill"}, default="refuse"
        What to do with a table that lacks columns of the training data: "fill" treats their cells as missing, with a
        warning.
    epochs, minutes : optional
        Length of the run. Default: 100,000 rows, at least 600 steps.
    device : str or torch.device, default="auto"
        "auto" takes CUDA, then Apple's GPU, then the CPU.
    random_state : int, NumPy generator or None, default=None
        Seed of all random numbers; None draws one from the operating system.
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    recovery_ : list of Recovery, how well each column is found where it was hidden
    schema_ : TableSchema, the columns and what is done with them
    network_ : CellNetwork, the torch module
    scaler_ : TableScaler, between the table's units and those of the network
    errors_ : tensor (quantiles, columns), errors of held-out cells in the network's units
    training_spec_ : TrainingSpec
    history_ : list of dict, the run's losses in order
    seconds_ : float, time of training
    interrupted_ : int, number of the signal that ended the run early, 0 if none did
    seed_ : int, the seed that was used
    n_features_in_ : int, columns; feature_names_in_ : array of str (n_features_in_,), where they have names

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus import Imputer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1)) @ np.ones((1, 3)) + 0.1 * rng.normal(size=(200, 3))
    >>> X[::4, 1] = np.nan
    >>> imputer = Imputer(epochs=5, random_state=0).fit(X)
    >>> bool(np.isnan(imputer.transform(X)).any())
    False
    """

    _usage = "filled = model.transform(X)"

    def __init__(
        self,
        members: int = 5,
        *,
        column_kinds: Mapping[str, str] | None = None,
        missing_values: Sequence[Any] = (),
        missing_columns: MissingColumns = "refuse",
        epochs: int | None = None,
        minutes: float | None = None,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.members = members
        self.column_kinds = column_kinds
        self.missing_values = missing_values
        self.missing_columns = missing_columns
        self.epochs = epochs
        self.minutes = minutes
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @anywhere
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = 15.0,
        listeners: Sequence[Listener] = (),
    ) -> Self:
        """Learn from a table with holes.

        X : data frame (pandas, polars, Arrow), array (n, columns) with NaN, or the path of a table.
        y : ignored. checkpoint, resume, checkpoint_seconds, listeners : as in `AutoEncoder.fit`.
        """
        if not is_integer(self.members) or self.members < 2:
            raise IsthmusError(f"members (={self.members!r}) must be an integer of at least 2: one judges the others")
        run = Run.of(
            self, listeners=listeners, checkpoint=checkpoint, resume=resume, checkpoint_seconds=checkpoint_seconds
        )
        source = self._open(X, reset=True)
        self.seed_ = run.seed
        self.scaler_ = TableScaler.of(source.schema, source.frame)
        self.network_, trained = learn(run, source, self.scaler_, self.members)
        self._keep(trained)
        self.errors_, self.recovery_ = judge(self.network_.eval(), source, self.scaler_, run.seed)
        return self

    @property
    def schema_(self) -> Any:
        """The columns and what is done with them."""
        return self.scaler_.schema

    def transform(self, X: Any, *, return_std: bool = False) -> Any:
        """X with its holes filled, of the kind that it came as.

        return_std : whether to return (filled, doubt): float64 (n, columns), the standard deviation of a filled number
            in its unit (dates: seconds), the chance that a filled category is wrong, 0 for cells that are known.
        """
        source, prediction = self._predicted(X)
        filled = self._filled(source, prediction.values(), X)
        if not return_std:
            return filled
        missing = np.isnan(source.take(np.arange(len(source))))
        used = {column.name for column in self.schema_.used}
        doubt = np.zeros((len(source), len(self.schema_.columns)))
        doubt[:, [column.name in used for column in self.schema_.columns]] = np.where(missing, prediction.doubt(), 0.0)
        return filled, doubt

    def filled(self, X: Any) -> Any:
        """X with its holes filled, as an Arrow table."""
        source, prediction = self._predicted(X)
        return source.filled(prediction.values())

    def sample(self, X: Any, n: int = 5, random_state: Any = 0) -> list[Any]:
        """n ways to fill the holes of X, drawn from the likely values, for multiple imputation (Rubin 1987)."""
        source, prediction = self._predicted(X)
        generator = torch.Generator().manual_seed(int(np.random.default_rng(random_state).integers(2**62)))
        return [self._filled(source, prediction.draw(generator), X) for _ in range(n)]

    def report(
        self, X: Any, folder: str | Path, *, title: str | None = None, saved_as: str | Path | None = None
    ) -> Path:
        """Write report.html into a folder: how well hidden cells are found, and what the holes of X are filled with.

        X : as in `transform`. title : by default the folder's name.
        saved_as : the model's folder, which the page names.
        """
        from isthmus.tables.report import write_report  # figures are slow to import

        check_is_fitted(self)
        source = self._open(X, reset=False)
        place = as_path(folder)
        return write_report(self, source, place, title=title, saved_as=kept_in(saved_as, place))

    def _open(self, X: Any, *, reset: bool) -> TableSource:
        return self._open_table(X, None if reset else self.schema_)

    @torch.inference_mode()
    def _predicted(self, X: Any) -> tuple[TableSource, Prediction]:
        check_is_fitted(self)
        source = self._open(X, reset=False)
        device = choose_device(self.device)
        move(self.network_, device)
        self.network_.eval()
        width, outputs = self.scaler_.width, []
        for chunk in source.chunks(_BATCH):
            x = self.scaler_.to_network(as_tensor(chunk)).to(device)
            outputs.append(self.network_(x[:, :width], ~self.scaler_.missing(x)).cpu())
        return source, Prediction(self.scaler_, torch.cat(outputs, 1), self.errors_)

    def _filled(self, source: TableSource, values: np.ndarray, X: Any) -> Any:
        """The table with values in place of what is missing."""
        table = source.filled(values)
        if is_table_like(X):
            return source.as_given(table)
        dtype = np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64
        return np.stack([column.to_numpy() for column in table.columns], 1).astype(dtype)

    # On disk

    def _config(self) -> dict[str, Any]:
        return {
            "scaler": self.scaler_.to_dict(),
            "recovery": [asdict(entry) for entry in self.recovery_],
            "feature_names": self._names_in(),
            "factors": self.network_.factors.loadings.shape[1],
        }

    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = {f"network.{k}": v.detach().cpu().numpy() for k, v in self.network_.state_dict().items()}
        return tensors | {"errors": self.errors_.numpy()}

    def _restore(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        self.scaler_ = TableScaler.from_dict(config["scaler"], {})
        count = typed(config["factors"], int, "factors")

        def untrained() -> CellNetwork:
            return network_for(self.scaler_, self.members, Factors(self.scaler_.width, count), 0)

        self.network_ = restored(untrained, parts_of(tensors, "network", "errors")["network"])
        self.errors_ = torch.from_numpy(typed_array(tensors, "errors", "float32", None, len(self.schema_.used)))
        self.recovery_ = typed(config["recovery"], list[Recovery], "recovery")
        self.n_features_in_ = len(self.schema_.columns)
        self._restore_names(config["feature_names"])

    def _describe(self) -> dict[str, str]:
        used, left = self.schema_.used, self.schema_.left_out
        rows = {"columns": f"{len(used)} used" + (f", {len(left)} left out" if left else "")}
        rows["network"] = f"{self.network_.factors.loadings.shape[1]} factors, {self.members} members"
        numbers = [entry.ours for entry in self.recovery_ if not entry.is_category]
        others = [entry for entry in self.recovery_ if entry.is_category]
        if numbers:
            rows["hidden numbers"] = f"found within {np.mean(numbers):.3f} standard deviations (their mean: 1)"
        if others:
            ours, simple = (np.mean([getattr(entry, name) for entry in others]) for name in ("ours", "simple"))
            rows["hidden categories"] = f"{100 * ours:.1f} % right (the commonest: {100 * simple:.1f} %)"
        return rows
