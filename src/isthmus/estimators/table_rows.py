"""New rows of tables with columns of any kind: how they are learned, drawn and compared with the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from isthmus.data.base import evenly_spread
from isthmus.data.frames import as_frame
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource, open_table
from isthmus.errors import IsthmusError
from isthmus.estimators.encoder_decoder import EncoderDecoder
from isthmus.latent.distance_to_data import TrainingNeighbours, nearest
from isthmus.latent.row_copies import RowPrivacy
from isthmus.latent.row_density import CopiesName, RowDensity
from isthmus.spec import is_integer
from isthmus.training.feed import as_tensor

if TYPE_CHECKING:
    from isthmus.latent.density import CodeDensity
    from isthmus.spec import TrainingSpec
    from isthmus.training.run import Run

ROWS_SHARE = 0.5  # of the minutes of a run that rows to draw from are learned in
_MOST_COMPARED, _MOST_TRAINING = 2_000, 50_000  # rows whose distances are measured, to so many training rows
_LEAST_HELD_OUT = 10
_PREFIX = "rows."  # of the names of arrays on disk


class TableRows(EncoderDecoder):
    """What a model of a table with columns of any kind can do beside encoding: draw rows.

    rows_ : how rows are distributed; None for other data, and where training ended before it was learned.
    """

    rows_: RowDensity | None = None

    def sample(
        self,
        n: int,
        density: CodeDensity | None = None,
        random_state: Any = None,
        *,
        where: Mapping[str, Any] | None = None,
        copies: CopiesName = "refuse",
    ) -> Any:
        """New samples, array of shape (n, *sample_shape); of a table with columns of any kind, a data frame of n rows.

        density : codes are drawn from it and decoded, see `fit_density`. Tables with columns of any kind need none:
            their rows are drawn cell after cell, as they were learned beside the code. Variational codes need none
            either: they are drawn from the standard normal distribution that training drew them to.
        random_state : seed; the same one draws the same samples.
        where : of such tables, what rows must be, by column: a value, a list of values, None for a missing cell, or a
            pair (low, high) of numbers or dates, either of which may be None.
        copies : of such tables, "refuse" draws rows again that equal a training row in every cell; "allow" keeps them.

        Raises IsthmusError where a density is needed or belongs to codes of another shape; for conditions that no row,
        or hardly any, fulfils; and where all rows that could be drawn are copies.

        Examples
        --------
        >>> import pandas as pd
        >>> from isthmus import AutoEncoder
        >>> frame = pd.DataFrame({"sex": ["f", "m"] * 50, "age": [*range(20, 70), *range(20, 70)]})
        >>> model = AutoEncoder(latent_dim=2, epochs=2, random_state=0).fit(frame)
        >>> rows = model.sample(5, random_state=0, where={"sex": "f", "age": (30, 60)}, copies="allow")
        >>> rows["sex"].tolist(), bool(rows["age"].between(30, 60).all())
        (['f', 'f', 'f', 'f', 'f'], True)
        """
        check_is_fitted(self)
        if density is not None or not isinstance(self.scaler_, TableScaler):
            if where or copies != "refuse":
                raise IsthmusError(
                    "where and copies are for rows of tables that are drawn without a density; train on a table with "
                    "named columns, of which one holds words, dates or holes"
                )
            return super().sample(n, density, random_state)
        return as_frame(self.sampled(n, random_state, where=where, copies=copies), self.scaler_.frame)

    def sampled(
        self, n: int, random_state: Any = None, *, where: Mapping[str, Any] | None = None, copies: CopiesName = "refuse"
    ) -> Any:
        """The rows that `sample` draws, as an Arrow table."""
        check_is_fitted(self)
        if not is_integer(n) or n < 1:
            raise IsthmusError(f"n (={n!r}) must be an integer of at least 1")
        density = self._row_density()
        return density.scaler.schema.decode(density.sample(n, random_state, where, copies))

    def row_privacy(self, rows: Any, data: Any) -> RowPrivacy:
        """How near rows come to those the model was trained on, beside rows that it never saw.

        rows : data frame, as `sample` gives it. data : the table that the model was trained on, and at least 10 rows
        that it was not trained on: those that `fit` held out will do, and are recognised.
        """
        check_is_fitted(self)
        density = self._row_density()
        scaler = density.scaler
        synthetic, table = (self._values(given) for given in (rows, data))
        is_training = density.seen.were_trained_on(table)
        is_held_out = ~is_training | density.seen.were_held_out(table)
        training, held_out = table[is_training], table[is_held_out]
        if not len(training) or len(held_out) < _LEAST_HELD_OUT:
            raise IsthmusError(
                f"of {len(table):,} rows {len(training):,} were trained on and {len(held_out):,} were not; give the "
                f"table that the model was trained on, and at least {_LEAST_HELD_OUT} rows that it never saw"
            )
        near = [
            scaler.to_network(as_tensor(part[evenly_spread(len(part), most)])).numpy()
            for part, most in ((training, _MOST_TRAINING), (synthetic, _MOST_COMPARED), (held_out, _MOST_COMPARED))
        ]
        indices, distances = nearest(near[1], near[0], 1)
        usual = nearest(near[2], near[0], 1)[1][:, 0]
        return RowPrivacy(
            copies=float(density.seen.were_trained_on(synthetic).mean()),
            usual_copies=float(density.seen.were_trained_on(held_out).mean()),
            neighbours=TrainingNeighbours(indices, distances, usual),
            rows=len(synthetic),
            held_out=len(held_out),
        )

    def _fit_rows(self, run: Run, source: TableSource, spec: TrainingSpec, validation: np.ndarray) -> None:
        """Learn to draw rows, as the second part of a run, with the minutes that the first one left."""
        if self.interrupted_:
            return
        minutes = None if spec.minutes is None else spec.minutes * ROWS_SHARE / (1 - ROWS_SHARE)
        assert isinstance(self.scaler_, TableScaler)
        self.rows_, trained = RowDensity.fit(replace(run, minutes=minutes), source, self.scaler_, validation, part=1)
        self.seconds_, self.interrupted_ = self.seconds_ + trained.seconds, trained.signal

    def _values(self, rows: Any) -> np.ndarray:
        """Rows of a table as numbers, (n, columns)."""
        table = open_table(rows, schema=self._row_density().scaler.schema)
        if table is None:
            raise IsthmusError("rows must be a data frame or the path of a table")
        return table.take(np.arange(len(table)))

    def _row_density(self) -> RowDensity:
        if self.rows_ is None:
            raise IsthmusError(
                "this model cannot draw rows: it was trained by partial_fit, its training was ended early, or it is no "
                "model of a table with columns of any kind; train it with fit to the end"
            )
        return self.rows_

    def _describe(self) -> dict[str, str]:
        rows = super()._describe()
        if self.rows_ is not None:
            count = sum(p.numel() for p in self.rows_.network.parameters())
            rows["new rows"] = f"drawn cell after cell by a second network, {count:,} parameters"
        return rows

    # On disk

    def _tensors(self) -> dict[str, np.ndarray]:
        rows = {} if self.rows_ is None else self.rows_.arrays()
        return super()._tensors() | {_PREFIX + name: array for name, array in rows.items()}

    def _restore(self, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        rows = {name.removeprefix(_PREFIX): array for name, array in tensors.items() if name.startswith(_PREFIX)}
        super()._restore(config, {name: array for name, array in tensors.items() if not name.startswith(_PREFIX)})
        if rows:
            assert isinstance(self.scaler_, TableScaler)
            self.rows_ = RowDensity.from_arrays(self.scaler_, rows)
