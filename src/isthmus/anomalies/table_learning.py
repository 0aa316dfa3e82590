"""How the judges of a table are learned: networks on damaged rows, and rows to measure distances to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.anomalies.blame import Blame
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

_BATCH_SIZE, _LEARNING_RATE, _WEIGHT_DECAY = 128, 3e-3, 0.01
_DEVICE = torch.device("cpu")  # where the other judges are, which need what a network's costs are made of
_GROUPS = 5
_TURNS = 4  # in which columns are hidden
_MOST_MEASURED = 10_000  # rows that say what is usual
_MOST_REFERENCES = 2048  # rows that distances are measured to
_NEIGHBOURS = 5
_BEND = 2.0  # deviations off which tails are bent before distances are measured
_VOTES_OF_NETWORK, _VOTES_OF_CATEGORIES = 0.25, 0.5  # where rows are normal: there, distances find more
_LEAST_COST = 1e-9
_CHOICES, _FEW = 40, 16  # choices of a few rows, over all groups
_BLAMED = 2.0  # the level of noise at which cells are blamed
KEPT = (  # "bent" in models of earlier versions alone
    *("plain", "bent", "missing", "reference_groups", "samples", "turns", "noise_usual", "centre_outputs"),
    "usual_costs",
)


@dataclass(frozen=True)
class _Recipe:
    """hidden_units, length : of the network. levels, dropped : see `DamagedRowsTask`."""

    hidden_units: int
    length: Length
    levels: tuple[float, float]
    dropped: float


_NORMAL = _Recipe(128, Length(samples=50_000, least_steps=500, most_epochs=2_000), (0.1, 2.0), 0.15)
_CONTAMINATED = _Recipe(256, Length(samples=100_000, least_steps=1_000, most_epochs=2_000), (0.2, 3.0), 0.3)


@dataclass(frozen=True)
class Found:
    """What was learned. scores, groups : of rows that were not learned from, (m,). kept : arrays by names of `KEPT`."""

    blame: Blame
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
    recipe = _CONTAMINATED if is_contaminated else _NORMAL
    with seeded(run.seed):
        network = CellNetwork(scaler.owner, groups, recipe.hidden_units)
    adam: dict[str, Any] = {"optimizer": "adam", "learning_rate": _LEARNING_RATE, "weight_decay": _WEIGHT_DECAY}
    spec = run.spec(recipe.length, n, _BATCH_SIZE, **adam)
    feed = NumberedFeed(SourceFeed(source, scaler, _DEVICE), lambda rows: group_of(rows, groups, run.seed, n))
    task = DamagedRowsTask(network, view, recipe.levels, recipe.dropped)
    trained = run.train(task, feed, spec, np.arange(0), digest(source))
    network.eval()
    with torch.inference_mode():
        rows, group = view.rows(x), torch.from_numpy(group_of(places, groups, run.seed, n))
        kept = _kept(network, view, rows, group, run.seed, is_contaminated=is_contaminated)
        panel, scores = Panel.of(judges_of(network, view, kept), rows, group, by_agreement=is_contaminated)
    return Found(blame_of(panel, network, view, kept), kept, scores.double().numpy(), group.numpy(), trained)


def _kept(
    network: CellNetwork, view: RowView, rows: Rows, group: Tensor, seed: int, *, is_contaminated: bool
) -> dict[str, np.ndarray]:
    """The arrays that the judges are made of beside the network."""
    rng = np.random.default_rng([seed, 2])
    columns = rows.seen.shape[1]
    kept: dict[str, np.ndarray] = {"turns": rng.permutation(columns) % min(_TURNS, columns)}
    noisy = NoisyCells(network, view, _BLAMED)
    parts = zip(rows.chunks(), group.split(CHUNK), strict=True)
    costs = torch.cat([_of_group(noisy.costs(part), numbers) for part, numbers in parts])
    kept["usual_costs"] = _mean_costs(costs, rows.seen).clamp(min=_LEAST_COST).numpy()
    if not is_contaminated:
        some = torch.from_numpy(np.sort(rng.permutation(len(rows))[:_MOST_REFERENCES]))
        part = rows[some]
        kept |= {"plain": part.plain.numpy(), "missing": (~part.seen).numpy()}
        return kept | {"reference_groups": group[some].numpy()}
    others = [np.flatnonzero(group.numpy() != number) for number in range(network.members)]
    few = max(1, min(_FEW, *(len(rest) // 2 for rest in others)))
    choices = range(_CHOICES // network.members)
    samples = [[rng.choice(rest, few, replace=False) for _ in choices] for rest in others]
    kept["samples"] = rows.bent[torch.from_numpy(np.array(samples))].numpy()
    kept["centre_outputs"] = _middles(view, rows, group, network.members).numpy()
    kept["noise_usual"] = _median_costs(costs, rows.seen).numpy()
    return kept


def judges_of(network: CellNetwork, view: RowView, kept: Mapping[str, np.ndarray]) -> list[Judge]:
    """The judges that arrays of `KEPT` make."""
    arrays = {name: torch.from_numpy(array) for name, array in kept.items()}
    of_categories = HiddenCells(network, view, arrays["turns"], view.is_category)
    if "samples" in arrays:
        noisy = NoisyCells(network, view, _BLAMED, arrays["noise_usual"])
        judges = [NearestOfFew(view, arrays["samples"]), Centre(view, arrays["centre_outputs"]), noisy]
    else:
        rows, group = view.seen_as(arrays["plain"], ~arrays["missing"]), arrays["reference_groups"]
        if "bent" in arrays:
            plain = Nearest.of(view, rows, group, _NEIGHBOURS, math.inf, relative=True)
            bent = Nearest.of(view, rows, group, _NEIGHBOURS, 1.0, relative=False)
            judges = [plain, bent, NoisyCells(network, view, 1.0)]
        else:
            near = Nearest.of(view, rows, group, _NEIGHBOURS, _BEND, relative=True)
            judges = [near, NoisyCells(network, view, 0.5, votes=_VOTES_OF_NETWORK)]
            of_categories = replace(of_categories, votes=_VOTES_OF_CATEGORIES)
    return [*judges, of_categories] if view.has_categories else judges


def blame_of(panel: Panel, network: CellNetwork, view: RowView, kept: Mapping[str, np.ndarray]) -> Blame:
    """What divides a row's strangeness among its cells, from arrays of `KEPT`."""
    columns = len(view.is_category)
    usual = torch.from_numpy(kept.get("usual_costs", np.ones(columns, np.float32)))  # none in earlier models
    hidden = HiddenCells(network, view, torch.from_numpy(kept["turns"]), torch.ones(columns))
    return Blame(view, panel, NoisyCells(network, view, _BLAMED), hidden, usual)


def _middles(view: RowView, rows: Rows, group: Tensor, groups: int) -> Tensor:
    """Outputs of who knows only the columns, (groups, width): the middle, and of categories the frequencies."""
    found = torch.zeros(groups, rows.bent.shape[1])
    for number in range(groups):
        others = rows[group != number]
        seen = others.seen[:, view.owner].sum(0).clamp(min=1)
        means = others.bent.sum(0) / seen
        found[number] = torch.where(view.is_additive, means * 0, means.clamp(min=1 / (len(others) + 1)).log())
    return found


def _median_costs(costs: Tensor, seen: Tensor) -> Tensor:
    """What costs (n, columns) usually are: the square of the median error, made comparable to a variance."""
    usual = torch.where(seen, costs, torch.nan).nanmedian(0).values.nan_to_num(1.0) / 0.455
    return torch.maximum(usual, 0.01 * _mean_costs(costs, seen)).clamp(min=_LEAST_COST)


def _mean_costs(costs: Tensor, seen: Tensor) -> Tensor:
    return (costs * seen).sum(0) / seen.sum(0).clamp(min=1)


def _of_group(x: Tensor, group: Tensor) -> Tensor:
    """Of x (groups, n, ...), what belongs to the group of each row: (n, ...)."""
    return x[group, torch.arange(len(group))]
