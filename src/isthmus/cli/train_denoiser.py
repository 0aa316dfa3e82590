"""`isthmus train-denoiser`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.denoise import Noise, Size, report_bad
from isthmus.cli.machine import output_of, run_figures
from isthmus.cli.run import Run
from isthmus.remote.paths import as_path


@options.grouped
def train_denoiser(
    data: Annotated[
        str,
        typer.Argument(
            help="Clean samples, or noisy ones without --noise: a folder (images, .wav, .csv, .npy), a file or the "
            "name of a data set.",
            metavar="DATA",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the model.", show_default="DATA-denoiser")
    ] = None,
    noise: Noise = None,
    learn_from: Annotated[
        str,
        typer.Option(
            help="What DATA are: clean, noisy, or auto (noisy where there is no --noise).",
            metavar="NAME",
            rich_help_panel=options.TRAINING,
        ),
    ] = "auto",
    size: Size = "medium",
    channel_axis: options.ChannelAxis = "auto",
    run: Run,
    as_json: options.Json = False,
) -> None:
    """Train a denoiser: on clean samples that get noise, or on noisy ones alone.

    Examples:

      isthmus train-denoiser photos/ --noise gaussian:0-0.2 --minutes 30 -o photos-denoiser

      isthmus train-denoiser noisy/ --minutes 30

      isthmus train-denoiser photos/ --noise gaussian:0-0.2 --minutes 30 -o photos-denoiser --resume
    """
    folder = run.into(output or Path(f"{as_path(data).stem}-denoiser"))
    options.check_data(data)

    from isthmus import Denoiser
    from isthmus.denoising.files import learn

    told: dict[str, Any] = {"learn_from": learn_from, "size": size, "channel_axis": options.axis(channel_axis)}
    denoiser = Denoiser(noise, **told, **run.settings)
    with output_of(as_json) as show:
        bad = learn(denoiser, data, **folder.fit_options())
        folder.save(denoiser)
        typer.echo(f"Noise       {denoiser.noise_}")
        typer.echo(f"Model       {folder.path} ({denoiser.network_.num_parameters:,} parameters)")
        figures = run_figures(denoiser.seed_, denoiser.seconds_, denoiser.history_)
        show({"model": str(folder.path), "data": data, **figures, "noise": denoiser.noise_})
    report_bad(bad)
