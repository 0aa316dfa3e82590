"""`isthmus info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import options
from isthmus.remote.paths import as_path

if TYPE_CHECKING:
    from isthmus.data.columns import TableSchema


@options.grouped
def info(
    model: Annotated[
        str,
        typer.Argument(
            help="Folder of a trained model, an archive, or data: a file, a folder or a data set.",
            metavar="MODEL",
            show_default=False,
        ),
    ],
    *,
    columns: options.ColumnKinds,
    csv: options.Csv = None,
) -> None:
    """Show what a model is and how it was trained, what an archive holds, or how data are read.

    Of a table, and of a model of tables, each column is told: its kind, missing and distinct cells, an example, and
    what is done with it.

    Examples:

      isthmus info digits-10

      isthmus info photos.isth

      isthmus info table.csv --column zip=category --missing-value -999
    """
    if not model:
        raise typer.BadParameter("the path of the model is empty")
    from isthmus.cli.columns import print_columns, print_facts
    from isthmus.data.parquet_samples import sample_column
    from isthmus.data.table_files import is_table

    path = as_path(model)
    if path.exists() and is_table(path) and sample_column(path) is None:
        facts, schema = _of_table(path, columns, csv)
    elif columns.column or columns.missing_value or csv:
        raise typer.BadParameter("--column, --missing-value and --csv are for the file of a table")
    else:
        facts, schema = _describe(path)
    print_facts(facts)
    if schema is not None:
        print_columns(schema)


def _of_table(
    path: Path, columns: options.ColumnKinds, csv: list[str] | None
) -> tuple[dict[str, str], TableSchema | None]:
    """How a table is read, and its columns."""
    from isthmus.data.columns import TableSchema
    from isthmus.data.csv_dialect import parse_settings
    from isthmus.data.csv_files import read_csv
    from isthmus.data.table_files import is_text_table, read_table

    settings = parse_settings(csv) if csv else None
    facts: dict[str, str] = {}
    if is_text_table(path):
        with options.advice():
            table, dialect = read_csv(path, settings)
        table = table.drop_columns([name for name in dialect.index if name in table.column_names])
        facts["read as"] = dialect.sentence
        if dialect.unclear:
            facts["in two ways"] = ", ".join(f"{name} ({cell})" for name, cell in dialect.unclear)
    else:
        table, said, _ = read_table(path, settings)
        facts |= {"read as": said} if said else {}
    facts |= {"rows": f"{table.num_rows:,}", "columns": f"{table.num_columns:,}"}
    return facts, TableSchema.of(table, columns.kinds, columns.markers)


def _describe(path: Path) -> tuple[dict[str, str], TableSchema | None]:
    """A model, and the columns of one of tables; an archive, or data that are no table."""
    from isthmus.data.columns import TableSchema
    from isthmus.estimators.model_folder import CONFIG, described, read_config
    from isthmus.registry import named_datasets

    if str(path).partition(":")[0] in named_datasets or (path.exists() and not (path / CONFIG).exists()):
        return _archive_or_data(path), None
    facts = described(path)
    if facts is None:  # of an earlier version
        import isthmus

        facts = isthmus.load(path, device="cpu").describe()
    config = read_config(path)
    scaler = config.get("scaler") or config.get("scorer", {}).get("scaler") or {}  # of detectors
    schema = scaler.get("schema")
    return facts, None if schema is None else TableSchema.from_dict(schema)


def _archive_or_data(path: Path) -> dict[str, str]:
    from isthmus.compression.coding.archive import MAGIC

    if path.is_file():
        with path.open("rb") as file:
            begins = file.read(len(MAGIC))
        if begins == MAGIC or path.suffix == ".isth":
            from isthmus.compression.description import describe

            return describe(path)
    from isthmus.data.description import describe_data
    from isthmus.errors import IsthmusError

    try:
        return describe_data(str(path))
    except IsthmusError as error:
        raise IsthmusError(f"{path} is neither a model nor an archive, and as data: {error}") from error
