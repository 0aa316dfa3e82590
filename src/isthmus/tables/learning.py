"""How an imputer is fitted: factors in closed form, the network on cells that are hidden, then what it is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import evenly_spread
from isthmus.data.cells import Block, Categories, Numbers
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource
from isthmus.networks import seeded
from isthmus.registry import column_kinds
from isthmus.tables.factors import Factors
from isthmus.tables.network import CellNetwork
from isthmus.tables.tasks import HiddenCellsTask, folds_of
from isthmus.training.feed import NumberedFeed, SourceFeed
from isthmus.training.run import Length, Run, Trained, digest

LENGTH = Length(samples=100_000, least_steps=600, most_epochs=1_000)
_BATCH_SIZE, _LEARNING_RATE, _WEIGHT_DECAY = 128, 3e-3, 0.1
_NARROWEST, _WIDEST = 64, 256
_MOST_FOR_FACTORS = 10_000  # rows
_MOST_JUDGED = 20_000  # rows whose held-out cells say what the imputer is worth
_QUANTILES = 33  # of the errors of held-out cells, kept for each column


@dataclass(frozen=True)
class Recovery:
    """How well hidden cells of one column are found: by the imputer, and by the simplest guess.

    Of numbers, the root of the mean squared error in standard deviations, beside that of the mean (1); of categories,
    the share that is right, beside that of the commonest value. cells : how many were hidden.
    """

    column: str
    kind: str
    ours: float
    simple: float
    cells: int

    @property
    def is_category(self) -> bool:
        """Whether a cell can only be right or wrong, not nearly right."""
        return bool(column_kinds[self.kind].block == "categories")


def network_for(scaler: TableScaler, members: int, factors: Factors, seed: int) -> CellNetwork:
    """An untrained network for the rows of a scaler."""
    additive = [float(not isinstance(block, Categories)) for block in scaler.blocks for _ in range(block.width)]
    hidden = int(np.clip(1 << (scaler.width.bit_length() + 1), _NARROWEST, _WIDEST))
    with seeded(seed):
        return CellNetwork(scaler.owner, torch.tensor(additive), factors, members, hidden)


def learn(run: Run, source: TableSource, scaler: TableScaler, members: int) -> tuple[CellNetwork, Trained]:
    """A trained network."""
    feed = SourceFeed(source, scaler, run.device)
    (x,) = feed.batches([evenly_spread(len(source), _MOST_FOR_FACTORS)])
    seen = ~scaler.missing(x)[:, scaler.owner]
    network = network_for(scaler, members, Factors.fit(x[:, : scaler.width], seen), run.seed).to(run.device)
    folds = _with_folds(feed, scaler, members, run.seed)
    spec = run.spec(
        LENGTH, len(source), _BATCH_SIZE, optimizer="adam", learning_rate=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY
    )
    return network, run.train(HiddenCellsTask(network, scaler), folds, spec, np.arange(0), digest(source))


@torch.inference_mode()
def judge(network: CellNetwork, source: TableSource, scaler: TableScaler, seed: int) -> tuple[Tensor, list[Recovery]]:
    """Quantiles (quantiles, columns) of the errors in cells that a member never saw, and how well they are found."""
    device = next(network.parameters()).device
    feed = _with_folds(SourceFeed(source, scaler, device), scaler, network.members, seed)
    rows = evenly_spread(len(source), _MOST_JUDGED)
    outputs, targets = [], []
    for x, fold in feed.batches(np.array_split(rows, -(-len(rows) // 1024))):
        known, width = ~scaler.missing(x), scaler.width
        for member in range(network.members):
            own = known & (fold == member)
            seen = (known & ~own).expand(network.members, -1, -1)
            outputs.append(torch.where(own[:, scaler.owner], network(x[:, :width], seen)[member], torch.nan).cpu())
            targets.append(torch.cat([x[:, :width], (~own).float()], 1).cpu())
    return _worth(torch.cat(outputs), torch.cat(targets), scaler)


def _with_folds(feed: SourceFeed, scaler: TableScaler, folds: int, seed: int) -> NumberedFeed:
    return NumberedFeed(feed, lambda rows: folds_of(rows, len(scaler.schema.used), folds, seed))


def _worth(outputs: Tensor, targets: Tensor, scaler: TableScaler) -> tuple[Tensor, list[Recovery]]:
    columns = scaler.schema.used
    quantiles = torch.zeros(_QUANTILES, len(columns))
    levels = (torch.arange(_QUANTILES) + 0.5) / _QUANTILES
    found: dict[int, Recovery] = {}
    hidden = ~scaler.missing(targets)
    for (block, out), (_, right) in zip(scaler.parts(outputs), scaler.parts(targets), strict=True):
        for j, place in enumerate(block.columns.tolist()):
            rows, column = hidden[:, place], columns[place]
            count = int(rows.sum())
            if not count:
                continue
            if isinstance(block, Categories):
                mine = block.owner == j
                truth, guess = right[rows][:, mine], out[rows][:, mine]
                ours = float((truth.argmax(1) == guess.argmax(1)).float().mean())
                simple = float(truth.mean(0).max())
            else:
                error = out[rows, j] - right[rows, j]
                quantiles[:, place] = torch.quantile(error, levels)
                deviation = float(right[rows, j].std(correction=0)) or 1.0
                ours, simple = float(error.square().mean().sqrt()) / deviation, 1.0
            found[place] = Recovery(column.name, column.kind, ours, simple, count)
    return quantiles, [found[place] for place in sorted(found)]


class Prediction:
    """What cells could be: values, how sure they are, and draws.

    outputs : of the network, (members, n, width). errors : quantiles of the errors in held-out cells.
    """

    def __init__(self, scaler: TableScaler, outputs: Tensor, errors: Tensor) -> None:
        self._scaler, self._errors = scaler, errors
        self._spread = outputs.var(0, correction=0).cpu() if len(outputs) > 1 else torch.zeros(outputs.shape[1:])
        together = []
        for block, part in scaler.parts(outputs.flatten(0, 1)):
            each = part.view(*outputs.shape[:2], -1)
            is_categories = isinstance(block, Categories)
            together.append(_mean_of_logits(each, block.owner) if is_categories else each.mean(0))
        self._outputs = torch.cat(together, 1).cpu()

    def values(self) -> np.ndarray:
        """The best guess of each cell, float64 (n, columns): the mean of numbers, the likeliest category."""
        values = self._scaler.values(self._outputs)
        for block, part in self._scaler.parts(self._outputs):
            if isinstance(block, Numbers) and block.is_bent.any():
                drawn = self._each(block, part)
                values[:, block.columns] = torch.where(block.is_bent, drawn.mean(0), values[:, block.columns])
        return values.numpy()

    def doubt(self) -> np.ndarray:
        """Deviations of numbers and dates, in their units; of categories, the chance to be wrong: (n, columns)."""
        doubt = torch.zeros((len(self._outputs), len(self._scaler.schema.used)), dtype=torch.float64)
        for (block, part), (_, spread) in zip(
            self._scaler.parts(self._outputs), self._scaler.parts(self._spread), strict=True
        ):
            if isinstance(block, Categories):
                doubt[:, block.columns] = 1 - block.probabilities(part).amax(2).double()
                continue
            count = len(block.columns)
            each = self._each(block, part)
            wider = (1 + spread[:, :count] / self._errors[:, block.columns].var(0).clamp(min=1e-12)).sqrt()
            doubt[:, block.columns] = each.std(0) * wider
        return doubt.numpy()

    def draw(self, generator: torch.Generator) -> np.ndarray:
        """One draw of each cell, (n, columns)."""
        outputs = self._outputs.clone()
        for block, part in self._scaler.parts(outputs):
            if not isinstance(block, Categories):
                count = len(block.columns)
                which = torch.randint(len(self._errors), (len(outputs), count), generator=generator)
                part[:, :count] += self._errors[:, block.columns].gather(0, which)
        return self._scaler.values(outputs, generator).numpy()

    def _each(self, block: Block, part: Tensor) -> Tensor:
        """The values that outputs and each quantile of the errors come to, (quantiles, n, c)."""
        count = len(block.columns)
        shifted = []
        for error in self._errors[:, block.columns]:
            moved = part.clone()
            moved[:, :count] += error
            shifted.append(block.values(moved))
        return torch.stack(shifted)


def _mean_of_logits(logits: Tensor, owner: Tensor) -> Tensor:
    """Logits (members, n, width) of the mean of the members' probabilities, column by column."""
    result = torch.empty(logits.shape[1:])
    for column in owner.unique().tolist():
        mine = owner == column
        result[:, mine] = logits[..., mine].softmax(-1).mean(0).clamp(min=1e-9).log().cpu()
    return result
