"""The map of a table's codes, coloured by its columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.colors import to_rgba

from isthmus.data.base import evenly_spread
from isthmus.evaluation.figures.scatter import Colors, Legend, class_colors, scatter_map
from isthmus.evaluation.figures.style import Canvas, Plate
from isthmus.evaluation.study import Classes
from isthmus.evaluation.table_study import TableStudy
from isthmus.evaluation.table_text import shown_value
from isthmus.evaluation.theme import LIGHT, Theme, clipped

_MOST_MAPS = 4
_MOST_ROWS = 2_000  # that say how well a map keeps a column
_NEIGHBOURS = 15
_LEAST_ORDER = 0.05  # of a column worth a map
_SAME = 0.8  # mutual information from which on two columns say the same


def column_maps(study: TableStudy) -> list[Plate]:
    """The map coloured by the labels, where there are some, and by the columns that it keeps best."""
    points = study.plane[0]
    if len(points) < 20 or not np.ptp(points, axis=0).any():
        return []
    named = [(study.columns[j].name, _coloring(study, j)) for j in _kept_best(study)]
    if study.classes is not None:
        classes = study.classes
        named.insert(0, ("the label", lambda theme: class_colors(classes, theme)))
    legends = [[name for name, _ in coloring(LIGHT)[1]] for _, coloring in named]
    longest = max(legends, key=lambda names: (len(names), sum(map(len, names))), default=[])
    whole = len(named) - len(named) % 2 if len(named) > 1 else 1  # in pairs, side by side
    return [_plate(study, i, name, coloring, longest) for i, (name, coloring) in enumerate(named[:whole])]


Coloring = Callable[[Theme], tuple[Colors, Legend]]


def _plate(study: TableStudy, i: int, name: str, coloring: Coloring, beside: Sequence[str]) -> Plate:
    what = "its code" if study.code_size <= 2 else "the two principal components of its code"
    called = name if name == "the label" else f"“{clipped(name, 30)}”"
    caption = f"Each point is a test row at {what}, coloured by {called}." if i == 0 else f"Coloured by {called}."

    def draw(theme: Theme) -> Canvas:
        colors, legend = coloring(theme)
        return scatter_map(study.plane, colors, legend, theme, beside)

    return Plate(f"map_{i}", caption, draw)


def _coloring(study: TableStudy, j: int) -> Coloring:
    column, values = study.columns[j], study.values[:, j]
    if column.is_category:
        names = [str(value) for value in column.settings["values"]]
        missing = np.isnan(values)
        if np.nanmax(values, initial=0) >= len(names):
            names.append("other")
        if missing.any():
            names.append("missing")
        classes = Classes(tuple(names), np.where(missing, len(names) - 1, values).astype(int))
        return lambda theme: _without(class_colors(classes, theme), missing, theme)
    return lambda theme: _by_rank(study, j, theme)


def _without(colored: tuple[Colors, Legend], missing: np.ndarray, theme: Theme) -> tuple[Colors, Legend]:
    """Colours and legend of classes, of which what is missing is pale."""
    colors, legend = colored
    pale = [(name, theme.faint if name == "missing" and missing.any() else color) for name, color in legend]
    return [to_rgba(theme.faint, 0.6) if gone else c for c, gone in zip(colors, missing, strict=True)], pale


def _by_rank(study: TableStudy, j: int, theme: Theme) -> tuple[Colors, Legend]:
    """Green below the median and orange above it, the stronger the farther."""
    values = study.values[:, j]
    known = np.sort(values[~np.isnan(values)])
    rank = (np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")) / (2 * len(known))
    low, high = (shown_value(study.columns[j], float(np.quantile(known, q, method="nearest"))) for q in (0.1, 0.9))
    steps = {
        sign: [to_rgba(color, alpha) for alpha in np.linspace(0.12, 0.9, 6)]
        for sign, color in ((-1, theme.cool), (1, theme.warm))
    }
    colors: Colors = []
    for value, share in zip(values.tolist(), (2 * rank - 1).tolist(), strict=True):
        shade = min(5, int(6 * abs(share)))
        colors.append(to_rgba(theme.faint, 0.6) if np.isnan(value) else steps[1 if share > 0 else -1][shade])
    legend: Legend = [(f"low ({low})", steps[-1][5]), (f"high ({high})", steps[1][5])]
    if len(known) < len(values):
        legend.append(("missing", theme.faint))
    return colors, legend


def _kept_best(study: TableStudy) -> list[int]:
    """The columns whose values neighbours on the map share most, one of those that say the same."""
    from sklearn.metrics import normalized_mutual_info_score
    from sklearn.neighbors import NearestNeighbors

    some = evenly_spread(len(study.values), _MOST_ROWS)
    points, values = study.plane[0][some], study.values[some]
    near = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(points) - 1)).fit(points).kneighbors()[1]
    scored = [(_order(values[:, j], near, column.is_category), j) for j, column in enumerate(study.columns)]
    kept: list[int] = []
    groups = [_groups(values[:, j], column.is_category) for j, column in enumerate(study.columns)]
    for score, j in sorted(scored, key=lambda pair: (-pair[0], pair[1])):
        alike = any(normalized_mutual_info_score(groups[j], groups[k]) > _SAME for k in kept)
        if not alike and (score >= _LEAST_ORDER or len(kept) < 2):
            kept.append(j)
        if len(kept) == _MOST_MAPS:
            break
    return kept


def _order(values: np.ndarray, near: np.ndarray, category: bool) -> float:
    """How much better neighbours tell a value than the mean or the commonest value does: 0 to 1."""
    known = ~np.isnan(values)
    if known.sum() < 10 or np.ptp(values[known]) == 0:
        return -1.0
    if not category:
        ranks = np.where(known, np.searchsorted(np.sort(values[known]), values), np.nan)
        guess = np.nanmean(np.where(known[near].any(1)[:, None], ranks[near], 0.0), axis=1)
        return float(1 - np.square(guess - ranks)[known].mean() / ranks[known].var())
    codes = np.where(known, values, -1).astype(int)
    votes = np.stack([(codes[near] == value).sum(1) for value in range(codes.max() + 1)], 1)
    base = np.bincount(codes[known]).max() / known.sum()
    return float(((votes.argmax(1) == codes)[known].mean() - base) / max(1 - base, 0.02))


def _groups(values: np.ndarray, category: bool) -> np.ndarray:
    """Values as a few whole numbers: categories, or fifths of numbers; -1 where missing."""
    known = ~np.isnan(values)
    if category or not known.any():
        return np.where(known, values, -1).astype(int)
    fifths = np.searchsorted(np.quantile(values[known], (0.2, 0.4, 0.6, 0.8)), values)
    return np.where(known, fifths, -1)
