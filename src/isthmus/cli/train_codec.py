"""`isthmus train-codec`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.machine import output_of, run_figures
from isthmus.cli.run import Run
from isthmus.estimators.model_folder import best_validation
from isthmus.remote.paths import as_path


@options.grouped
def train_codec(
    data: Annotated[
        str,
        typer.Argument(
            help="Images like those to be compressed: a folder, an array (npy, npz, IDX, Zarr, TIFF stacks) or the "
            "name of a data set.",
            metavar="DATA",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the model.", show_default="DATA-codec")
    ] = None,
    lossless: Annotated[
        bool, typer.Option("--lossless/--lossy", help="Without loss, or in fewer bytes at a quality of your choice.")
    ] = False,
    objective: Annotated[
        str | None,
        typer.Option(
            help="Error that a lossy codec keeps small: mse or ms-ssim.",
            metavar="NAME",
            show_default="mse",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    run: Run,
    as_json: options.Json = False,
) -> None:
    """Train a codec on images like those that `isthmus compress` will get.

    Examples:

      isthmus train-codec photos/ --lossless --minutes 10 -o photos-codec

      isthmus train-codec mnist --objective ms-ssim --minutes 5

      isthmus train-codec photos/ --lossless --minutes 10 -o photos-codec --resume
    """
    if lossless and objective is not None:
        raise typer.BadParameter(f"--objective {objective} is for lossy codecs; leave it or --lossless away")
    folder = run.into(output or Path(f"{as_path(data).stem}-codec"))
    options.check_data(data)

    from isthmus import Codec

    settings: dict[str, Any] = {"objective": objective or "mse", **run.settings}
    codec = Codec("lossless" if lossless else "lossy", **settings)
    with output_of(as_json) as show:
        codec.fit(data, **folder.fit_options())
        folder.save(codec)
        best = best_validation(codec.history_)
        if best is not None and lossless:  # of a lossy one it is bits and error together
            typer.echo(f"Validation  {best:.4f} bits per value")
        typer.echo(f"Model       {folder.path} ({codec.model_.kind}, {codec.model_.nbytes:,} bytes)")
        figures = run_figures(codec.seed_, codec.seconds_, codec.history_)
        show({"model": str(folder.path), "data": data, **figures, "bytes": codec.model_.nbytes})
