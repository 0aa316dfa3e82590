"""`isthmus denoise`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus import registry
from isthmus.cli import options
from isthmus.cli.backend import Backend
from isthmus.cli.models import model_and_data
from isthmus.cli.progress import track
from isthmus.cli.run import go_on_after
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG, check_target
from isthmus.remote.paths import as_path
from isthmus.spec import parse_corruption
from isthmus.words import count

if TYPE_CHECKING:
    import numpy as np

    from isthmus import Denoiser
    from isthmus.data.sources import Source
    from isthmus.denoising.files import Cleaned, FileCleaner

_SIGNALS = (".csv", ".wav")  # files of signals
_MINUTES = 3.0  # of learning from the noisy files themselves

Noise = Annotated[
    str | None,
    options.named(
        "--noise",
        registry.corruptions,
        "Noise, as gaussian:0.1 or poisson:30+gaussian:0.05; levels for integers are fractions of their range. By "
        "default it is estimated from noisy data.",
        panel=options.TRAINING,
        parse=parse_corruption,
    ),
]
Size = Annotated[
    str,
    typer.Option(
        "--size", help="Size of the network: small, medium or large.", metavar="NAME", rich_help_panel=options.NETWORK
    ),
]


@options.grouped
def denoise(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] DATA",
            help="Data: a folder, a file (images, .wav, .csv, .npy) or a data set, after the folder of a model. "
            "Without a model, one is learned from the noisy data.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="Where the cleaned data go: a folder for a folder, else a file.", show_default=False
        ),
    ],
    noise: Noise = None,
    size: Size = "small",
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the data, instead of minutes.", min=1, rich_help_panel=options.TRAINING),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Time to learn without a model.", show_default="3", rich_help_panel=options.TRAINING),
    ] = None,
    save_model: Annotated[
        Path | None, typer.Option(help="Folder for the learned model.", rich_help_panel=options.TRAINING)
    ] = None,
    averaging: Annotated[
        bool, typer.Option("--averaging", help="Average over flips and turns: slower, slightly better.")
    ] = False,
    std: Annotated[
        Path | None,
        typer.Option(
            help="Also write the standard deviation of each value's error, in the data's units: a .npy file, or a "
            "folder of them for a folder.",
        ),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Picture of samples before and after.", show_default="OUTPUT-before-after.png")
    ] = None,
    backend: Backend,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Remove noise; without a model, one is learned from the noisy files.

    Files keep their names, formats, depths and metadata; a line says what is left alone (columns that are not
    signals, missing values) or cannot be kept. A file that cannot be read is named; the others are cleaned, and the
    exit status is 1.

    Examples:

      isthmus denoise noisy/ -o clean/

      isthmus denoise noisy/ -o clean/ --noise poisson

      isthmus denoise photos-denoiser noisy/ -o clean/ --std deviations/
    """
    model, data = model_and_data(inputs)
    backend.check_model(model, "isthmus train-denoiser")
    if epochs is not None and minutes is not None:
        raise typer.BadParameter(f"give --epochs (={epochs}) or --minutes (={minutes:g}), not both")
    if model is not None and any(value is not None for value in (noise, epochs, minutes, save_model)):
        raise typer.BadParameter(
            "--noise, --epochs, --minutes and --save-model are for learning from noisy data, without a model"
        )
    options.check_data(data)
    if save_model is not None:
        _check_model(save_model, overwrite)

    from isthmus import Denoiser
    from isthmus.data.sample_files import open_sample
    from isthmus.data.sources import open_source
    from isthmus.denoising.files import Cleaned, FileCleaner, array_spans, paths_of

    paths = paths_of(data)
    source = open_source(data) if paths is None else None
    folder = as_path(data) if paths is not None and as_path(data).is_dir() else None
    for place in filter(None, (output, std)):
        options.check_not_input(place, data)
    _check_outputs(output, std, overwrite, folder is not None)
    if paths is None:
        options.check_output(output, overwrite, folder=False, suffixes=(".npy",))
    elif folder is None:
        file = open_sample(paths[0])
        try:
            file.check_target(output)
        except IsthmusError as error:
            raise typer.BadParameter(str(error)) from error
    sheet = _sheet(sheet, output, folder, overwrite)
    bad: dict[Path, str] = {}
    if model is not None:
        denoiser = Denoiser.load(model, device=device)
    else:
        settings: dict[str, Any] = {
            "size": size,
            "epochs": epochs,
            "minutes": _MINUTES if epochs is None and minutes is None else minutes,
            "device": device,
            "random_state": seed,
        }
        denoiser = Denoiser(noise, learn_from="noisy", **settings)
        bad = _learn(denoiser, data if source is None else source, save_model, quiet)
    cleaner = FileCleaner(denoiser, output, std, averaging, overwrite)
    opening = partial(_open, model, data, device, output, std, averaging)
    if source is not None:
        spans = array_spans(source)
        parts = backend.map(opening, _clean_span, spans, (cleaner, source), device)
        cleaned = cleaner.array(source, parts)
        typer.echo(f"{count(cleaned.count, 'sample')} in {output}")
    else:
        assert paths is not None
        good = [path for path in paths if path not in bad]
        cleaned = Cleaned()
        done = backend.map(opening, partial(_clean_file, folder), good, (cleaner, None), device)
        for one in track(done, len(good), "cleaning", quiet=quiet or len(good) < 2):
            cleaned.add(one)
        typer.echo(f"{cleaned.count:,} of {count(len(good), 'file')} in {output}")
    for note, files in cleaned.notes.items():
        typer.echo(f"Note        {note}" + (f" (in {files:,} files)" if files > 1 else ""))
    if cleaned.examples and sheet is not None:
        from isthmus.evaluation.figures.before_after import before_after

        before_after(cleaned.examples, sheet, denoiser.noise_ or "unknown")
        typer.echo(f"Sheet       {sheet}")
    report_bad(bad | cleaned.bad)


def _open(
    model: str | None, data: str, device: str, output: Path, std: Path | None, averaging: bool
) -> tuple[FileCleaner, Source | None]:
    """What a worker of a cluster cleans with. Where the outputs may be replaced was asked before: a part that is done
    again, since the worker that did it was lost, replaces its own."""
    from isthmus import Denoiser
    from isthmus.data.sources import open_source
    from isthmus.denoising.files import FileCleaner, paths_of

    assert model is not None
    source = open_source(data) if paths_of(data) is None else None
    return FileCleaner(Denoiser.load(model, device=device), output, std, averaging, overwrite=True), source


def _clean_span(opened: tuple[FileCleaner, Source], span: tuple[int, int]) -> list[np.ndarray]:
    cleaner, source = opened
    return cleaner.of_array(source, span)


def _clean_file(folder: Path | None, opened: tuple[FileCleaner, Source | None], path: Path) -> Cleaned:
    return opened[0].files([path], folder)


def report_bad(bad: Mapping[Path, str]) -> None:
    """Tell of files that could not be read or cleaned; the exit status is then 1."""
    for line in bad.values():
        typer.echo(f"isthmus: {line}", err=True)
    if bad:
        raise typer.Exit(1)


def _check_model(folder: Path, overwrite: bool) -> None:
    """Refuse a place where the learned model could not be kept, before it is learned."""
    options.check_folder(folder)
    check_target(folder)
    if (folder / CONFIG).exists() and not overwrite:
        raise IsthmusError(f"{folder} holds a model; choose another --save-model, or give --overwrite")


def _sheet(sheet: Path | None, output: Path, folder: Path | None, overwrite: bool) -> Path | None:
    """Where the picture goes; None for one that nobody named and that would lie among the data it shows."""
    if sheet is None:
        stem = output.name if output.suffix.lower() in _SIGNALS else output.stem  # beside a folder of the same stem
        sheet = output.parent / f"{stem}-before-after.png"
        if folder is not None and sheet.resolve().is_relative_to(folder.resolve()):
            return None
    if sheet.exists() and not overwrite:
        raise IsthmusError(f"{sheet} exists; name another place with --sheet, or give --overwrite")
    return sheet


def _check_outputs(output: Path, std: Path | None, overwrite: bool, is_folder: bool) -> None:
    options.check_output(output, overwrite, folder=is_folder)
    if std is None:
        return
    if std.suffix != ".npy" and not is_folder:
        raise typer.BadParameter(f"--std {str(std)!r} must end in .npy")
    if std.resolve() == output.resolve():
        raise typer.BadParameter(f"--std and --output are both {str(std)!r}; name two places")
    options.check_output(std, overwrite, folder=is_folder)


def _learn(denoiser: Denoiser, data: str | Source, save_model: Path | None, quiet: bool) -> dict[Path, str]:
    """Learn from the noisy data, for some minutes or until Ctrl-C; returns what cannot be read."""
    from isthmus.denoising.files import learn
    from isthmus.training.progress import shown

    bad = learn(denoiser, data, listeners=[] if quiet else [shown()])
    typer.echo(f"Noise       {denoiser.noise_}")
    if save_model is not None:
        typer.echo(f"Model       {denoiser.save(save_model)}")
    go_on_after(denoiser, "cleaning")
    return bad
