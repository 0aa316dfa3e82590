"""The report of a detector: what is flagged and how sure that is, the strangest samples, and what makes them so."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.anomalies.figures import histogram, p_value_plot
from isthmus.anomalies.findings import FDR, UNITS, Detector, Findings, Labels
from isthmus.anomalies.strangest import columns_chart, strangest
from isthmus.data.table_source import TableSource
from isthmus.evaluation.figures.charts import loss_curves
from isthmus.evaluation.page import Headline, Row, Section, Table, saving, training_headline, write_page
from isthmus.evaluation.table_report import columns_section
from isthmus.evaluation.theme import number, share
from isthmus.words import count

_LEVELS = (0.01, 0.05, FDR)
_PLAIN = 0.01  # the p-value that is judged alone, for comparison
_MOST_LABELS = 20


def write_report(
    detector: Detector, samples: Any, folder: Path, *, data: str, labels: Any, title: str | None, saved_as: Path | None
) -> Path:
    """Write ``report.html`` and its figures into a folder, and return the page's path; see `AnomalyDetector.report`.

    data : what the samples are called.
    """
    findings = Findings.of(detector, samples, labels)
    unit = UNITS[detector.kind_]
    return write_page(
        folder / "report.html",
        title=title or folder.resolve().name,
        data=data,
        lead=f"A detector of anomalies on {count(len(findings), unit)}",
        verdict=verdict(findings, unit),
        headlines=_headlines(findings, unit) + training_headline(detector.history_),
        sections=_sections(detector, samples, findings, unit, saved_as),
        footer=f"Every figure on this page comes from all {count(len(findings), unit)}, unless it says otherwise."
        + ("" if labels is None else " Labels judge, and are never learned from."),
    )


def _sections(detector: Detector, samples: Any, findings: Findings, unit: str, saved_as: Path | None) -> list[Section]:
    what = unit + "s"
    shape = [histogram(findings, what)]
    if isinstance(samples, TableSource):
        chart = columns_chart(detector, samples, findings)
        shape += [] if chart is None else [chart]
    sections = [
        Section("What is flagged", [p_value_plot(findings, what)], _flagged(findings), text=_how_flagged(what)),
        *strangest(detector, samples, findings),
        Section(f"How strange the {what} are", shape),
    ]
    if findings.labels is not None:
        sections.append(_judged(findings, findings.labels, what))
    learned = loss_curves(detector.history_, "training loss", wide=True)
    if learned is not None:
        sections.append(Section("How it learned", [learned]))
    if isinstance(samples, TableSource):
        sections.append(columns_section(samples.schema, samples.said))
    return [*sections, _model_section(detector, findings, saved_as)]


# What is flagged


def verdict(findings: Findings, unit: str) -> str:
    """What was found, and what could not have been, in plain sentences."""
    n, found, fewest = len(findings), int(findings.flagged().sum()), findings.fewest()
    if found:
        few = "of which none or one is" if FDR * found < 1 else f"of which about {FDR * found:,.0f} are"
        said = [
            f"{_are(found, unit)} flagged out of {n:,}, {few} expected to be normal (false-discovery rate "
            f"10 %); the strangest have p = {number(findings.p.min())}."
        ]
    else:
        said = [f"Nothing is flagged among {count(n, unit)} at a false-discovery rate of 10 %."]
    if fewest > 1 and not found:
        said.append(
            f"With {count(len(findings.usual), 'calibration sample')} no p is below {number(findings.smallest_p)}, and "
            f"a list out of {n:,} needs at least {count(fewest, unit)} with that p: fewer anomalies cannot be flagged, "
            f"however strange they are. Their scores rank them all the same."
        )
    if not found and findings.extreme:
        said.append(
            f"{_are(findings.extreme, unit)} stranger than every calibration sample: {findings.needed():,} of these "
            f"would flag them, or judging fewer {unit}s at a time."
        )
    return " ".join(said)


def _are(n: int, unit: str) -> str:
    return f"{count(n, unit)} {'is' if n == 1 else 'are'}"


def _headlines(findings: Findings, unit: str) -> list[Headline]:
    n, found = len(findings), int(findings.flagged().sum())
    below = int((findings.p < _PLAIN).sum())
    chance = f"normal {unit}s alone would give about {_PLAIN * n:,.0f}"
    if findings.smallest_p >= _PLAIN:
        chance = f"which cannot be: no p is below {number(findings.smallest_p)}"
    rows = [
        Headline("Flagged", f"{found:,}", "", f"of {count(n, unit)} at an FDR of 10 %"),
        Headline(f"p below {_PLAIN:g}", f"{below:,}", "", chance),
        Headline(
            "Smallest possible p", number(findings.smallest_p), "",
            f"from {count(len(findings.usual), 'calibration sample')}",
        ),
    ]  # fmt: skip
    labels = findings.labels
    if labels is not None and labels.strange is not None:
        area, precision = _areas(findings, labels.strange)
        rows.append(Headline("AUROC", number(area), "", f"average precision {number(precision)}, by the labels"))
    return rows


def _how_flagged(what: str) -> str:
    return (
        f"A p-value is the chance that a normal sample is as strange. Of many {what} some have a small one by chance: "
        "a list at a false-discovery rate (FDR) allows for that; on average at most that share of it is normal. With "
        "this calibration a list has no fewer entries than its “least”."
    )


def _flagged(findings: Findings) -> Table:
    n, rows = len(findings), []
    for level in _LEVELS:
        mask = findings.flagged(level)
        found, least = int(mask.sum()), findings.fewest(level)
        cells = (f"{found:,}", f"{level * found:,.1f}", f"{least:,}" if least <= n else f"{least:,}, too many")
        rows.append(Row(f"FDR {100 * level:g} %", (*cells, *_true(findings, mask))))
    below = findings.p < _PLAIN
    cells = (f"{int(below.sum()):,}", f"{_PLAIN * n:,.1f}", "1")
    rows.append(Row(f"p below {_PLAIN:g}", (*cells, *_true(findings, below))))
    loud = findings.strangeness > findings.threshold
    rows.append(Row("predict", (f"{int(loud.sum()):,}", "–", "1", *_true(findings, loud))))
    by_labels = findings.labels is not None and findings.labels.strange is not None
    return Table(("flagged", "normal, at most", "least", *(["normal by labels"] if by_labels else [])), rows)


def _true(findings: Findings, mask: np.ndarray) -> list[str]:
    """How many of those flagged are normal by the labels."""
    if findings.labels is None or findings.labels.strange is None:
        return []
    return [f"{int((mask & ~findings.labels.strange).sum()):,}"]


# Labels


def _areas(findings: Findings, strange: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and average precision."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    return (
        float(roc_auc_score(strange, findings.strangeness)),
        float(average_precision_score(strange, findings.strangeness)),
    )


def _judged(findings: Findings, labels: Labels, what: str) -> Section:
    """What labels say about scores and flags, which know nothing of them."""
    flagged = findings.flagged()
    values, index, counts = np.unique(labels.values, return_inverse=True, return_counts=True)
    rows = []
    for i in np.argsort(-counts, kind="stable")[:_MOST_LABELS].tolist():
        own = index == i
        found = int(flagged[own].sum())
        cells = (f"{counts[i]:,}", f"{found:,}", share(found / counts[i]), number(float(np.median(findings.p[own]))))
        rows.append(Row(str(values[i]), cells))
    listing = Table(
        ("label", what, "flagged", "share flagged", "median p"), rows, (what, "flagged", "share flagged", "median p")
    )
    if labels.strange is None:
        text = (
            f"How often {what} of each label are flagged at an FDR of 10 %. The labels do not say which of them are "
            "anomalies: of two values, those are 1 beside 0, -1 beside 1, or what is not called normal."
        )
        return Section("Beside the labels", text=text, listing=listing)
    both = int((flagged & labels.strange).sum())
    right = f"{share(both / flagged.sum())} of those flagged are anomalies" if flagged.any() else "nothing is flagged"
    area, average = _areas(findings, labels.strange)
    text = (
        f"By the labels {_are(int(labels.strange.sum()), 'sample')} anomalous, of {len(findings):,}. AUROC "
        f"{number(area)}, average precision {number(average)} (chance: {number(float(labels.strange.mean()))}). At an "
        f"FDR of 10 %, {right}, and {share(both / labels.strange.sum())} of the anomalies are flagged."
    )
    confusion = Table(
        ("flagged", "not flagged"),
        [
            Row(name, (f"{int((flagged & own).sum()):,}", f"{int((~flagged & own).sum()):,}"))
            for name, own in (("anomalies", labels.strange), ("normal", ~labels.strange))
        ],
    )
    return Section("Beside the labels", text=text, listing=listing, table=confusion)


# The model


def _model_section(detector: Detector, findings: Findings, saved_as: Path | None) -> Section:
    name = "detector" if saved_as is None else saved_as.resolve().name
    python = (
        f"from isthmus import AnomalyDetector\n\n{saving('detector', saved_as)}"
        f"detector = AnomalyDetector.load({name!r})\n"
        f"# the chance that a normal sample is as strange\np = detector.p_values(X)\n"
        f"# which are anomalies, and where\nfound = detector.detect(X, fdr=0.1)\nparts = detector.explain(X)"
    )
    data = {"table": "data.csv", "images": "photos/"}.get(detector.kind_, "data.npy")
    shell = f"isthmus detect {shlex.quote(name)} {data} --fdr 0.1 -o anomalies.csv"
    facts = detector.describe() | {
        "assumed": detector.calibration_.assumed,
        "smallest possible p": f"{number(findings.smallest_p)}, 1 in {1 / findings.smallest_p:,.0f}",
        "needed for a list": f"at FDR 10 %, {count(findings.fewest(), 'sample')} with the smallest p among these "
        f"{len(findings):,}",
    }
    return Section(
        "What was assumed, and how to use it", facts=facts, examples={"In Python": python, "On the command line": shell}
    )
