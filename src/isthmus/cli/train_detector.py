"""`isthmus train-detector`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from isthmus.cli import options
from isthmus.cli.machine import output_of, run_figures
from isthmus.cli.models import open_to_detect
from isthmus.cli.run import Run
from isthmus.remote.paths import as_path

Contamination = Annotated[
    str,
    typer.Option(
        "--contamination",
        help="What DATA hold: none (normal samples alone), unknown (some anomalies, nobody knows how many), or the "
        "share that counts as anomalies, as 0.05.",
        metavar="NAME",
        rich_help_panel=options.TRAINING,
    ),
]
Kind = Annotated[
    str,
    typer.Option(
        "--kind",
        help="What DATA are: table, images, signals, series (one long series, a row for each time step) or auto.",
        metavar="NAME",
        rich_help_panel=options.READING,
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        "--window",
        help="Time steps of a series that are looked at together.",
        min=2,
        show_default="from the data",
        rich_help_panel=options.TRAINING,
    ),
]


@options.grouped
def train_detector(
    data: options.Data,
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the model.", show_default="DATA-detector")
    ] = None,
    contamination: Contamination = "none",
    kind: Kind = "auto",
    window: Window = None,
    columns: options.ColumnKinds,
    reading: options.Reading,
    run: Run,
    as_json: options.Json = False,
) -> None:
    """Train a detector of anomalies: on normal samples, or on data with some anomalies.

    Examples:

      isthmus train-detector customers.csv -o customers-detector

      isthmus train-detector parts/ --contamination unknown --minutes 5 -o parts-detector

      isthmus train-detector sensors.csv --kind series --window 100 -o sensors-detector
    """
    share = parse_contamination(contamination)
    folder = run.into(output or Path(f"{as_path(data).stem}-detector"))
    options.check_data(data)

    from isthmus import AnomalyDetector

    samples = open_to_detect(data, kind, reading, columns)
    settings: dict[str, Any] = {
        "kind": kind,
        "window": window,
        "column_kinds": columns.kinds or None,
        "missing_values": columns.markers,
        **run.settings,
    }
    detector = AnomalyDetector(share, **settings)
    opening = partial(open_to_detect, data, kind, reading, columns)
    with output_of(as_json) as show:
        detector.fit(run.data(samples, opening), **folder.fit_options())
        folder.save(detector)
        for name, words in detector.describe().items():
            if name in ("learned from", "calibration"):
                typer.echo(f"{name.capitalize():<12}  {words}")
        typer.echo(f"{'Model':<12}  {folder.path}")
        figures = run_figures(detector.seed_, detector.seconds_, detector.history_)
        show({"model": str(folder.path), "data": data, **figures, "kind": detector.kind_})


def parse_contamination(text: str) -> Literal["unknown"] | float | None:
    """``none``, ``unknown`` or a share, as `AnomalyDetector` takes it."""
    if text == "none":
        return None
    if text == "unknown":
        return "unknown"
    try:
        share = float(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"--contamination {text!r} must be none, unknown or a share of the data, as 0.05"
        ) from error
    if not 0 < share <= 0.5:
        raise typer.BadParameter(f"--contamination {text} must be above 0 and at most 0.5; normal data: none")
    return share
