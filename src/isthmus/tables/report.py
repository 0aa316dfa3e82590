"""The report of an imputer: how well hidden cells are found, and what the holes are filled with."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from isthmus.data.columns import Column, TableSchema
from isthmus.data.frames import as_table
from isthmus.data.table_source import TableSource
from isthmus.evaluation.figures.charts import loss_curves
from isthmus.evaluation.figures.table_columns import Bar, Names, column_shares
from isthmus.evaluation.page import Cell, Headline, Row, Samples, Section, Table, saving, training_headline, write_page
from isthmus.evaluation.table_report import columns_section
from isthmus.evaluation.table_text import GONE, shown
from isthmus.evaluation.theme import number, share
from isthmus.tables.learning import Recovery
from isthmus.words import count

_SHOWN = 6  # rows with holes
_MOST_LINES = 40  # columns of these rows
_NOTHING = 0.01  # gain over the simplest guess that is worth nothing


class FillsHoles(Protocol):
    """What the report needs to know about an imputer."""

    recovery_: list[Recovery]
    history_: list[dict[str, Any]]

    @property
    def schema_(self) -> TableSchema: ...

    def transform(self, X: Any, *, return_std: bool = False) -> Any: ...

    def describe(self) -> dict[str, str]: ...


def write_report(
    imputer: FillsHoles, source: TableSource, folder: Path, *, title: str | None, saved_as: Path | None
) -> Path:
    """Write ``report.html`` and its figures into a folder, and return the page's path."""
    holes = np.isnan(source.take(np.arange(len(source))))
    charts = [plate for plate in _charts(imputer.recovery_) if plate is not None]
    sections = [
        Section("How well hidden cells are found", charts, listing=_listing(imputer, holes), text=_how_judged()),
        _filled(imputer, source, holes),
    ]
    learned = loss_curves(imputer.history_, "cost of a hidden cell", wide=True)
    if learned is not None:
        sections.append(Section("How it learned", [learned]))
    sections += [columns_section(imputer.schema_, source.said), _model_section(imputer, saved_as)]
    return write_page(
        folder / "report.html",
        title=title or folder.resolve().name,
        data=source.name,
        lead=f"{count(len(source), 'row')} of {count(holes.shape[1], 'column')}; {count(int(holes.sum()), 'cell')} of "
        f"{holes.size:,} missing",
        verdict=_verdict(imputer.recovery_),
        headlines=_headlines(imputer, holes),
        sections=sections,
        footer="Hidden cells are known ones that the network that judges them never saw in training. Errors of numbers "
        "and dates are in standard deviations of their column, of those with heavy tails after a signed logarithm.",
    )


def _how_judged() -> str:
    return (
        "Known cells were hidden, and found again from the others of their row. Beside that stands the simplest way to "
        "fill a hole: the mean of numbers, the commonest value of categories."
    )


def _charts(recovery: Sequence[Recovery]) -> list[Any]:
    numbers = [entry for entry in recovery if not entry.is_category]
    categories = [entry for entry in recovery if entry.is_category]
    return [
        column_shares(
            "numbers",
            "Numbers and dates: the share of the variance of hidden cells that is found. The mean finds none of it.",
            [Bar(entry.column, 1 - entry.ours**2, None, 0.0) for entry in numbers],
            Names("imputer", "", "mean", "share of the variance found (R²)"),
        ),
        column_shares(
            "categories",
            "Categories: the share of hidden cells that are found; the stroke is what the commonest value gets right.",
            [Bar(entry.column, entry.ours, None, entry.simple) for entry in categories],
            Names("imputer", "", "commonest value", "share of hidden cells right"),
        ),
    ]


def _listing(imputer: FillsHoles, holes: np.ndarray) -> Table:
    missing = dict(zip([column.name for column in imputer.schema_.used], holes.sum(0).tolist(), strict=True))
    rows = []
    for entry in imputer.recovery_:
        if entry.is_category:
            figures = (f"{share(entry.ours)} right", f"{share(entry.simple)} right")
        else:
            figures = (f"{number(entry.ours)} σ off", f"{number(entry.simple)} σ off")
        rows.append(Row(entry.column, (entry.kind, f"{missing.get(entry.column, 0):,}", f"{entry.cells:,}", *figures)))
    heads = ("", "kind", "missing here", "hidden to judge", "imputer", "mean or commonest")
    return Table(heads, rows, heads[2:])


def _filled(imputer: FillsHoles, source: TableSource, holes: np.ndarray) -> Section:
    """Some rows with their filled cells, and how sure these are."""
    number_of_holes = holes.sum(axis=1)
    with_holes = np.flatnonzero(number_of_holes)
    if not len(with_holes):
        return Section("Filled rows", text="No cell of these data is missing, so that nothing was filled.")
    order = with_holes[np.argsort(number_of_holes[with_holes], kind="stable")]
    picks = np.unique(order[np.linspace(0, len(order) - 1, min(_SHOWN, len(order))).astype(int)])
    rows = source.subset(picks)
    frame, doubt = imputer.transform(rows, return_std=True)
    table = as_table(frame)
    doubts = dict(zip(table.column_names, doubt.T, strict=True))
    lines = []
    for column, own in list(zip(imputer.schema_.used, holes[picks].T, strict=True))[:_MOST_LINES]:
        values = table.column(column.name).to_pylist()
        each = zip(values, own.tolist(), doubts[column.name].tolist(), strict=True)
        lines.append((column.name, [_cell(value, hole, unsure, column) for value, hole, unsure in each]))
    heads = [(f"row {i:,}", f"{number_of_holes[i]} filled") for i in picks.tolist()]
    text = (
        "Filled cells are coloured, the more strongly the surer they are, and say how sure: the standard deviation of "
        "a number, the chance that a category is right."
    )
    return Section("Filled rows", text=text, samples=Samples(heads, ("",), lines, warns=False))


def _cell(value: Any, hole: bool, doubt: float, column: Column) -> Cell:
    """A cell; of one that was filled, how sure it is."""
    text = shown(value)
    if not hole or text == GONE:
        return Cell(text)
    if column.is_category:
        return Cell(text, 0.15 + 0.5 * (1 - doubt), share(1 - doubt))
    scale = column.settings.get("scale", 1.0) if "width" not in column.settings else 0.0  # which says nothing
    if column.kind == "date":
        note, sure = f"± {number(doubt / 86_400)} days", 1 - min(1.0, doubt / scale)
    else:
        note, sure = f"± {number(doubt)}", 1 - min(1.0, doubt / scale) if scale else 0.5
    return Cell(text, 0.15 + 0.5 * sure, note)


def _verdict(recovery: Sequence[Recovery]) -> str:
    said = []
    numbers = [entry.ours for entry in recovery if not entry.is_category]
    categories = [entry for entry in recovery if entry.is_category]
    if numbers:
        off = number(float(np.mean(numbers)))
        said.append(f"Hidden numbers are found within {off} standard deviations; the mean is 1 off.")
    if categories:
        ours, simple = (float(np.mean([getattr(entry, key) for entry in categories])) for key in ("ours", "simple"))
        said.append(f"Of hidden categories {share(ours)} are found; the commonest value finds {share(simple)}.")
    hopeless = [entry.column for entry in recovery if _gain(entry) < _NOTHING]
    if hopeless:
        listed = ", ".join(f"“{name}”" for name in hopeless[:4]) + (" and others" if len(hopeless) > 4 else "")
        said.append(f"The other columns say next to nothing about {listed}.")
    return " ".join(said)


def _gain(entry: Recovery) -> float:
    """What is gained over the simplest guess: 0 is nothing, 1 is all."""
    if not entry.is_category:
        return 1 - entry.ours**2
    return (entry.ours - entry.simple) / max(1 - entry.simple, 1e-9) if entry.simple < 1 else 1.0


def _headlines(imputer: FillsHoles, holes: np.ndarray) -> list[Headline]:
    rows = [Headline("Filled", f"{int(holes.sum()):,}", "cells", f"in {count(int(holes.any(1).sum()), 'row')}")]
    numbers = [entry.ours for entry in imputer.recovery_ if not entry.is_category]
    categories = [entry for entry in imputer.recovery_ if entry.is_category]
    if numbers:
        detail = "root mean squared error of hidden numbers; the mean: 1"
        rows.append(Headline("Numbers", number(float(np.mean(numbers))), "σ", detail))
    if categories:
        ours, simple = (float(np.mean([getattr(entry, key) for entry in categories])) for key in ("ours", "simple"))
        detail = f"of hidden categories are right; the commonest value: {share(simple)}"
        rows.append(Headline("Categories", number(100 * ours), "%", detail))
    return rows + training_headline(imputer.history_)


def _model_section(imputer: FillsHoles, saved_as: Path | None) -> Section:
    name = "imputer" if saved_as is None else saved_as.resolve().name
    python = (
        f"from isthmus import Imputer\n\n{saving('imputer', saved_as)}"
        f"imputer = Imputer.load({name!r})\nfilled = imputer.transform(frame)\n"
        f"filled, doubt = imputer.transform(frame, return_std=True)\n"
        f"five = imputer.sample(frame, 5)  # for multiple imputation"
    )
    shell = f"isthmus impute data.csv -o filled.csv --model {shlex.quote(name)}"
    return Section(
        "The imputer, and how to use it",
        facts=imputer.describe(),
        examples={"In Python": python, "On the command line": shell},
    )
