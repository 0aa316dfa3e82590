"""`isthmus detect`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.models import load_model, model_and_data, open_for, open_to_detect
from isthmus.cli.progress import track
from isthmus.cli.train_detector import Contamination, Kind, Window, parse_contamination

if TYPE_CHECKING:
    from isthmus.data.sources import Source


@options.grouped
def detect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] DATA",
            help="A file, a folder or the name of a data set; before it the folder of a model. Without a model one is "
            "learned from the data themselves.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="File for what was found, a row for each sample: .parquet, .csv, .jsonl, .xlsx, ..."
        ),
    ] = None,
    fdr: Annotated[
        float, typer.Option("--fdr", help="False-discovery rate: the share of false ones among those that are flagged.")
    ] = 0.1,
    top: Annotated[int, typer.Option("--top", help="How many of the strangest are printed.", min=0)] = 10,
    sheet: Annotated[
        Path | None, typer.Option(help="Picture (.png) of the strangest images, and where they are strange.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.html: how sure it is, the strangest samples, and why.")
    ] = None,
    contamination: Contamination = "unknown",
    kind: Kind = "auto",
    window: Window = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data.", min=1, rich_help_panel=options.TRAINING)
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time to learn, instead of epochs.", rich_help_panel=options.TRAINING)
    ] = None,
    save_model: Annotated[
        Path | None, typer.Option(help="Folder to keep the learned model in.", rich_help_panel=options.TRAINING)
    ] = None,
    columns: options.ColumnKinds,
    reading: options.Reading,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Find what does not belong, how sure that is, and why; without a model, learn that from the data themselves.

    What is flagged is a list of which about the share --fdr is wrong: none of a clean batch, all of a bad one.

    Examples:

      isthmus detect customers-detector new-customers.csv -o anomalies.parquet

      isthmus detect customers.csv --fdr 0.05 -o anomalies.xlsx
    """
    model, data = model_and_data(inputs)
    if not 0 < fdr < 1:
        raise typer.BadParameter(f"--fdr {fdr:g} must be above 0 and below 1")
    options.check_data(data)
    _check_outputs(output, sheet, report, save_model, data, overwrite)
    if model is not None:
        learned = (epochs, minutes, save_model, window, columns.column, columns.missing_value)
        if any(value is not None for value in learned) or (contamination, kind) != ("unknown", "auto"):
            raise typer.BadParameter(
                "--contamination, --kind, --window, --epochs, --minutes, --save-model, --column and --missing-value "
                "are for learning, without a model"
            )
        detector = load_model(model, device, "detect")
        samples = open_for(detector, data, reading)
    else:
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
        samples = open_to_detect(data, kind, reading, columns)
        detector = _learned(settings, samples, save_model, quiet)

    from isthmus.anomalies import files
    from isthmus.anomalies.findings import Findings
    from isthmus.cli.strangest import print_strangest, print_summary
    from isthmus.data.table_files import write_tables

    samples = files.opened(detector, samples)
    parts = track(files.in_parts(detector, samples), len(samples), "judging", count=len, quiet=quiet)
    findings = Findings.of_parts(detector, parts)
    anomalies = detector.calibration_.discoveries(findings.p, fdr)
    strangest = files.strangest(detector, findings, top)
    print_summary(detector, anomalies, fdr)
    if len(strangest):
        print_strangest(detector, samples, findings, anomalies, strangest)
    if output is not None:
        rows = files.results(detector, samples, findings, anomalies, strangest)
        write_tables(output, track(rows, len(samples), "writing", count=len, quiet=quiet))
        typer.echo(f"Output      {output}")
    if sheet is not None:
        files.sheet(detector, samples, findings, anomalies, top, sheet)
        typer.echo(f"Sheet       {sheet}")
    if report is not None:
        saved_as = model or save_model
        typer.echo(f"Report      {detector.report(samples, report, title=Path(data).stem, saved_as=saved_as)}")


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
    if detector.interrupted_ == signal.SIGINT:
        typer.echo("Stopped learning; judging with what was learned so far.", err=True)
    elif detector.interrupted_:
        raise typer.Exit(128 + detector.interrupted_)
    return detector
