"""`isthmus info`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.machine import run_figures, to_text
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
    as_json: options.Json = False,
) -> None:
    """Show what a model is and how it was trained, what an archive holds, or how data are read.

    Of a table, and of a model of tables, each column is listed: its kind, missing and distinct cells, an example, and
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
        found = _of_table(path, columns, csv)
    elif columns.column or columns.missing_value or csv:
        raise typer.BadParameter("--column, --missing-value and --csv are for the file of a table")
    else:
        found = _describe(path)
    if as_json:
        typer.echo(to_text(found.values))
        return
    print_facts(found.rows)
    if found.schema is not None:
        print_columns(found.schema)


@dataclass(frozen=True)
class _Found:
    """What is shown. rows : for people. values : for programs. schema : of a table, which people see as one."""

    rows: Mapping[str, str]
    values: dict[str, Any]
    schema: TableSchema | None = None


def _of_table(path: Path, columns: options.ColumnKinds, csv: list[str] | None) -> _Found:
    """How a table is read, and its columns."""
    from isthmus.data.columns import TableSchema
    from isthmus.data.csv_dialect import parse_settings
    from isthmus.data.csv_files import read_csv
    from isthmus.data.table_files import is_text_table, read_table

    settings = parse_settings(csv) if csv else None
    rows: dict[str, str] = {}
    if is_text_table(path):
        with options.advice():
            table, dialect = read_csv(path, settings)
        table = table.drop_columns([name for name in dialect.index if name in table.column_names])
        rows["read as"] = dialect.sentence
        if dialect.unclear:
            rows["in two ways"] = ", ".join(f"{name} ({cell})" for name, cell in dialect.unclear)
    else:
        table, said, _ = read_table(path, settings)
        rows |= {"read as": said} if said else {}
    rows |= {"rows": f"{table.num_rows:,}", "columns": f"{table.num_columns:,}"}
    schema = TableSchema.of(table, columns.kinds, columns.markers)
    values = {"kind": "table", "rows": table.num_rows, "read_as": rows.get("read as"), "columns": _columns(schema)}
    return _Found(rows, values, schema)


def _describe(path: Path) -> _Found:
    """A model, an archive, or data that are no table."""
    from isthmus.estimators.model_folder import CONFIG
    from isthmus.registry import named_datasets

    if str(path).partition(":")[0] in named_datasets or (path.exists() and not (path / CONFIG).exists()):
        return _archive_or_data(path)
    return _of_model(path)


def _of_model(path: Path) -> _Found:
    """A model, and the columns of one of tables."""
    from isthmus.data.columns import TableSchema
    from isthmus.estimators.model_folder import complete_model, described, load_model, read_config

    stored, head = load_model(path), read_config(path)
    rows = described(path, stored)
    if rows is None:  # of an earlier version
        import isthmus

        rows = isthmus.load(path, device="cpu").describe()
    with complete_model(path):
        scaler = head.get("scaler") or head.get("scorer", {}).get("scaler") or {}  # of detectors
        schema = TableSchema.from_dict(scaler["schema"]) if "schema" in scaler else None
        values = {
            "kind": "model",
            **{key: head[key] for key in ("estimator", "isthmus", "format", "sha256", "params", "training")},
            "trained_on": head.get("trained_on"),
            **run_figures(head.get("seed"), head["seconds"], stored.history),
            "columns": None if schema is None else _columns(schema),
            "description": rows,
        }
    return _Found(rows, values, schema)


def _columns(schema: TableSchema) -> list[dict[str, Any]]:
    """The columns of a table for programs."""
    keys = ("name", "kind", "missing", "distinct", "example", "note")
    return [{key: getattr(c, key) for key in keys} | {"used": c.is_used} for c in schema.columns]


def _archive_or_data(path: Path) -> _Found:
    from isthmus.compression.coding.archive import MAGIC

    if path.is_file():
        with path.open("rb") as file:
            begins = file.read(len(MAGIC))
        if begins == MAGIC or path.suffix == ".isth":
            from isthmus.compression.description import archive_facts

            archive = archive_facts(path)
            return _Found(archive.rows(), {"kind": "archive", **asdict(archive)})
    from isthmus.data.description import data_facts
    from isthmus.errors import IsthmusError

    try:
        data = data_facts(str(path))
    except IsthmusError as error:
        raise IsthmusError(f"{path} is neither a model nor an archive, and as data: {error}") from error
    return _Found(data.rows(), {"kind": "data", **asdict(data)})
