"""The strangest samples and why they are strange, as sections of a detector's report: one maker for each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isthmus.anomalies.figures import guilty_columns
from isthmus.anomalies.findings import UNITS, Detector, Findings
from isthmus.anomalies.guilt import explained, guiltiest
from isthmus.anomalies.names import named
from isthmus.anomalies.series_report import series_sections
from isthmus.data.base import evenly_spread
from isthmus.data.channels_last import channels_last, sample_channel_axis
from isthmus.data.scaling import finite_sample
from isthmus.data.sources import Source, subset
from isthmus.data.table_source import TableSource
from isthmus.evaluation.figures.sample_rows import COLUMNS, SampleRow, as_cell, as_difference, sample_rows
from isthmus.evaluation.figures.style import Plate
from isthmus.evaluation.page import Cell, Row, Samples, Section, Table
from isthmus.evaluation.pictures import shown_range
from isthmus.evaluation.table_text import GONE, shown
from isthmus.evaluation.theme import Theme, clipped, number, share
from isthmus.words import count

_LISTED, _SHOWN, _MOST_LINES = 20, 4, 40
_MOST_EXPLAINED = 2_000  # rows
_STRONGEST = 0.995  # quantile of the strangeness of pixels that has the full colour


def strangest(detector: Detector, samples: Any, findings: Findings) -> list[Section]:
    """Sections about the strangest samples."""
    maker: Callable[[Detector, Any, Findings], list[Section]] = _MAKERS[detector.kind_]
    return maker(detector, samples, findings)


def _head(findings: Findings, index: int, flagged: np.ndarray) -> str:
    """What is said of a sample beside its number."""
    said = f"p {number(findings.p[index])}" + (", flagged" if flagged[index] else "")
    return said if findings.labels is None else f"{said}, labelled {clipped(str(findings.labels.values[index]), 12)}"


# Rows of tables


def _rows(detector: Detector, table: TableSource, findings: Findings) -> list[Section]:
    picks = findings.strangest(_LISTED)
    rows = table.subset(picks)
    names = [column.name for column in table.schema.used]
    guilt, expected = explained(detector, rows)
    texts = [[shown(v) for v in rows.table.column(name).to_pylist()] for name in names]  # columns, rows
    guesses = [[shown(v) for v in expected.column(name).to_pylist()] for name in names]
    called = named(detector, table, picks)
    listing = _listing(findings, picks, called, names, guilt, texts, guesses)
    sections = [
        Section("The strangest rows", text=_how_to_read(len(names)), listing=listing),
        Section("Cell by cell", samples=_cells(findings, picks[:_SHOWN], called, names, guilt, texts, guesses)),
    ]
    return sections


def _how_to_read(columns: int) -> str:
    return (
        f"The strangest first, and what makes each so: of {columns:,} columns at most three, the one that carries most "
        f"of its strangeness and those that carry at least half as much, with the value that would have been expected. "
        f"{GONE}: missing."
    )


def _listing(
    findings: Findings,
    picks: np.ndarray,
    called: Sequence[str],
    names: Sequence[str],
    guilt: np.ndarray,
    texts: Sequence[Sequence[str]],
    guesses: Sequence[Sequence[str]],
) -> Table:
    flagged, rows, guilty = findings.flagged(), [], guiltiest(guilt)
    for place, index in enumerate(picks.tolist()):
        why = "; ".join(
            f"{clipped(names[j], 24)} {texts[j][place]} (expected {guesses[j][place]})"
            if texts[j][place] != guesses[j][place]
            else f"{clipped(names[j], 24)} {texts[j][place]}"
            for j in guilty[place]
        )
        own = [] if findings.labels is None else [str(findings.labels.values[index])]
        p = number(findings.p[index]) + (", flagged" if flagged[index] else "")
        rows.append(Row(called[place], (p, *own, why)))
    label = [] if findings.labels is None else ["label"]
    return Table(("", "p", *label, "because of"), rows)


def _cells(
    findings: Findings,
    picks: np.ndarray,
    called: Sequence[str],
    names: Sequence[str],
    guilt: np.ndarray,
    texts: Sequence[Sequence[str]],
    guesses: Sequence[Sequence[str]],
) -> Samples:
    """The strangest rows whole; of many columns the guiltiest, in the table's order."""
    flagged, n, guilty = findings.flagged(), len(picks), guiltiest(guilt)
    most = np.sort(np.argsort(-guilt[:n].max(0), kind="stable")[:_MOST_LINES])
    lines = []
    for j in most.tolist():
        cells: list[Cell] = []
        for i in range(n):
            shade = 0.65 * min(1.0, 2 * guilt[i, j]) if j in guilty[i] else 0.0
            note = share(guilt[i, j]) if shade else ""
            cells += [Cell(texts[j][i], shade, note), Cell(guesses[j][i])]
        lines.append((clipped(names[j], 26), cells))
    heads = [(called[i], _head(findings, index, flagged)) for i, index in enumerate(picks.tolist())]
    return Samples(heads, ("value", "expected"), lines)


def columns_chart(detector: Detector, table: TableSource, findings: Findings) -> Plate | None:
    """Which columns are guilty how often; None where there is one column only."""
    chosen, called, what = np.flatnonzero(findings.flagged()), "flagged rows", "rows that are flagged at an FDR of 10 %"
    if not len(chosen):
        chosen = np.sort(findings.strangest(max(1, len(findings) // 100)))
        called, what = "the strangest rows", f"{count(len(chosen), 'row')} that are strangest, since none is flagged"
    others = np.setdiff1d(np.arange(len(findings)), chosen, assume_unique=True)
    names = [column.name for column in table.schema.used]
    shares = []
    for rows in (chosen, others if len(others) else chosen):
        some = rows[evenly_spread(len(rows), _MOST_EXPLAINED)]
        first = explained(detector, table.subset(some))[0].argmax(1)
        shares.append(np.bincount(first, minlength=len(names)) / len(some))
    caption = (
        f"How often each column carries the largest part of the strangeness: bars for the {what}, strokes for the "
        f"other rows."
    )
    if max(len(chosen), len(others)) > _MOST_EXPLAINED:
        caption += f" Of each, at most {_MOST_EXPLAINED:,} were explained, evenly spread."
    return guilty_columns(names, shares[0], shares[1], (called, "the others"), caption)


# Images, and signals


def _samples(detector: Detector, source: Source, findings: Findings) -> list[Section]:
    what = UNITS[detector.kind_] + "s"
    return [Section(f"The strangest {what}", [image_rows(detector, source, findings, findings.flagged())])]


def image_rows(
    detector: Detector, source: Source, findings: Findings, flagged: np.ndarray, ranks: slice = slice(COLUMNS)
) -> Plate:
    """Samples, what was expected, and where they are strange: the strangest.

    flagged : which samples count as anomalies, bool (n,). ranks : which of the strangest, at most `COLUMNS`.
    """
    picks, unit = findings.order[ranks], UNITS[detector.kind_]
    samples, expected, heat = explained_samples(detector, source, picks)
    ends = _ends(samples, unit)
    top = max(float(np.quantile(np.concatenate([one.ravel() for one in heat]), _STRONGEST)), 1e-12)

    def heated(theme: Theme) -> list[np.ndarray]:
        if samples[0].ndim == 2:  # a line over time
            return [as_cell(one[:, None], (0, float(max(one.max() for one in heat)))) for one in heat]
        return [as_difference(one[..., None], np.zeros_like(one[..., None]), top, theme) for one in heat]

    labels = findings.labels
    said = [] if labels is None else [f"labelled {clipped(str(labels.values[i]), 11)}" for i in picks]
    notes = [f"p {number(findings.p[i])}" + (", flagged" if flagged[i] else "") for i in picks]
    rows = [
        SampleRow(unit, "strangest first", lambda theme: [as_cell(s, ends) for s in samples], notes),
        SampleRow("expected", "", lambda theme: [as_cell(s, ends) for s in expected], said),
        SampleRow("strange there", "", heated, named(detector, source, picks)),
    ]
    caption = (
        f"The strangest {unit}s: as they are, what would have been expected, and where they are strange, on one scale "
        f"for all."
    )
    return sample_rows("strangest", caption, rows)


def _ends(samples: list[np.ndarray], unit: str) -> tuple[float, float]:
    """The values shown as black and white, or at the bottom and the top of a line."""
    if unit == "image" and samples[0].dtype.kind != "f":
        return 0.0, float(np.iinfo(samples[0].dtype).max) if samples[0].dtype.kind in "iu" else 1.0
    return shown_range(np.concatenate([sample.ravel() for sample in samples]), f"{unit}s")


def explained_samples(
    detector: Detector, source: Source, picks: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Samples and the expected ones, (*spatial, channels), and the strangeness of each place, (*spatial)."""
    some = subset(source, picks)
    parts = detector.scorer_.parts(some)
    samples, guesses, heat = [], [], []
    for i in range(len(picks)):
        sample, expected, scores = finite_sample(some, i), np.asarray(parts.expected[i]), np.asarray(parts.scores[i])
        axis = sample_channel_axis(sample.shape, "auto")
        if detector.kind_ == "signals":
            axis = None if sample.ndim == 1 else int(np.argmin(sample.shape))
        samples.append(channels_last(sample, axis))
        guesses.append(channels_last(expected, axis))
        heat.append(channels_last(scores, axis).sum(-1) if scores.ndim == sample.ndim else scores)
    return samples, guesses, heat


# Series


_MAKERS: dict[str, Callable[[Detector, Any, Findings], list[Section]]] = {
    "table": _rows,
    "images": _samples,
    "signals": _samples,
    "series": series_sections,
}
