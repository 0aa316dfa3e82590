"""`isthmus sample`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.models import load_model, open_for, write_npy
from isthmus.errors import IsthmusError
from isthmus.words import count

if TYPE_CHECKING:
    import numpy as np

_NPY, _RANGE = ".npy", ".."


@options.grouped
def sample(
    model: options.Model,
    *,
    n: Annotated[int, typer.Option("-n", "--number", help="Number of samples.", min=1, show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="File for the samples: a table for rows of a table, else .npy.", show_default=False
        ),
    ],
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            help="Condition that rows meet, as sex=female, age=30..40, age=30.., or deck= for a missing cell; may be "
            "repeated: several for one column allow any of their values.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="The training data: for tables, to measure how near new rows come to them; for other models, to fit "
            "the density that codes are drawn from.",
            metavar="DATA",
            show_default=False,
        ),
    ] = None,
    density: Annotated[
        str, typer.Option(help="Density that codes are drawn from: mixture or flow; not for tables.")
    ] = "mixture",
    copies: Annotated[
        str, typer.Option(help="Rows that equal a training row: refuse draws them again, allow keeps them.")
    ] = "refuse",
    reading: options.Reading,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
) -> None:
    """Draw new samples like those that the model was trained on.

    Examples:

      isthmus sample people -n 1000 -o synthetic.csv --data people.csv

      isthmus sample people -n 100 -o women.parquet --where sex=female --where age=30..40

      isthmus sample digits-10 -n 64 -o digits.npy --data mnist
    """
    from isthmus.data.table_files import WRITERS, write_table

    wanted = _conditions(where or [])
    options.check_data(data)
    options.check_not_input(output, model, *([] if data is None else [data]))
    options.check_output(output, overwrite, folder=False, suffixes=(*WRITERS, _NPY))
    estimator = load_model(model, device, "encode", "decode")
    if not _draws_rows(estimator):
        if wanted or copies != "refuse":
            raise typer.BadParameter("--where and --copies are for models of tables with words, dates or holes")
        samples = _decoded(estimator, n, data, density, reading, seed)
        if output.suffix.lower() == _NPY:
            write_npy(output, [samples], n)
        else:
            write_table(output, _numbers(estimator, samples, output))
        typer.echo(f"{count(n, 'sample')} in {output}")
        return
    if output.suffix.lower() == _NPY:
        raise typer.BadParameter(f"--output must end in {' or '.join(WRITERS)}: rows of a table are no .npy array")
    table = None if data is None else open_for(estimator, data, reading)
    rows = estimator.sampled(n, seed, where=wanted, copies=copies)
    write_table(output, rows)
    typer.echo(f"{count(n, 'row')} in {output}")
    if table is not None:
        typer.echo(f"Privacy     {estimator.row_privacy(rows, table)}")


def _draws_rows(estimator: Any) -> bool:
    from isthmus.data.table_scaling import TableScaler

    return isinstance(estimator.scaler_, TableScaler)


def _conditions(texts: list[str]) -> dict[str, Any]:
    """``sex=female`` and the like as `AutoEncoder.sample` takes them."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"--where {text!r} must be NAME=VALUE, as in sex=female or age=30..40")
        low, between, high = value.partition(_RANGE)
        wanted: Any = (low or None, high or None) if between else (value or None)
        if name in found:
            if isinstance(wanted, tuple) or isinstance(found[name], tuple):
                raise typer.BadParameter(f"--where {name}=...: a range cannot be one of several values")
            wanted = [*(found[name] if isinstance(found[name], list) else [found[name]]), wanted]
        found[name] = wanted
    return found


def _decoded(estimator: Any, n: int, data: str | None, density: str, reading: options.Reading, seed: int) -> np.ndarray:
    """Samples of a model that knows no distribution of rows: decoded codes, drawn like those of data."""
    from isthmus.networks.bottleneck import Variational

    fitted = None
    if data is not None:
        fitted = estimator.fit_density(estimator.encode(open_for(estimator, data, reading)), density, seed)
    elif not isinstance(estimator.network_.bottleneck, Variational):
        raise IsthmusError("this model needs --data, data whose codes new ones are drawn like")
    samples: np.ndarray = estimator.sample(n, fitted, seed)
    return samples


def _numbers(estimator: Any, samples: np.ndarray, output: Path) -> Any:
    """Rows of numbers as an Arrow table."""
    import pyarrow as pa

    if samples.ndim != 2:
        raise typer.BadParameter(f"--output must end in {_NPY}: samples of shape {samples.shape[1:]} are no rows")
    names = getattr(estimator, "feature_names_in_", [f"x{j}" for j in range(samples.shape[1])])
    return pa.table(dict(zip(names, samples.T, strict=True)))
