"""The report of a model of tables with columns of any kind."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from isthmus.data.columns import TableSchema
from isthmus.evaluation.figures.charts import loss_curves
from isthmus.evaluation.figures.style import Plate
from isthmus.evaluation.figures.table_columns import Bar, Names, column_shares
from isthmus.evaluation.figures.table_maps import column_maps
from isthmus.evaluation.page import Cell, Headline, Row, Samples, Section, Table, training_headline, write_page
from isthmus.evaluation.table_study import ColumnQuality, TableStudy
from isthmus.evaluation.table_text import GONE, HEADINGS, column_rows, shown
from isthmus.evaluation.theme import number, share
from isthmus.evaluation.verdict import verdict
from isthmus.words import count

_ROWS = (("best", 0.0), ("middle", 0.5), ("worst tenth", 0.9), ("worst", 1.0))
_MOST_LINES = 40  # columns whose cells are shown
_MOST_LISTED = 100
_FAR = 1.5  # deviations from which on a number is as wrong as colour can say
_NEAR = 0.1  # and up to which it is right


def write_table_report(
    measured: TableStudy, folder: Path, *, estimator: str, title: str | None, saved_as: Path
) -> Path:
    """Write ``report.html`` and its figures into a folder, and return the page's path; see `write_report`."""
    return write_page(
        folder / "report.html",
        title=title or folder.resolve().name,
        data=measured.data,
        lead=_lead(measured),
        verdict=verdict(measured),
        headlines=_headlines(measured),
        sections=list(_sections(measured, estimator, saved_as.resolve().name)),
        footer=_footer(measured),
    )


def columns_section(schema: TableSchema, read_as: str) -> Section:
    """What the columns of a table are, and what is done with them."""
    rows = [Row(name, cells) for name, cells in column_rows(schema.columns[:_MOST_LISTED])]
    text = f"Read as {read_as}." if read_as else ""
    if len(schema.columns) > _MOST_LISTED:
        text += f" These are the first {_MOST_LISTED} of {len(schema.columns)} columns."
    return Section("The columns", text=text.strip(), listing=Table(("", *HEADINGS), rows, ("missing", "distinct")))


def _sections(measured: TableStudy, estimator: str, name: str) -> Iterator[Section]:
    yield Section("Through the isthmus", text=_how_to_read(measured), samples=_samples(measured))
    yield Section("Beside PCA with the same code size", table=_comparison(measured))
    charts = [plate for plate in _charts(measured) if plate is not None]
    learned = loss_curves(measured.history, "cost of a cell", wide=len(charts) != 1)
    curves = [] if learned is None else [learned]
    if len(charts) == 1:  # two plates stand side by side
        yield Section("Column by column, and how it learned", [*charts, *curves])
    else:
        yield Section("Column by column", charts)
    maps = column_maps(measured)
    if maps:
        yield Section("The map of the codes", maps)
    if curves and len(charts) != 1:
        yield Section("How it learned", curves)
    yield columns_section(measured.scaler.schema, measured.read_as)
    yield _model_section(measured, estimator, name)


# Rows


def _how_to_read(measured: TableStudy) -> str:
    more = len(measured.columns) - _MOST_LINES
    some = f" The first {_MOST_LINES} of {len(measured.columns)} columns." if more > 0 else ""
    return (
        f"Test rows from the best to the worst rebuilt. Cells that come back wrong are coloured: another category, or "
        f"a number that is off by a good part of its column's standard deviation. {GONE} is a missing cell.{some}"
    )


def _samples(measured: TableStudy) -> Samples:
    order = np.argsort(measured.row_errors, kind="stable")
    picks = dict.fromkeys(int(order[round(share * (len(order) - 1))]) for _, share in _ROWS)
    titles = [title for title, _ in _ROWS] if len(picks) == len(_ROWS) else [""] * len(picks)
    heads = [(f"row {measured.places[i]:,}", title) for i, title in zip(picks, titles, strict=True)]
    wrong = _wrongness(measured, list(picks))
    lines = []
    for j, column in enumerate(measured.columns[:_MOST_LINES]):
        originals, rebuilt = (table.column(column.name) for table in (measured.originals, measured.rebuilt))
        cells = []
        for row, i in enumerate(picks):
            known = not np.isnan(measured.values[i, j])
            texts = shown(originals[i].as_py()) if known else GONE, shown(rebuilt[i].as_py())
            shade = 0.0 if texts[0] == texts[1] else float(wrong[row, j])
            cells += [Cell(texts[0]), Cell(texts[1], shade)]
        lines.append((column.name, cells))
    return Samples(heads, ("original", "rebuilt"), lines)


def _wrongness(measured: TableStudy, rows: list[int]) -> np.ndarray:
    """How wrong each cell of some rows is, 0 to 1, (rows, columns); 0 where it was missing."""
    right = measured.scaler.comparable(measured.values[rows])
    guess = measured.scaler.comparable(measured.rebuilt_values[rows])
    distance = np.clip((np.abs(right - guess) - _NEAR) / (_FAR - _NEAR), 0, 1)
    category = np.array([column.is_category for column in measured.columns])
    shades: np.ndarray = 0.65 * np.nan_to_num(np.where(category, (right != guess) & ~np.isnan(right), distance))
    return shades


# Columns


def _charts(measured: TableStudy) -> list[Plate | None]:
    numbers = [quality for quality in measured.qualities if not quality.column.is_category]
    categories = [quality for quality in measured.qualities if quality.column.is_category]
    return [
        column_shares(
            "numbers",
            "Numbers and dates: the share of a column's variance that comes back. The mean keeps none of it.",
            [_bar(quality) for quality in numbers],
            Names("auto-encoder", "PCA", "mean", "share of the variance kept (R²)"),
        ),
        column_shares(
            "categories",
            "Categories: the share of cells that come back as they were; the stroke is what the commonest value alone "
            "gets right.",
            [_bar(quality) for quality in categories],
            Names("auto-encoder", "PCA", "commonest value", "share of cells right"),
        ),
    ]


def _bar(quality: ColumnQuality) -> Bar:
    return Bar(quality.column.name, quality.ours, quality.pca, quality.simple)


def _comparison(measured: TableStudy) -> Table:
    """Means over the columns of each make, then what is left of the simplest guess's errors, and the code."""
    rows = []
    makes = (("Numbers: share of variance kept (R²)", False), ("Categories: share of cells right", True))
    for label, category in makes:
        some = [quality for quality in measured.qualities if quality.column.is_category == category]
        if some:
            means = [float(np.mean([getattr(q, key) for q in some])) for key in ("ours", "pca", "simple")]
            rows.append(_row(label, means, 1))
    left = [measured.error, measured.pca_error, 1.0]
    rows.append(_row("What is left of the error of means and commonest values", left, -1))
    sizes = [f"{measured.code_size:,}", f"{measured.pca_components:,}", "0"]
    rows.append(Row("Numbers in a code", sizes))
    return Table(("auto-encoder", "PCA", "mean or commonest"), rows)


def _row(label: str, figures: list[float], sign: int) -> Row:
    cells = [share(figure) for figure in figures]
    best = max(range(len(figures)), key=lambda i: sign * figures[i])
    return Row(label, cells, best if cells.count(cells[best]) == 1 else None)


# Words


def _headlines(measured: TableStudy) -> list[Headline]:
    ours, theirs = measured.error, measured.pca_error
    rows = [Headline("Error left", number(100 * ours), "%", "of the error that means and commonest values make")]
    if ours > 0 and theirs > 0:
        ratio, how = (theirs / ours, "smaller") if theirs >= ours else (ours / theirs, "larger")
        unit, detail = (f"× {how}", "error than PCA") if ratio >= 1.005 else ("×", "the error of PCA")
        detail = f"{detail} with {count(measured.pca_components, 'component')}"
        rows.append(Headline("Beside PCA", number(ratio), unit, detail))
    figure, _, unit = count(measured.code_size, "number").partition(" ")
    rows.append(Headline("Code", figure, unit, f"for {count(len(measured.columns), 'column')}"))
    return rows + training_headline(measured.history)


def _lead(measured: TableStudy) -> str:
    left = len(measured.scaler.schema.left_out)
    columns = count(len(measured.columns), "column") + (f" ({left} more left out)" if left else "")
    rows = count(len(measured.values), "test row")
    return f"Rows of {columns} through a code of {count(measured.code_size, 'number')}, measured on {rows}"


def _footer(measured: TableStudy) -> str:
    n, given = len(measured.values), measured.samples_given
    some = f"{n:,} of the {given:,} test rows" if given > n else f"all {given:,} test rows"
    return (
        f"Everything on this page was measured on {some}, in the known cells. Numbers are standardised, those with "
        f"heavy tails after a signed logarithm. PCA was fitted to standardised numbers and one-hot categories of "
        f"{count(measured.pca_samples, 'training row')}, and goes back to values as the auto-encoder does."
    )


def _model_section(measured: TableStudy, estimator: str, name: str) -> Section:
    python = (
        f"from isthmus import {estimator}\n\nmodel = {estimator}.load({name!r})\n"
        f"Z = model.transform(frame)            # (n, {measured.code_size})\n"
        f"frame2 = model.inverse_transform(Z)   # a data frame again\n"
        f"shares = model.score_columns(frame)   # how likely each cell is, in nats"
    )
    quoted = shlex.quote(name)
    shell = f"isthmus reconstruct {quoted} data.csv -o rebuilt.csv\nisthmus embed {quoted} data.csv -o codes.parquet"
    return Section(
        "The model, and how to use it",
        facts=measured.description,
        examples={"In Python": python, "On the command line": shell},
    )
