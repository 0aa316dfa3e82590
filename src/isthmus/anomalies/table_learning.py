"""How the judges of a table are learned: networks on damaged rows, and rows to measure distances to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isthmus.anomalies.cell_network import CellNetwork
from isthmus.anomalies.judges import Centre, HiddenCells, Judge, NoisyCells
from isthmus.anomalies.neighbours import Nearest, NearestOfFew
from isthmus.anomalies.panel import Panel
from isthmus.anomalies.rows import CHUNK, Rows, RowView
from isthmus.anomalies.tasks import DamagedRowsTask, group_of
from isthmus.data.base import evenly_spread
from isthmus.data.table_scaling import TableScaler
from isthmus.data.table_source import TableSource
from isthmus.errors import IsthmusError
from isthmus.networks import seeded
from isthmus.training.feed import NumberedFeed, SourceFeed, as_tensor
from isthmus.training.run import Length, Run, Trained, digest

_LENGTH = Length(samples=100_000, least_steps=1_000, most_epochs=2_000)
_BATCH_SIZE, _LEARNING_RATE, _WEIGHT_DECAY = 128, 3e-3, 0.01
_DEVICE = torch.device("cpu")  # where the other judges are, which need what a network's costs are made of
_GROUPS = 5
_HIDDEN_UNITS = 256
_TURNS = 4  # in which columns are hidden
_MOST_MEASURED = 10_000  # rows that say what is usual
_MOST_REFERENCES = 2048  # rows that distances are measured to
_NEIGHBOURS = 5
_CHOICES, _FEW = 40, 16  # choices of a few rows, over all groups
KEPT = ("plain", "bent", "missing", "reference_groups", "samples", "turns", "noise_usual", "centre_outputs")


@dataclass(frozen=True)
class Found:
    """What was learned. scores, groups : of rows that were not learned from, (m,). kept : arrays by names of `KEPT`."""

    view: RowView
    panel: Panel
    hidden: HiddenCells
    kept: dict[str, np.ndarray]
    scores: np.ndarray
    groups: np.ndarray
    trained: Trained


def learn(run: Run, source: TableSource, *, is_contaminated: bool) -> Found:
    """Learn from rows, of which some may not belong."""
    n = len(source)
    if n < 2:
        raise IsthmusError(f"the table has {n} sample; at least 2 are needed to say what is usual")
    scaler = TableScaler.of(source.schema, source.frame)
    groups = min(_GROUPS, n)
    places = evenly_spread(n, _MOST_MEASURED)
    x = scaler.to_network(as_tensor(source.take(places)))
    view = RowView.of(scaler, x, robust=is_contaminated)
    with seeded(run.seed):
        network = CellNetwork(scaler.owner, groups, _HIDDEN_UNITS)
    spec = run.spec(_LENGTH, n, _BATCH_SIZE, optimizer="adam", learning_rate=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    levels, dropped = ((0.2, 3.0), 0.3) if is_contaminated else ((0.1, 2.0), 0.15)
    feed = NumberedFeed(SourceFeed(source, scaler, _DEVICE), lambda rows: group_of(rows, groups, run.seed, n))
    task = DamagedRowsTask(network, view, levels, dropped)
    trained = run.train(task, feed, spec, np.arange(0), digest(source))
    network.eval()
    with torch.inference_mode():
        rows, group = view.rows(x), torch.from_numpy(group_of(places, groups, run.seed, n))
        kept = _kept(network, view, rows, group, run.seed, is_contaminated=is_contaminated)
        judges, hidden = panel_of(network, view, kept)
        panel, scores = Panel.of(judges, rows, group)
    return Found(view, panel, hidden, kept, scores.double().numpy(), group.numpy(), trained)


def _kept(
    network: CellNetwork, view: RowView, rows: Rows, group: Tensor, seed: int, *, is_contaminated: bool
) -> dict[str, np.ndarray]:
    """The arrays that the judges are made of beside the network."""
    rng = np.random.default_rng([seed, 2])
    columns = rows.seen.shape[1]
    kept: dict[str, np.ndarray] = {"turns": rng.permutation(columns) % min(_TURNS, columns)}
    if not is_contaminated:
        some = torch.from_numpy(np.sort(rng.permutation(len(rows))[:_MOST_REFERENCES]))
        part = rows[some]
        kept |= {"plain": part.plain.numpy(), "bent": part.bent.numpy(), "missing": (~part.seen).numpy()}
        return kept | {"reference_groups": group[some].numpy()}
    others = [np.flatnonzero(group.numpy() != number) for number in range(network.members)]
    few = max(1, min(_FEW, *(len(rest) // 2 for rest in others)))
    choices = range(_CHOICES // network.members)
    samples = [[rng.choice(rest, few, replace=False) for _ in choices] for rest in others]
    kept["samples"] = rows.bent[torch.from_numpy(np.array(samples))].numpy()
    kept["centre_outputs"] = _middles(view, rows, group, network.members).numpy()
    noisy = NoisyCells(network, view, 2.0)
    parts = zip(rows.chunks(), group.split(CHUNK), strict=True)
    own = torch.cat([_of_group(noisy.costs(part), numbers) for part, numbers in parts])
    kept["noise_usual"] = _usual_costs(own, rows.seen).numpy()
    return kept


def panel_of(
    network: CellNetwork, view: RowView, kept: Mapping[str, np.ndarray]
) -> tuple[Sequence[Judge], HiddenCells]:
    """The judges that arrays of `KEPT` make, and the one that says what would be expected."""
    arrays = {name: torch.from_numpy(array) for name, array in kept.items()}
    hidden = HiddenCells(network, view, arrays["turns"], torch.ones(len(view.is_category)))
    of_categories = [HiddenCells(network, view, arrays["turns"], view.is_category)] if view.is_category.any() else []
    if "samples" in arrays:
        few = NearestOfFew(view, arrays["samples"])
        centre = Centre(view, arrays["centre_outputs"])
        return [few, centre, NoisyCells(network, view, 2.0, arrays["noise_usual"]), *of_categories], hidden
    rows, group = Rows(arrays["plain"], arrays["bent"], ~arrays["missing"]), arrays["reference_groups"]
    near = Nearest.of(view, rows, group, _NEIGHBOURS, bent=False, relative=True)
    near_bent = Nearest.of(view, rows, group, _NEIGHBOURS, bent=True, relative=False)
    return [near, near_bent, NoisyCells(network, view, 1.0), *of_categories], hidden


def _middles(view: RowView, rows: Rows, group: Tensor, groups: int) -> Tensor:
    """Outputs of who knows only the columns, (groups, width): the middle, and of categories the frequencies."""
    found = torch.zeros(groups, rows.bent.shape[1])
    for number in range(groups):
        others = rows[group != number]
        seen = others.seen[:, view.owner].sum(0).clamp(min=1)
        means = others.bent.sum(0) / seen
        found[number] = torch.where(view.is_additive, means * 0, means.clamp(min=1 / (len(others) + 1)).log())
    return found


def _usual_costs(costs: Tensor, seen: Tensor) -> Tensor:
    """What costs (n, columns) usually are: the square of the median error, made comparable to a variance."""
    usual = torch.where(seen, costs, torch.nan).nanmedian(0).values.nan_to_num(1.0) / 0.455
    means = (costs * seen).sum(0) / seen.sum(0).clamp(min=1)
    return torch.maximum(usual, 0.01 * means).clamp(min=1e-9)


def _of_group(x: Tensor, group: Tensor) -> Tensor:
    """Of x (groups, n, ...), what belongs to the group of each row: (n, ...)."""
    return x[group, torch.arange(len(group))]
