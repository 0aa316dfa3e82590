"""`isthmus impute`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.columns import tell_columns
from isthmus.cli.models import load_model
from isthmus.cli.run import go_on_after
from isthmus.errors import IsthmusError
from isthmus.remote.paths import as_path
from isthmus.words import count


@options.grouped
def impute(
    data: options.Data,
    *,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="File for the table without holes.", show_default=False),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Folder of a trained imputer.", show_default="learn from DATA itself"),
    ] = None,
    save_model: options.SaveModel = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.html: how well hidden cells are found, column by column.")
    ] = None,
    epochs: options.Epochs = None,
    minutes: options.Minutes = None,
    reading: options.Reading,
    columns: options.ColumnKinds,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Fill the holes of a table from the cells that are known in the same row.

    Examples:

      isthmus impute patients.csv -o filled.csv

      isthmus impute patients.csv -o filled.parquet --save-model imputer --report holes/

      isthmus impute new-patients.csv -o filled.csv --model imputer
    """
    from isthmus.data.table_files import WRITERS, write_table

    learned = any(value is not None for value in (save_model, epochs, minutes, columns.column, columns.missing_value))
    if model is not None and learned:
        raise typer.BadParameter(
            "--save-model, --epochs, --minutes, --column and --missing-value are for learning, without --model"
        )
    options.check_output(output, overwrite, folder=False, suffixes=tuple(WRITERS))
    if save_model is not None:
        options.check_output(save_model, overwrite, folder=True)
    imputer = None if model is None else load_model(model, device, "fill")
    if imputer is None:
        table = reading.table(data, columns.kinds, columns.markers)
    else:
        table = reading.table(data, schema=imputer.schema_, told=imputer.missing_columns)
    if table is None:
        raise IsthmusError(f"{data} is no table; give a CSV, Parquet, Arrow, JSON lines or Excel file")
    if imputer is None:
        tell_columns(data, table.schema)
        settings = {"epochs": epochs, "minutes": minutes, "random_state": seed, "device": device}
        imputer = _learned(table, settings, columns, quiet)
        if save_model is not None:
            imputer.save(save_model)
        go_on_after(imputer, "filling holes")
    holes = table.holes
    write_table(output, imputer.filled(table))
    typer.echo(f"{count(holes, 'cell')} of {count(len(table), 'row')} filled in {output}")
    if report is not None:
        saved_as = model or save_model
        typer.echo(f"Report      {imputer.report(table, report, title=as_path(data).stem, saved_as=saved_as)}")


def _learned(table: Any, settings: dict[str, Any], columns: options.ColumnKinds, quiet: bool) -> Any:
    from isthmus import Imputer
    from isthmus.training.progress import shown

    imputer = Imputer(column_kinds=columns.kinds or None, missing_values=columns.markers, **settings)
    return imputer.fit(table, listeners=[] if quiet else [shown()])
