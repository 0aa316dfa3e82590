"""`isthmus train-denoiser`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import options
from isthmus.cli.denoise import Noise, Size, report_bad
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

    denoiser = Denoiser(
        noise, learn_from=learn_from, size=size, channel_axis=options.axis(channel_axis), **run.settings
    )
    bad = learn(denoiser, data, **folder.fit_options())
    folder.save(denoiser)
    typer.echo(f"Noise       {denoiser.noise_}")
    typer.echo(f"Model       {folder.path} ({denoiser.network_.num_parameters:,} parameters)")
    report_bad(bad)
