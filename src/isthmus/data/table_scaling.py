"""Between the rows of a table with columns of any kind and what networks see, and the way back.

values (n, columns) float64, NaN where missing  ──▶  features (n, width) and a mark for each missing cell (n, columns)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from isthmus.data.columns import TableSchema
from isthmus.data.frames import FRAMES
from isthmus.data.scaling import Scaler
from isthmus.errors import IsthmusError, unknown_name
from isthmus.typed_json import typed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from isthmus.data.cells import Block


@dataclass(frozen=True, kw_only=True)
class TableScaler(Scaler):
    """The scaler of a table with columns of any kind.

    schema : of the table. frame : the kind of data frame that comes back: "pandas", "polars" or "arrow".
    """

    schema: TableSchema
    frame: str

    KIND: ClassVar[str] = "columns"

    @classmethod
    def of(cls, schema: TableSchema, frame: str) -> TableScaler:
        """For tables of a schema."""
        columns = len(schema.used)
        zeros, ones = np.zeros(columns), np.ones(columns)
        return cls("float64", (columns,), None, True, cls.KIND, zeros, ones, schema=schema, frame=frame)

    @property
    def network_shape(self) -> tuple[int, ...]:
        """(width + columns,): features, then a mark for each missing cell."""
        return (self.width + len(self.schema.used),)

    @cached_property
    def width(self) -> int:
        """Features of a row without the marks."""
        return sum(block.width for block in self.blocks)

    @cached_property
    def blocks(self) -> list[Block]:
        """The columns by what networks see of them."""
        from isthmus.data.cells import BLOCKS

        found = []
        for name, block in BLOCKS.items():
            places = [i for i, column in enumerate(self.schema.used) if column.handler.block == name]
            if places:
                found.append(block(places, [self.schema.used[i] for i in places]))
        return found

    @cached_property
    def owner(self) -> Tensor:
        """The column of each feature, (width,)."""
        import torch

        return torch.cat([block.columns[block.owner] for block in self.blocks])

    def parts(self, x: Tensor) -> Iterator[tuple[Block, Tensor]]:
        """Features or outputs (n, width + ...), block by block."""
        start = 0
        for block in self.blocks:
            yield block, x[:, start : start + block.width]
            start += block.width

    def features(self, values: Tensor) -> Tensor:
        """Values (n, columns) as features (n, width), 0 where missing."""
        import torch

        return torch.cat([block.features(values[:, block.columns]) for block in self.blocks], 1)

    def to_network(self, batch: Tensor) -> Tensor:
        """Values (n, columns), NaN where missing, as float32 (n, *network_shape)."""
        import torch

        values = batch.cpu().double()
        x = torch.cat([self.features(values), values.isnan().float()], 1)
        return x.to(batch.device)

    def missing(self, x: Tensor) -> Tensor:
        """Which cells are missing, bool (n, columns), of what a network sees."""
        return x[:, self.width :] > 0.5

    def values(self, outputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A network's outputs as values (n, columns); with a generator, values are drawn from the probabilities."""
        import torch

        outputs = outputs.detach().float().cpu()
        values = torch.empty((len(outputs), len(self.schema.used)), dtype=torch.float64)
        for block, part in self.parts(outputs):
            values[:, block.columns] = block.values(part, generator)
        return values

    def from_network(self, x: Tensor) -> np.ndarray:
        """The likeliest values, float64 (n, columns); no cell is missing."""
        return self.values(x).numpy()

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """What a network's outputs cost, cell by cell, (n, columns); 0 for cells that are missing in the target."""
        import torch

        losses = torch.zeros((outputs.shape[0], len(self.schema.used)), device=outputs.device)
        for (block, part), (_, right) in zip(self.parts(outputs), self.parts(target), strict=True):
            losses[:, block.columns] = block.losses(part, right)
        return losses * ~self.missing(target)

    def log_likelihoods(self, outputs: Tensor, target: Tensor, deviations: Tensor) -> Tensor:
        """Nats of each cell under a network's outputs, (n, columns); 0 for cells that are missing in the target.

        deviations : of the errors of each feature, (width,).
        """
        import torch

        nats = torch.zeros((len(outputs), len(self.schema.used)))
        three = (self.parts(x) for x in (outputs, target, deviations[None]))
        for (block, part), (_, right), (_, own) in zip(*three, strict=True):
            nats[:, block.columns] = block.log_likelihood(part, right, own[0])
        return nats * ~self.missing(target)

    def comparable(self, values: np.ndarray) -> np.ndarray:
        """Values (n, columns) in comparable units: numbers and dates in standard deviations, categories as they are.

        For columns with heavy tails these are deviations of the signed logarithm. NaN where missing.
        """
        import torch

        result = np.array(values, np.float64)
        for block in self.blocks:
            places = block.columns.numpy()
            if not self.schema.used[places[0]].is_category:
                own = torch.from_numpy(result[:, places])
                result[:, places] = np.where(own.isnan(), np.nan, block.features(own)[:, : len(places)])
        return result

    def frame_of(self, values: np.ndarray) -> Any:
        """Values (n, columns) as a data frame."""
        from isthmus.data.frames import as_frame

        return as_frame(self.schema.decode(values), self.frame)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"kind": self.kind, "frame": self.frame, "schema": self.schema.to_dict()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Nothing: all is in the schema."""
        return {}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> TableScaler:
        """The inverse of `to_dict` and `arrays`."""
        frame, schema = typed(values["frame"], str, "frame"), TableSchema.from_dict(values["schema"])
        if frame not in FRAMES:
            raise unknown_name("kind of data frame", frame, FRAMES)
        if not schema.used:
            raise IsthmusError("the table has no column that a network could see")
        scaler = cls.of(schema, frame)
        if len(scaler.owner) != scaler.width:  # made of the settings here, so that what is wrong with them is said here
            raise IsthmusError("the settings of the columns do not belong together")
        return scaler
