"""The figures of the report."""

from __future__ import annotations

from isthmus.evaluation.figures.charts import error_distribution, errors_by_class, errors_by_column, loss_curves
from isthmus.evaluation.figures.codes import code_map, decoded_grid, effects, error_map, picture_map, traversals
from isthmus.evaluation.figures.samples import through_the_isthmus, worst_and_best
from isthmus.evaluation.figures.style import Plate, Print, render
from isthmus.evaluation.theme import DARK, LIGHT, Theme, clipped, number, theme_colors

__all__ = [
    "DARK",
    "LIGHT",
    "Plate",
    "Print",
    "Theme",
    "clipped",
    "code_map",
    "decoded_grid",
    "effects",
    "error_distribution",
    "error_map",
    "errors_by_class",
    "errors_by_column",
    "loss_curves",
    "number",
    "picture_map",
    "render",
    "theme_colors",
    "through_the_isthmus",
    "traversals",
    "worst_and_best",
]
