"""Figures of a model as Matplotlib's own, for papers and notebooks: `isthmus.plots`.

Each function returns a `matplotlib.figure.Figure` that belongs to nobody else: save it, or change it first.

Examples
--------
>>> from isthmus import AutoEncoder, datasets, plots
>>> digits = datasets.load("digits")
>>> model = AutoEncoder(8, epochs=2, random_state=0).fit(digits.train.images)
>>> figure = plots.reconstructions(model, digits.test.images)
>>> figure.savefig("reconstructions.png")
"""

from __future__ import annotations

from typing import Any, Literal

from matplotlib.figure import Figure

from isthmus.data.base import Source, spread_samples
from isthmus.data.table_source import TableSource
from isthmus.errors import IsthmusError, unknown_name
from isthmus.evaluation.figures.charts import loss_curves
from isthmus.evaluation.figures.codes import code_map
from isthmus.evaluation.figures.samples import through_the_isthmus
from isthmus.evaluation.figures.style import Plate, standing_alone
from isthmus.evaluation.opening import open_for_model
from isthmus.evaluation.study import Reconstructor, passage, study
from isthmus.evaluation.theme import DARK, LIGHT

__all__ = ["codes", "losses", "reconstructions"]

ThemeName = Literal["light", "dark"]
_THEMES = {theme.name: theme for theme in (LIGHT, DARK)}
_MOST_SAMPLES = 1_000


def reconstructions(model: Reconstructor, X: Any, *, columns: int = 10, theme: ThemeName = "light") -> Figure:
    """Samples, their codes and what is rebuilt from these, from the smallest error to the largest.

    X : samples in any form that the model takes, of which 1,000 from all over X are looked at. columns : how many are
    drawn. theme : "light" or "dark".

    Raises IsthmusError for tables with columns of several kinds; their rows are in the report.
    """
    some = spread_samples(_opened(model, X), _MOST_SAMPLES)
    return _figure(through_the_isthmus(passage(model, some.take(range(len(some)))), columns), theme)


def losses(model: Any, *, theme: ThemeName = "light") -> Figure:
    """The losses of any fitted estimator over its training, and the learning rate.

    Raises IsthmusError where its history has fewer than two entries.
    """
    plate = loss_curves(model.history_, model.describe().get("objective", "training loss"))
    if plate is None:
        raise IsthmusError(f"the history of this model has {len(model.history_)} entries; a curve needs at least 2")
    return _figure(plate, theme)


def codes(model: Reconstructor, X: Any, y: Any = None, *, theme: ThemeName = "light") -> Figure:
    """The codes of X as points, in their two numbers or along their two principal directions.

    y : a label for each sample, which colours it; by default those of X, where it has some.

    Raises IsthmusError where labels do not match or codes cannot be drawn, and for tables as above.
    """
    source = _opened(model, X)
    plate = code_map(study(model, train=source, test=source, labels=y))
    if plate is None:
        raise IsthmusError("codes of one number, or of fewer than three samples, make no map")
    return _figure(plate, theme)


def _opened(model: Reconstructor, X: Any) -> Source:
    source = open_for_model(model, X)
    if isinstance(source, TableSource):
        raise IsthmusError("rows with columns of several kinds are no pictures; model.report(X, folder) shows them")
    return source


def _figure(plate: Plate, theme: ThemeName) -> Figure:
    if theme not in _THEMES:
        raise unknown_name("theme", theme, _THEMES)
    return standing_alone(plate.draw, _THEMES[theme])
