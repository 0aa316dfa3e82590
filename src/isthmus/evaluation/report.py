"""The report: one HTML file that shows what a model learned, and its figures as PNG files beside it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.table_scaling import TableScaler
from isthmus.errors import IsthmusError
from isthmus.evaluation import figures
from isthmus.evaluation.figures import Plate
from isthmus.evaluation.opening import open_for_model
from isthmus.evaluation.page import Headline, Row, Section, Table, training_headline, write_page
from isthmus.evaluation.study import Reconstructor, Study, checked_labels, study
from isthmus.evaluation.table_report import write_table_report
from isthmus.evaluation.table_study import TableStudy, table_study
from isthmus.evaluation.theme import number
from isthmus.evaluation.verdict import verdict
from isthmus.remote.paths import as_path
from isthmus.words import count


def report(
    model: Reconstructor,
    X: Any,
    folder: str | Path,
    *,
    train: Any = None,
    labels: Any = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    title: str | None = None,
    saved_as: str | Path | None = None,
) -> Path:
    """Measure a model on samples that it has not seen, and write what `write_report` writes.

    X : samples in any form that the model takes; at most 10,000 are measured.
    train : what the model was trained on, for PCA beside it, at most 20,000 samples; by default PCA is fitted to a
        random half of X, and the other half is measured.
    labels : one for each sample of X, text or integers; by default its own, where it is a Source with labels.
    class_names : what integer labels mean. title, saved_as : see `write_report`.

    Raises IsthmusError where data cannot be read or labels do not match.
    """
    from isthmus.data.base import random_halves
    from isthmus.data.sources import subset

    source = open_for_model(model, X)
    labels = source.labels if labels is None else labels
    if train is None:
        if len(source) < 2:
            raise IsthmusError(f"{source.name} has {len(source)} samples; to fit PCA on half of them takes at least 2")
        fitted, judged = random_halves(len(source))
        labels = None if labels is None else checked_labels(labels, len(source))[judged]
        train, source = subset(source, fitted), subset(source, judged)
    measured = measure(model, train=train, test=source, labels=labels, class_names=class_names)
    return write_report(measured, folder, estimator=type(model).__name__, title=title, saved_as=saved_as)


def measure(
    model: Any,
    *,
    train: Any,
    test: Any,
    labels: Any = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
) -> Study | TableStudy:
    """What a model does to `test`, beside PCA fitted to `train`; see `report`."""
    take = table_study if isinstance(getattr(model, "scaler_", None), TableScaler) else study
    return take(model, train=train, test=test, labels=labels, class_names=class_names)


def write_report(
    measured: Study | TableStudy,
    folder: str | Path,
    *,
    estimator: str,
    title: str | None = None,
    saved_as: str | Path | None = None,
) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into `folder`, and return the path of the report.

    The HTML file holds all it needs and loads nothing. Every figure in ``figures/`` comes for light and for dark
    pages (``reconstructions.png``, ``reconstructions-dark.png``), transparent and at twice the screen's resolution.

    estimator : the name of the model's class. title : by default the folder's name.
    saved_as : folder of the saved model, for the lines that show how to use it; by default `folder`.
    """
    folder = as_path(folder)
    if isinstance(measured, TableStudy):
        place = as_path(saved_as or folder)
        return write_table_report(measured, folder, estimator=estimator, title=title, saved_as=place)
    return write_page(
        folder / "report.html",
        title=title or folder.resolve().name,
        data=measured.data,
        lead=_lead(measured),
        verdict=verdict(measured),
        headlines=_headlines(measured),
        sections=[
            *_sections(measured),
            _model_section(measured, estimator, as_path(saved_as or folder).resolve().name),
        ],
        footer=_footer(measured),
    )


def _sections(measured: Study) -> list[Section]:
    """Headings and their figures; figures that make no sense for the data are None and left out."""
    f, objective = figures, measured.description.get("objective", "error")
    by = [plate for plate in (f.errors_by_class(measured), f.errors_by_column(measured)) if plate is not None]
    maps = [f.code_map(measured), f.picture_map(measured), f.decoded_grid(measured), f.error_map(measured)]
    if measured.grid is None:  # two are enough, side by side
        maps = [maps[0], maps[1] or maps[3]]
    sections: list[tuple[str, list[Plate | None], Table | None]] = [
        ("Through the isthmus", [f.through_the_isthmus(measured)], None),
        ("Beside PCA with the same code size", [f.error_distribution(measured)], _comparison(measured)),
        (
            "How it learned, and where it errs",
            [f.loss_curves(measured.history, objective, wide=len(by) != 1), *by],
            None,
        ),
        ("Worst and best reconstructions", [f.worst_and_best(measured)], None),
        ("The map of the codes", maps, None),
        ("What the code means", [f.traversals(measured), f.effects(measured)], None),
    ]
    kept = [Section(heading, [p for p in plates if p is not None], table) for heading, plates, table in sections]
    return [section for section in kept if section.plates or section.table]


def _headlines(measured: Study) -> list[Headline]:
    """What a reader wants to know first."""
    ours, theirs = measured.metrics.mse, measured.pca_metrics.mse
    what = {"table": "cell", "signals": "value", "images": "pixel", "volumes": "voxel"}[measured.kind]
    unit = "scaled to 0–1" if measured.unit_range else "in variances of the training data"
    rows = [Headline("Test error", number(ours), "", f"mean squared error per {what}, {unit}")]
    components = measured.pca.n_components
    if ours > 0 and theirs > 0:
        ratio, how = (theirs / ours, "smaller") if theirs >= ours else (ours / theirs, "larger")
        unit, detail = (f"× {how}", "error than PCA") if ratio >= 1.005 else ("×", "the error of PCA")
        rows.append(Headline("Beside PCA", number(ratio), unit, f"{detail} with {count(components, 'component')}"))
    code_bytes = 4 * measured.code_size
    smaller = number(measured.sample_bytes / code_bytes)
    detail = f"{code_bytes:,} bytes as float32 for a sample of {measured.sample_bytes:,} bytes: {smaller}\u00a0:\u00a01"
    size, unit = count(measured.code_size, "number").split()
    rows.append(Headline("Code", size, unit, detail))
    rows += training_headline(measured.history)
    return rows


def _comparison(measured: Study) -> Table:
    """Metrics of the auto-encoder and of PCA."""
    ours, theirs = measured.metrics, measured.pca_metrics
    rows = [
        _metric_row("Mean squared error", ours.mse, theirs.mse, -1),
        _metric_row("Mean absolute error", ours.mae, theirs.mae, -1),
    ]
    if measured.has_pictures and measured.unit_range:
        rows += [
            _metric_row("PSNR, decibels", ours.psnr, theirs.psnr, 1),
            _metric_row("SSIM", ours.ssim, theirs.ssim, 1),
        ]
    variance = float(measured.originals.var(axis=0, dtype=np.float64).mean())
    if variance > 0:
        rows.append(_metric_row("Share of variance kept", 1 - ours.mse / variance, 1 - theirs.mse / variance, 1))
    sizes = (measured.code_size, measured.pca.n_components)
    rows.append(Row("Bytes of a code, float32", [f"{4 * size:,}" for size in sizes]))
    return Table(("auto-encoder", "PCA"), [row for row in rows if row is not None])


def _metric_row(label: str, ours: float | None, theirs: float | None, sign: int) -> Row | None:
    """sign : 1 where more is better, -1 where less is. None where the metric does not exist for the samples."""
    if ours is None or theirs is None:
        return None
    cells = number(ours), number(theirs)
    ahead = 0 if sign * ours > sign * theirs else 1 if sign * ours < sign * theirs else None
    return Row(label, cells, None if cells[0] == cells[1] else ahead)


def _model_section(measured: Study, estimator: str, name: str) -> Section:
    python = (
        f"from isthmus import {estimator}\n\nmodel = {estimator}.load({name!r})\n"
        f"Z = model.transform(X)  # ({', '.join(map(str, ('n', *measured.code_shape)))})\n"
        f"X2 = model.inverse_transform(Z)"
    )
    files = {"table": "data.csv -o rebuilt.npy", "images": "photos/ -o rebuilt/"}
    data = files.get(measured.kind, "data.npy -o rebuilt.npy")
    shell = f"isthmus reconstruct {shlex.quote(name)} {data}"
    return Section(
        "The model, and how to use it",
        facts=measured.description,
        examples={"In Python": python, "On the command line": shell},
    )


def _lead(measured: Study) -> str:
    shape = " × ".join(map(str, measured.sample_shape))
    code = " × ".join(map(str, measured.code_shape))
    if len(measured.code_shape) == 1:
        code = count(measured.code_size, "number")
    return f"Samples of {shape} through a code of {code}, measured on {count(len(measured.errors), 'test sample')}"


def _footer(measured: Study) -> str:
    n, given = len(measured.errors), measured.samples_given
    some = f"{n:,} of the {given:,} test samples" if given > n else f"all {given:,} test samples"
    return (
        f"Everything on this page was measured on {some}, in scaled units: what the network sees. PCA was fitted to "
        f"{count(measured.pca_samples, 'training sample')}."
    )
