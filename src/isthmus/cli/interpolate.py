"""`isthmus interpolate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import options
from isthmus.cli.models import open_model, write_npy
from isthmus.errors import IsthmusError

_NPY = ".npy"


@options.grouped
def interpolate(
    model: options.Model,
    data: options.Data,
    start: Annotated[
        int, typer.Argument(help="Number of the first sample, counted from 0.", min=0, show_default=False)
    ],
    end: Annotated[int, typer.Argument(help="Number of the last sample.", min=0, show_default=False)],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="File for the samples: a table for rows of a table, else .npy.", show_default=False
        ),
    ],
    steps: Annotated[int, typer.Option(help="Samples on the path, ends included.", min=2)] = 16,
    path: Annotated[
        str, typer.Option(help="Kind of path: straight, spherical or geodesic.", metavar="NAME")
    ] = "straight",
    reading: options.Reading,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Write the samples on a path from one sample to another through the space of codes.

    A geodesic is the path along which the decoded samples change least.

    Examples:

      isthmus interpolate digits-10 digits:test 0 7 -o walk.npy

      isthmus interpolate people people.csv 3 12 --steps 5 -o walk.csv
    """
    from isthmus.data.table_files import WRITERS, write_table

    options.check_data(data)
    options.check_not_input(output, model, data)
    options.check_output(output, overwrite, folder=False, suffixes=(*WRITERS, _NPY))
    estimator, source = open_model(model, data, reading, device, "encode", "decode")
    for number in (start, end):
        if number >= len(source):
            raise IsthmusError(f"{data} has no sample {number}: there are {len(source):,}, counted from 0")

    from isthmus.data.frames import as_table
    from isthmus.data.sources import subset
    from isthmus.data.table_scaling import TableScaler

    is_table = isinstance(estimator.scaler_, TableScaler)
    if is_table == (output.suffix.lower() == _NPY):
        right = " or ".join(WRITERS) if is_table else _NPY
        raise typer.BadParameter(f"--output {str(output)!r} must end in {right}, as the samples are")
    way = estimator.interpolate(*estimator.encode(subset(source, [start, end])), steps=steps, path=path)
    if is_table:
        write_table(output, as_table(way.samples))
    else:
        write_npy(output, [way.samples], steps)
    typer.echo(f"{steps:,} samples in {output}, {way.length:.4g} long in scaled units")
