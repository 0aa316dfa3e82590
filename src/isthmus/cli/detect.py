"""`isthmus detect`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.backend import Backend
from isthmus.cli.models import load_model, model_and_data, open_for, open_to_detect
from isthmus.cli.progress import track
from isthmus.cli.run import go_on_after
from isthmus.cli.samples import together
from isthmus.cli.train_detector import Contamination, Kind, Window, parse_contamination
from isthmus.remote.paths import as_path

if TYPE_CHECKING:
    import numpy as np

    from isthmus import AnomalyDetector
    from isthmus.anomalies.findings import Findings
    from isthmus.data.sources import Source


@options.grouped
def detect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] DATA",
            help="Data: a file, a folder or the name of a data set, after the folder of a model. Without a model, "
            "one is learned from the data.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="File for what was found, a row for each sample: .parquet, .csv, .json, .jsonl, .xlsx, ...",
        ),
    ] = None,
    fdr: Annotated[
        float, typer.Option("--fdr", help="False-discovery rate: the share of false ones among those that are flagged.")
    ] = 0.1,
    top: Annotated[int, typer.Option("--top", help="Number of the strangest samples to print.", min=0)] = 10,
    sheet: Annotated[
        Path | None, typer.Option(help="Picture (.png) of the strangest images, and where they are strange.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.html: how sure it is, the strangest samples, and why.")
    ] = None,
    contamination: Contamination = "unknown",
    kind: Kind = "auto",
    window: Window = None,
    epochs: options.Epochs = None,
    minutes: options.Minutes = None,
    save_model: options.SaveModel = None,
    columns: options.ColumnKinds,
    reading: options.Reading,
    backend: Backend,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Find anomalies, how sure each is, and why; without a model, one is learned from the data.

    Among the flagged samples, the expected share of false alarms is at most --fdr.

    Examples:

      isthmus detect customers-detector new-customers.csv -o anomalies.parquet

      isthmus detect customers.csv --fdr 0.05 -o anomalies.xlsx
    """
    model, data = model_and_data(inputs)
    backend.check_model(model, "isthmus train-detector")
    if not 0 < fdr < 1:
        raise typer.BadParameter(f"--fdr {fdr:g} must be above 0 and below 1")
    options.check_data(data)

    from isthmus.anomalies import files
    from isthmus.anomalies.kinds import kind_of_data

    _check_outputs(output, sheet, report, save_model, data, overwrite)
    settings = {
        "contamination": parse_contamination(contamination),
        "kind": kind,
        "window": window,
        "epochs": epochs,
        "minutes": minutes,
        "device": device,
        "random_state": seed,
        "column_kinds": columns.kinds or None,
        "missing_values": columns.markers,
    }
    if model is not None:
        _refuse_settings(settings, save_model)
        detector = load_model(model, device, "detect")
        samples = open_for(detector, data, reading)
        _check_samples(samples, detector.kind_, output, sheet)
    else:
        samples = open_to_detect(data, kind, reading, columns)
        _check_samples(samples, kind_of_data(samples, kind), output, sheet)
        detector = _learned(settings, samples, save_model, quiet)
    samples = files.opened(detector, samples)
    spans = files.spans(detector, samples)
    judged = backend.map(
        partial(_open, model, data, reading, device),
        files.judged_span,
        spans,
        (detector, samples),
        device,
        together(samples, spans),
    )
    found = Found.of(detector, samples, judged, fdr, top, quiet)
    found.show()
    if output is not None:
        found.write(output)
    if sheet is not None:
        found.draw(sheet)
    if report is not None:
        found.report(report, as_path(data).stem, model or save_model)


@dataclass(frozen=True)
class Found:
    """What was found in samples. anomalies : which are such at the rate, bool (n,). strangest : numbers of samples."""

    detector: AnomalyDetector
    samples: Source
    findings: Findings
    anomalies: np.ndarray
    strangest: np.ndarray
    fdr: float
    quiet: bool

    @classmethod
    def of(
        cls,
        detector: AnomalyDetector,
        samples: Source,
        judged: Iterator[tuple[np.ndarray, np.ndarray]],
        fdr: float,
        top: int,
        quiet: bool,
    ) -> Found:
        """judged : strangeness and p-values of the samples, part by part. top : how many of the strangest are told."""
        from isthmus.anomalies import files
        from isthmus.anomalies.findings import Findings

        parts = track(judged, len(samples), "judging", count=lambda part: len(part[0]), quiet=quiet)
        findings = Findings.of_judged(detector, parts)
        anomalies = detector.calibration_.discoveries(findings.p, fdr)
        return cls(detector, samples, findings, anomalies, files.strangest(detector, findings, top), fdr, quiet)

    def show(self) -> None:
        """Print how many there are, and the strangest."""
        from isthmus.cli.strangest import print_strangest, print_summary

        print_summary(self.detector, self.anomalies, self.fdr)
        if len(self.strangest):
            print_strangest(self.detector, self.samples, self.findings, self.anomalies, self.strangest)

    def write(self, output: Path) -> None:
        """A file with a row for each sample."""
        from isthmus.anomalies.files import results
        from isthmus.data.table_files import write_tables

        tables = results(self.detector, self.samples, self.findings, self.anomalies, self.strangest)
        write_tables(output, track(tables, len(self.samples), "writing", count=len, quiet=self.quiet))
        typer.echo(f"Output      {output}")

    def draw(self, sheet: Path) -> None:
        """A picture of the strangest images."""
        from isthmus.anomalies.files import write_sheet

        write_sheet(self.detector, self.samples, self.findings, self.anomalies, max(1, len(self.strangest)), sheet)
        typer.echo(f"Sheet       {sheet}")

    def report(self, folder: Path, title: str, saved_as: str | Path | None) -> None:
        """report.html in a folder."""
        typer.echo(f"Report      {self.detector.report(self.samples, folder, title=title, saved_as=saved_as)}")


def _open(model: str | None, data: str, reading: options.Reading, device: str) -> tuple[AnomalyDetector, Source]:
    """What a worker of a cluster judges with."""
    from isthmus.anomalies import files

    assert model is not None
    detector = load_model(model, device, "detect")
    return detector, files.opened(detector, open_for(detector, data, reading))


def _refuse_settings(settings: dict[str, Any], save_model: Path | None) -> None:
    """Refuse, beside a model, what says how one is learned."""
    usual = {"contamination": "unknown", "kind": "auto", "missing_values": []}
    others = ("device", "random_state")
    if save_model is not None or any(v != usual.get(name) for name, v in settings.items() if name not in others):
        raise typer.BadParameter(
            "--contamination, --kind, --window, --epochs, --minutes, --save-model, --column and --missing-value are "
            "for learning, without a model"
        )


def _check_samples(samples: Source, kind: str, output: Path | None, sheet: Path | None) -> None:
    """Refuse what cannot be written of such samples, before the work."""
    from isthmus.data.table_files import check_format

    if output is not None:
        check_format(output, len(samples))
    if sheet is not None and kind != "images":
        raise typer.BadParameter(f"--sheet is for images, and the data were read as {kind}")


def _check_outputs(
    output: Path | None, sheet: Path | None, report: Path | None, save_model: Path | None, data: str, overwrite: bool
) -> None:
    from isthmus.data.table_files import WRITERS

    for path, suffixes in ((output, tuple(WRITERS)), (sheet, (".png",))):
        if path is not None:
            options.check_not_input(path, data)
            options.check_output(path, overwrite, folder=False, suffixes=suffixes)
    if report is not None:
        options.check_folder(report)
    if save_model is not None:
        options.check_output(save_model, overwrite, folder=True)


def _learned(settings: dict[str, Any], samples: Source, save_model: Path | None, quiet: bool) -> Any:
    """A detector that learned from the data themselves."""
    from isthmus import AnomalyDetector
    from isthmus.training.progress import shown

    if settings["epochs"] is not None and settings["minutes"] is not None:
        raise typer.BadParameter("give --epochs or --minutes, not both")
    detector = AnomalyDetector(**settings).fit(samples, listeners=[] if quiet else [shown()])
    typer.echo(f"Learned     from {samples.name} itself: {detector.describe()['learned from']}")
    if save_model is not None:
        typer.echo(f"Model       {detector.save(save_model)}")
    go_on_after(detector, "judging")
    return detector
