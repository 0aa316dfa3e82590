"""How the rows of a table are distributed: what new rows are drawn from, cell after cell.

    p(row) = p(cell 1) · p(cell 2 | cell 1) · p(cell 3 | cells 1, 2) · ...

One network tells what a cell could be given any of the others: it learns orders of the columns at random (Uria et al.
2014, "A deep and tractable density estimator", arXiv:1310.1757), half of the time that of the table, in which rows are
drawn. So rows can be drawn that fulfil conditions: the columns with conditions come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.data.base import evenly_spread
from isthmus.data.row_slots import RowSlots
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource
from isthmus.errors import IsthmusError
from isthmus.latent.row_conditions import Condition, conditions
from isthmus.latent.row_copies import SeenRows, row_hashes
from isthmus.networks import restored, seeded
from isthmus.networks.rows import RowNetwork
from isthmus.share import count_of, drawn
from isthmus.training.run import Length, Run, Trained, digest, seed_from
from isthmus.training.task import Loss, Task

LENGTH = Length(samples=400_000, least_steps=1_000, most_epochs=100)
CopiesName = Literal["refuse", "allow"]
COPIES: tuple[str, ...] = get_args(CopiesName)
_BATCH_SIZES = 32, 256  # a tenth of the rows within these bounds
_LEARNING_RATES, _MANY_ROWS = (0.012, 0.03), 30_000  # of few and of so many rows; between, by the root of their number
_NARROWEST, _WIDEST = 64, 256
_DROPOUT, _WEIGHT_DECAY, _FEW_ROWS = 0.5, 0.3, 2_000  # of so few rows; of more, less
_LEAST_CUTS = 4096  # of rows into given and hidden cells in a validation
_TABLE_ORDER = 0.5  # share of rows that are learned in the order of the columns
_MOST_LEARNED = 1_000_000  # rows: more would take minutes and say nothing new
_MOST_MEASURED = 200_000  # rows whose numbers say where intervals lie
_DRAWN = 4096  # rows at a time
_CANDIDATES = 4  # for each row that must fulfil several conditions
_LEAST_ROWS = 0.1  # rows of a training table's size that must be expected to fulfil a condition
_ROUNDS = 20  # of drawing again what did not fit or was a copy


class RowDensity:
    """A probability distribution over the rows of a table: draw new ones, or say what some must be.

    scaler : of the table. slots : what its cells are told apart by. seen : the rows that it was fitted to.
    """

    def __init__(self, scaler: TableScaler, slots: RowSlots, network: RowNetwork, seen: SeenRows) -> None:
        self.scaler, self.slots, self.network, self.seen = scaler, slots, network.eval(), seen

    @classmethod
    def fit(
        cls, run: Run, source: TableSource, scaler: TableScaler, validation: np.ndarray, part: int
    ) -> tuple[RowDensity, Trained]:
        """Fit to the rows of a table as one part of a run; some of them choose the weights."""
        rows = np.union1d(evenly_spread(len(source), _MOST_LEARNED), validation)
        values = source.take(evenly_spread(len(source), _MOST_MEASURED))
        slots = RowSlots.of(scaler.schema.used, values)
        share = min(1.0, _FEW_ROWS / len(source))
        slowest, fastest = _LEARNING_RATES
        network = _network(slots, _DROPOUT * share**0.5, run.seed)
        network.start_from(_shares(slots, values))
        network.to(run.device)
        spec = run.spec(
            LENGTH,
            len(rows),
            int(np.clip(len(source) // 10, *_BATCH_SIZES)),
            n_validation=len(validation),
            learning_rate=float(np.clip(fastest * (len(source) / _MANY_ROWS) ** 0.5, slowest, fastest)),
            weight_decay=_WEIGHT_DECAY * share,
        )
        feed = _SlotFeed(source, rows, slots, run.device)
        name = "part 2 of 2, rows to draw"
        trained = run.train(
            RowTask(network), feed, spec, np.searchsorted(rows, validation), digest(source), part=part, part_name=name
        )
        hashes = np.concatenate([row_hashes(chunk) for chunk in source.chunks(_DRAWN)])
        is_held_out = np.zeros(len(hashes), bool)
        is_held_out[validation] = True
        seen = SeenRows(np.unique(hashes[~is_held_out]), np.unique(hashes[is_held_out]))
        return cls(scaler, slots, network.cpu(), seen), trained  # rows are drawn alike wherever they were learned

    def sample(
        self, n: int, random_state: Any = None, where: Mapping[str, Any] | None = None, copies: CopiesName = "refuse"
    ) -> np.ndarray:
        """Draw rows as float64 (n, used columns), NaN for missing cells: see `AutoEncoder.sample`."""
        if copies not in COPIES:
            raise IsthmusError(f"copies (={copies!r}) must be one of: {', '.join(COPIES)}")
        rng = np.random.default_rng(seed_from(random_state))
        wanted = conditions(where or {}, self.scaler.schema, self.slots)
        kept: list[np.ndarray] = []
        missing = n
        for _ in range(_ROUNDS):
            values = self._settled(self._drawn(missing, wanted, rng))
            fits = np.logical_and.reduce([np.ones(len(values), bool), *(c.holds(values) for c in wanted)])
            values = values[fits]
            if copies == "refuse":
                values = values[~self.seen.copies(values)]
            kept.append(values)
            missing -= len(values)
            if not missing:
                return np.concatenate(kept)
        raise IsthmusError(
            f"after {_ROUNDS} rounds only {n - missing:,} of {n:,} rows were found: the others "
            + (
                "are copies of training rows; copies='allow' keeps them"
                if not wanted
                else f"are copies of training rows or do not fit where={dict(where or {})!r}"
            )
        )

    # On disk

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `from_arrays` needs beside the scaler."""
        network = {f"network.{k}": v.detach().cpu().numpy() for k, v in self.network.state_dict().items()}
        slots = {f"slots.{name}": array for name, array in self.slots.arrays.items()}
        seen = {"seen.trained": self.seen.trained, "seen.held_out": self.seen.held_out}
        return network | slots | {name: array.view(np.int64) for name, array in seen.items()}

    @classmethod
    def from_arrays(cls, scaler: TableScaler, arrays: Mapping[str, np.ndarray]) -> RowDensity:
        """The inverse of `arrays`."""
        parts: dict[str, dict[str, np.ndarray]] = {"network": {}, "slots": {}, "seen": {}}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = array
        slots = RowSlots.restored(scaler.schema.used, parts["slots"])
        network = restored(partial(RowNetwork, slots.sizes, len(parts["network"]["first.bias"])), parts["network"])
        seen = SeenRows(*(parts["seen"][name].view(np.uint64) for name in ("trained", "held_out")))
        return cls(scaler, slots, network, seen)

    # Drawing

    def _settled(self, values: np.ndarray) -> np.ndarray:
        """Values as they come back from a data frame: rounded, within range, and what can be told apart."""
        schema = self.scaler.schema
        settled: np.ndarray = schema.encode(schema.decode(values))
        return settled

    @torch.inference_mode()
    def _drawn(self, n: int, wanted: Sequence[Condition], rng: np.random.Generator) -> np.ndarray:
        """Rows (n, columns) that fulfil conditions as far as their slots do."""
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        first = [condition.place for condition in wanted]
        columns = len(self.slots.sizes)
        start, given = torch.zeros((n, columns), dtype=torch.long), torch.zeros(columns, dtype=torch.bool)
        if wanted:
            start = self._conditioned(n, wanted, generator)
            given[first] = True
        rows = []
        for slots in start.split(_DRAWN):
            seen = given.clone()
            for place in (j for j in range(columns) if j not in first):
                slots[:, place], _ = self._cell(slots, seen, place, None, generator)
                seen[place] = True
            rows.append(slots)
        slots = torch.cat(rows).numpy()
        values = self.slots.values(slots, rng)
        for condition in wanted:
            self._within(values, slots, condition, rng)
        return values

    def _conditioned(self, n: int, wanted: Sequence[Condition], generator: torch.Generator) -> Tensor:
        """Slots (n, columns) in which the columns with conditions are drawn.

        Several conditions: each is drawn given those before, and rows are kept by how likely the conditions after are.
        """
        columns, count = len(self.slots.sizes), n if len(wanted) == 1 else max(_DRAWN, _CANDIDATES * n)
        slots, given = torch.zeros((count, columns), dtype=torch.long), torch.zeros(columns, dtype=torch.bool)
        weights = torch.ones(count, dtype=torch.float64)
        for condition in wanted:
            allowed = torch.from_numpy(condition.slots)
            for part, weight in zip(slots.split(_DRAWN), weights.split(_DRAWN), strict=True):
                part[:, condition.place], mass = self._cell(part, given, condition.place, allowed, generator)
                weight *= mass
            given[condition.place] = True
        trained, probability = len(self.seen.trained), float(weights.mean())
        if probability * trained < _LEAST_ROWS:
            raise IsthmusError(
                f"where: {probability:.2g} of all rows are expected to be like that, which is too few to learn from "
                f"{trained:,} training rows what such a row looks like"
            )
        if len(wanted) == 1:
            return slots
        return slots[torch.multinomial(weights, n, replacement=True, generator=generator)]

    def _cell(
        self, slots: Tensor, given: Tensor, place: int, allowed: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Slots (n,) of one column, drawn from those allowed, and how likely these are together."""
        logits = self.network(slots, given.expand(len(slots), -1), column=place)
        drawable = torch.from_numpy(self.slots.drawable(place))
        probabilities = logits.masked_fill(~drawable, -torch.inf).double().softmax(1)
        mass = torch.ones(len(slots), dtype=torch.float64)
        if allowed is not None:
            probabilities = probabilities * allowed
            mass = probabilities.sum(1)
            probabilities = probabilities.clamp(min=1e-300) * allowed
        return torch.multinomial(probabilities, 1, generator=generator)[:, 0], mass

    def _within(self, values: np.ndarray, slots: np.ndarray, condition: Condition, rng: np.random.Generator) -> None:
        """Draw values of a column again where an interval reaches beyond what they may be; the last are moved there."""
        place = condition.place
        if place not in self.slots.edges:
            return
        for _ in range(_ROUNDS if condition.among is None else 0):
            outside = np.flatnonzero(~condition.holds(values))
            if not len(outside):
                return
            values[outside, place] = self.slots.values(slots[outside], rng)[:, place]
        values[:, place] = condition.moved(values[:, place])


class RowTask(Task):
    """Minus the logarithm of the likelihood of rows in nats, estimated from a random cut of an order of the columns."""

    network: RowNetwork

    def __init__(self, network: RowNetwork) -> None:
        super().__init__(network, validation_batch=4096)

    def forward(self, batch: Tensor, generator: torch.Generator) -> Loss:
        """batch : slots (n, columns)."""
        return Loss(self._nats(batch, generator, generator))

    def validation_loss(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Few rows are cut several times: which cells are given is chance, and must not choose the weights."""
        return self._nats(batch.repeat(max(1, _LEAST_CUTS // count_of(len(batch), generator)), 1), generator, None)

    def _nats(self, slots: Tensor, generator: torch.Generator, dropout: torch.Generator | None) -> Tensor:
        n, columns = slots.shape
        order = drawn(torch.rand, slots.shape, generator, device=slots.device).argsort(1)
        in_table_order = drawn(torch.rand, (n, 1), generator, device=slots.device) < _TABLE_ORDER
        order = torch.where(in_table_order, torch.arange(columns, device=slots.device), order)
        given = order < drawn(partial(torch.randint, columns), (n, 1), generator, device=slots.device)
        logits = self.network(slots, given, dropout).split(self.network.sizes, 1)
        costs = torch.stack([F.cross_entropy(part, slots[:, j], reduction="none") for j, part in enumerate(logits)], 1)
        hidden = (~given).to(costs.dtype)
        return columns * ((costs * hidden).sum(1) / hidden.sum(1)).mean()


class _SlotFeed:
    """Some rows of a table as slots."""

    def __init__(self, source: TableSource, rows: np.ndarray, slots: RowSlots, device: torch.device) -> None:
        self._source, self._rows, self._slots, self._device = source, rows, slots, device

    def __len__(self) -> int:
        return len(self._rows)

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """One batch for each array of row numbers."""
        for indices in order:
            yield torch.from_numpy(self._slots.slots(self._source.take(self._rows[indices]))).to(self._device)


def _network(slots: RowSlots, dropout: float, seed: int) -> RowNetwork:
    """An untrained network: as wide as there are slots, but from 64 to 256."""
    hidden = int(np.clip(1 << (sum(slots.sizes).bit_length() - 1), _NARROWEST, _WIDEST))
    with seeded(seed):
        return RowNetwork(slots.sizes, hidden, dropout, slots.ordered)


def _shares(slots: RowSlots, values: np.ndarray) -> Tensor:
    """How frequent each slot is, (sum of sizes,); none is 0."""
    found = slots.slots(values)
    counts = [np.bincount(found[:, j], minlength=size) + 0.5 for j, size in enumerate(slots.sizes)]
    return torch.from_numpy(np.concatenate([count / count.sum() for count in counts])).float()
