"""`isthmus train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus import registry
from isthmus.cli import options
from isthmus.cli.compression import train_codec
from isthmus.cli.denoising import Noise, Size, train_denoiser
from isthmus.errors import IsthmusError, unknown_name
from isthmus.estimators.model_folder import CONFIG, LOG
from isthmus.spec import parse_corruption

if TYPE_CHECKING:
    from isthmus import AutoEncoder
    from isthmus.data.sources import Source

CHECKPOINT = "checkpoint.safetensors"
TASKS = ("represent", "codec", "denoise")
_TRAINING, _RUN = "Training", "Run"


def _known_task(name: str) -> str:
    if name not in TASKS:
        raise typer.BadParameter(str(unknown_name("task", name, TASKS)))
    return name


def train(
    data: options.Data,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for the model and its report.", show_default="DATA-LATENT_DIM"),
    ] = None,
    task: Annotated[
        str, typer.Option(help=f"What to train for: {', '.join(TASKS)}.", metavar="NAME", callback=_known_task)
    ] = "represent",
    lossless: Annotated[bool, typer.Option("--lossless", help="With --task codec: lose nothing.")] = False,
    noise: Noise = None,
    size: Size = "medium",
    latent_dim: Annotated[
        str, typer.Option(help="Numbers in the code, or auto.", metavar="INT|auto", rich_help_panel="Network")
    ] = "auto",
    network: Annotated[
        str, options.named("--network", registry.networks, "Kind of network.", extra=("auto",))
    ] = "auto",
    latent_channels: Annotated[
        int | None, typer.Option(help="A spatial code of so many channels, not a flat one.", rich_help_panel="Network")
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(help="Widths of a dense encoder, as 512,256.", metavar="INTS", rich_help_panel="Network"),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(help="Channels of a conv encoder, as 32,64,128.", metavar="INTS", rich_help_panel="Network"),
    ] = None,
    activation: Annotated[str, options.named("--activation", registry.activations, "Activation.")] = "silu",
    downsample: Annotated[str, options.named("--downsample", registry.downsamplings, "Down-sampling.")] = "stride",
    upsample: Annotated[str, options.named("--upsample", registry.upsamplings, "Up-sampling.")] = "nearest",
    bottleneck: Annotated[
        str,
        options.named(
            "--bottleneck", registry.bottlenecks, "Between f and g; a number may follow, as variational:0.01."
        ),
    ] = "plain",
    objective: Annotated[
        str,
        typer.Option(
            help=f"X' ≈ X: a name, or weights as mse=1,ssim=0.1. One of: {', '.join(registry.objectives.names())}.",
            metavar="NAMES",
            rich_help_panel=_TRAINING,
        ),
    ] = "mse",
    corruption: Annotated[
        str | None,
        options.named(
            "--corruption",
            registry.corruptions,
            "Done to X before f sees it, as gaussian:0-0.5.",
            panel=_TRAINING,
            parse=parse_corruption,
        ),
    ] = None,
    consistency: Annotated[
        str | None,
        options.named(
            "--consistency", registry.augmentations, "Codes that know a sample when it was changed.", panel=_TRAINING
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.", rich_help_panel=_TRAINING)] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time to train, in place of epochs.", rich_help_panel=_TRAINING)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in a step.", rich_help_panel=_TRAINING)] = None,
    optimizer: Annotated[
        str, options.named("--optimizer", registry.optimizers, "Optimizer.", extra=("auto",), panel=_TRAINING)
    ] = "auto",
    learning_rate: Annotated[float | None, typer.Option(help="Its highest value.", rich_help_panel=_TRAINING)] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many validations without improvement.", rich_help_panel=_TRAINING)
    ] = None,
    channel_axis: Annotated[
        str,
        typer.Option(help="Axis of the channels (1, -1, ...), none or auto.", metavar="INT", rich_help_panel="Network"),
    ] = "auto",
    scaling: Annotated[
        str, typer.Option(help="auto, range or standard.", metavar="NAME", rich_help_panel=_TRAINING)
    ] = "auto",
    mixed_sizes: options.MixedSizes = "refuse",
    labels_column: options.LabelsColumn = None,
    drop_column: options.DropColumn = None,
    test: Annotated[
        str | None,
        typer.Option(help="Data that the report judges on.", show_default="a held-out tenth", rich_help_panel=_RUN),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", rich_help_panel=_RUN)] = 0,
    device: options.Device = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run that was stopped or killed.", rich_help_panel=_RUN)
    ] = False,
    overwrite: options.Overwrite = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write the model only.", rich_help_panel=_RUN)] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write logs for TensorBoard.", rich_help_panel=_RUN)
    ] = False,
    checkpoint_seconds: Annotated[float, typer.Option(help="Between checkpoints.", rich_help_panel=_RUN)] = 15.0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.", rich_help_panel=_RUN)] = False,
) -> None:
    """Train an auto-encoder on data without labels; writes the model and report.html.

    Examples:

      isthmus train digits

      isthmus train mnist --network conv --latent-dim 10 --minutes 2 -o digits-10

      isthmus train photos/ --mixed-sizes resize --latent-dim 32

      isthmus train table.csv --objective huber --epochs 50

      isthmus train mnist -o digits-10 --latent-dim 10 --minutes 2 --resume

      isthmus train photos/ --task codec --lossless --minutes 10 -o photos-codec

      isthmus train photos/ --task denoise --noise gaussian:0-0.2 --minutes 30 -o photos-denoiser
    """
    weights = options.objective(objective)
    widths, depths = options.integers(hidden, "--hidden"), options.integers(channels, "--channels")
    if epochs is not None and minutes is not None:
        raise typer.BadParameter(f"give --epochs (={epochs}) or --minutes (={minutes:g}), not both")
    if lossless and task != "codec":
        raise typer.BadParameter("--lossless is for --task codec")
    if noise is not None and task != "denoise":
        raise typer.BadParameter("--noise is for --task denoise; auto-encoders take --corruption")
    if task != "represent":
        if resume:
            raise typer.BadParameter(f"--resume is for auto-encoders; the training of a {task} starts anew")
        folder = output or Path(f"{Path(data).stem}-{task}")
        check_model_folder(folder, False, overwrite)
        settings: dict[str, Any] = {"epochs": epochs, "minutes": minutes, "device": device}
        listeners = run_listeners(folder, quiet, tensorboard)
        if task == "codec":
            train_codec(data, folder, "lossless" if lossless else "lossy", seed=seed, listeners=listeners, **settings)
        else:
            train_denoiser(data, folder, noise, size, listeners=listeners, random_state=seed, **settings)
        return
    folder = output or Path(f"{Path(data).stem}-{latent_dim if latent_channels is None else f'{latent_channels}c'}")
    resume = resume and _can_resume(folder)
    check_model_folder(folder, resume, overwrite)

    from isthmus import AutoEncoder

    training, testing = training_and_test(data, test, options.Reading(mixed_sizes, labels_column, drop_column), seed)
    model = AutoEncoder(
        latent_dim if latent_dim == "auto" else _whole(latent_dim, "--latent-dim"),
        network=network,
        latent_channels=latent_channels,
        hidden=widths,
        channels=depths,
        activation=activation,
        downsample=downsample,
        upsample=upsample,
        bottleneck=bottleneck,
        objective=weights,
        corruption=corruption,
        consistency=consistency,
        epochs=epochs,
        minutes=minutes,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=learning_rate,
        patience=patience,
        scaling=scaling,
        channel_axis=_axis(channel_axis),
        device=device,
        random_state=seed,
    )
    checkpoint = folder / CHECKPOINT
    model.fit(
        training,
        checkpoint=checkpoint,
        resume=resume,
        checkpoint_seconds=checkpoint_seconds,
        listeners=run_listeners(folder, quiet, tensorboard),
    )
    model.save(folder)
    if model.interrupted_:
        again = [*(word for word in sys.argv[1:] if word != "--resume"), "--resume"]
        typer.echo(f"Stopped. The best model so far is in {folder}. To continue: isthmus {shlex.join(again)}")
        raise typer.Exit(1)
    checkpoint.unlink(missing_ok=True)
    _conclude(model, folder, data, training, testing, report=not no_report)


def _can_resume(folder: Path) -> bool:
    """Whether there is a run to continue; without one, training starts anew, so that scripts may always resume."""
    if (folder / CHECKPOINT).exists():
        return True
    if (folder / CONFIG).exists():
        raise IsthmusError(
            f"{folder} holds a finished model, so there is nothing to resume; to train anew, --overwrite"
        )
    typer.echo(f"There is no checkpoint in {folder}: training starts from the beginning.", err=True)
    return False


def check_model_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse to write where something else would be harmed; what a killed run left is removed."""
    if folder.exists() and not folder.is_dir():
        raise IsthmusError(f"cannot write a model to {folder}: it is a file; name a folder with --output")
    if resume or not folder.is_dir():
        return
    files = list(folder.iterdir())
    if all(path.name == LOG or path.name.startswith(f".{CHECKPOINT}.") for path in files):
        for path in files:
            path.unlink()
    elif not {CHECKPOINT, CONFIG} & {path.name for path in files}:
        raise IsthmusError(f"{folder} holds something that is not a model; choose another --output")
    elif not overwrite:
        hint = " or --resume to continue it" if (folder / CHECKPOINT).exists() else ""
        raise IsthmusError(f"{folder} holds a model; choose another --output, or give --overwrite{hint}")


def _whole(text: str, flag: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(f"{flag} {text!r} is not an integer") from error


def _axis(text: str) -> int | str | None:
    if text in ("auto", "none"):
        return None if text == "none" else text
    return _whole(text, "--channel-axis")


def training_and_test(data: str, test: str | None, reading: options.Reading, seed: int) -> tuple[Source, Source]:
    """What to train on and what to judge on: the test set of a named data set, or a tenth that is held out."""
    import numpy as np

    from isthmus.data.sources import subset

    training = reading.open(data)
    if test is not None:
        testing = reading.open(test)
        if testing.shape[1:] != training.shape[1:] or testing.feature_names != training.feature_names:
            raise IsthmusError(f"samples of --test {test} do not have the shape or the columns of those of {data}")
        return training, testing
    if data in registry.named_datasets:
        return training, reading.open(f"{data}:test")
    held_out = min(10_000, len(training) // 10)
    if held_out == 0:  # too few to spare any: judged on the training samples
        return training, training
    order = np.random.default_rng([seed, 2]).permutation(len(training))
    return subset(training, np.sort(order[held_out:])), subset(training, np.sort(order[:held_out]))


def run_listeners(folder: Path, quiet: bool, tensorboard: bool = False) -> list[Any]:
    """Who follows a run: the log in the model's folder, and the terminal unless it is to be quiet."""
    from isthmus.training.progress import Bar, JsonLines, TensorBoard

    listeners: list[Any] = [JsonLines(folder / "training.jsonl")]
    if tensorboard:
        listeners.append(TensorBoard(folder / "tensorboard"))
    if not quiet:
        listeners.append(Bar())
    return listeners


def _conclude(model: AutoEncoder, folder: Path, data: str, training: Source, testing: Source, *, report: bool) -> None:
    """Write the report and say what came out."""
    if report:
        options.report(model, folder, data, training, testing, folder)
    typer.echo(f"Model       {folder}")
