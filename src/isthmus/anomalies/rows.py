"""Rows of a table as the judges of a detector see them: plain features, and features whose tails are bent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.data.cells import Categories, Numbers
from isthmus.data.scaling import divisor
from isthmus.data.table_scaling import TableScaler
from isthmus.typed_json import typed_array

CHUNK = 1024  # rows that are judged at a time
_QUARTILES, _ENDS = 1.349, 3.290  # of a standard normal: between its quartiles, between its 5 % and 95 % quantiles
_LEAST = 0.05  # of a deviation: a width below it is that of a column that nearly always holds one value
_FURTHEST = 1e12  # deviations, so that squares and their sums stay finite
_LARGEST = 30.0  # of an output, so that its hyperbolic sine does


@dataclass(frozen=True)
class Rows:
    """plain, bent : features (n, width), 0 where a cell is missing. seen : which cells are not, bool (n, columns)."""

    plain: Tensor
    bent: Tensor
    seen: Tensor

    def __len__(self) -> int:
        return len(self.seen)

    def __getitem__(self, places: Tensor | slice) -> Rows:
        return Rows(self.plain[places], self.bent[places], self.seen[places])

    def chunks(self, size: int = CHUNK) -> Iterator[Rows]:
        """A few rows at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]


class RowView:
    """What judges see of the rows of a scaler.

        plain = (value - centre) / width      bent = arcsinh(plain)      of numbers and dates; categories: one-hot

    Bent, a cell ten deviations off counts for three: no single cell drowns a row. Numbers are seen in the user's units
    here, also those of which the scaler takes logarithms: tails are what it is about. centre, width : float64
    (features,).
    """

    def __init__(self, scaler: TableScaler, centre: Tensor, width: Tensor) -> None:
        self.scaler, self.centre, self.width = scaler, centre, width
        blocks = scaler.blocks
        self.owner = scaler.owner
        self.is_additive = torch.cat([torch.full((b.width,), not isinstance(b, Categories)) for b in blocks])
        self.is_number = torch.cat([torch.full((b.width,), isinstance(b, Numbers)) for b in blocks])
        self.is_category = torch.zeros(len(scaler.schema.used))
        for block in blocks:
            self.is_category[block.columns] = float(isinstance(block, Categories))
        self.has_categories = bool(self.is_category.any())

    @classmethod
    def of(cls, scaler: TableScaler, x: Tensor, *, robust: bool) -> RowView:
        """Measured in rows x (n, width + columns).

        robust : whether the centre is the median and the width follows quartiles: for rows of which some do not belong.
        """
        view = cls(scaler, torch.zeros(scaler.width).double(), torch.ones(scaler.width).double())
        values, seen = view._values(x).numpy(), ~scaler.missing(x)[:, scaler.owner].numpy()
        for j in torch.nonzero(view.is_additive)[:, 0].tolist():
            if seen[:, j].any():
                view.centre[j], view.width[j] = _measured(values[seen[:, j], j], robust=robust)
        return view

    def rows(self, x: Tensor) -> Rows:
        """x : what `TableScaler.to_network` gives, (n, width + columns)."""
        seen = ~self.scaler.missing(x)
        known = seen[:, self.owner]
        plain = ((self._values(x) - self.centre) / self.width).clamp(-_FURTHEST, _FURTHEST).float() * known
        return self.seen_as(plain, seen)

    def seen_as(self, plain: Tensor, seen: Tensor) -> Rows:
        """Rows of plain features (n, width), of which the cells that are `seen` (n, columns) are known."""
        return Rows(plain, self.bent(plain), seen)

    def bent(self, plain: Tensor, off: float = 1.0) -> Tensor:
        """Features (n, width) whose tails are bent where they are some deviations `off`; infinity: nowhere."""
        return torch.where(self.is_additive, (plain / off).arcsinh() * off, plain) if math.isfinite(off) else plain

    def _values(self, x: Tensor) -> Tensor:
        """Features (n, width) in float64: of numbers, the user's values."""
        x = x[:, : self.scaler.width]
        return torch.cat([b.values(part) if isinstance(b, Numbers) else part for b, part in self.scaler.parts(x)], 1)

    def costs(self, outputs: Tensor, rows: Rows) -> Tensor:
        """What outputs (..., n, width) for the bent features cost, cell by cell, (..., n, columns)."""
        lead = outputs.shape[:-2]
        repeat = int(np.prod(lead)) if lead else 1
        target = torch.cat([rows.bent, (~rows.seen).float()], 1).repeat(repeat, 1)
        return self.scaler.losses(outputs.flatten(0, -2), target).view(*lead, *rows.seen.shape)

    def values(self, outputs: Tensor) -> np.ndarray:
        """Outputs (n, width) for the bent features as values (n, columns)."""
        plain = outputs.double().clamp(-_LARGEST, _LARGEST).sinh() * self.width + self.centre
        plain = torch.where(self.is_additive, plain, outputs.double())
        values = self.scaler.from_network(plain)
        for block, part in self.scaler.parts(plain):
            if isinstance(block, Numbers):
                values[:, block.columns.numpy()] = part.numpy()
        return values

    def arrays(self) -> dict[str, np.ndarray]:
        """For the model's folder."""
        return {"centre": self.centre.numpy(), "width": self.width.numpy()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> RowView:
        """From the scaler's JSON values, and `arrays`."""
        scaler = TableScaler.from_dict(values, {})
        own = (typed_array(arrays, name, "float64", scaler.width) for name in ("centre", "width"))
        return cls(scaler, *map(torch.from_numpy, own))


def _measured(values: np.ndarray, *, robust: bool) -> tuple[float, float]:
    """Centre and width of known values (n,)."""
    mean = float(values.mean())
    deviation = float(divisor(values.std(), values.mean(), values.dtype))
    if not robust:
        return mean, deviation
    low, lower, middle, upper, high = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    width = max((upper - lower) / _QUARTILES, 0.5 * (high - low) / _ENDS)
    return middle, width if width > _LEAST * deviation else deviation
