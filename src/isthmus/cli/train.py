"""`isthmus train`: auto-encoders."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from isthmus import registry
from isthmus.cli import options
from isthmus.cli.machine import output_of, run_figures
from isthmus.cli.models import training_and_test
from isthmus.cli.report import write_report
from isthmus.cli.run import Run
from isthmus.errors import unknown_name
from isthmus.remote.paths import as_path
from isthmus.spec import parse_corruption

if TYPE_CHECKING:
    from isthmus.data.sources import Source

_TASKS = {"represent": "train", "codec": "train-codec", "denoise": "train-denoiser"}  # --task of version 0.1


class TrainCommand(TyperCommand):
    """`isthmus train`, which trained everything in version 0.1: --task names today's command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse --task before its options are looked at, which this command no longer has."""
        for index, word in enumerate(args):
            flag, _, task = word.partition("=")
            if flag == "--task":
                task = task or "".join(args[index + 1 : index + 2])
                if task not in _TASKS:
                    raise typer.BadParameter(str(unknown_name("task", task, _TASKS)), ctx)
                raise typer.BadParameter(f"--task {task} is a command of its own: isthmus {_TASKS[task]} DATA", ctx)
        return super().parse_args(ctx, args)


@options.grouped
def train(
    data: options.Data,
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for the model and its report.", show_default="DATA-LATENT_DIM"),
    ] = None,
    latent_dim: Annotated[
        str, typer.Option(help="Numbers in the code, or auto.", metavar="INT|auto", rich_help_panel=options.NETWORK)
    ] = "auto",
    network: Annotated[
        str, options.named("--network", registry.networks, "Kind of network.", extra=("auto",))
    ] = "auto",
    latent_channels: Annotated[
        int | None,
        typer.Option(help="Channels of a spatial code, instead of a flat one.", rich_help_panel=options.NETWORK),
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(help="Widths of a dense encoder, as 512,256.", metavar="INTS", rich_help_panel=options.NETWORK),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(help="Channels of a conv encoder, as 32,64,128.", metavar="INTS", rich_help_panel=options.NETWORK),
    ] = None,
    activation: Annotated[str, options.named("--activation", registry.activations, "Activation.")] = "silu",
    downsample: Annotated[str, options.named("--downsample", registry.downsamplings, "Down-sampling.")] = "stride",
    upsample: Annotated[str, options.named("--upsample", registry.upsamplings, "Up-sampling.")] = "nearest",
    bottleneck: Annotated[
        str,
        options.named(
            "--bottleneck",
            registry.bottlenecks,
            "Bottleneck between encoder and decoder; a number may follow, as variational:0.01.",
        ),
    ] = "plain",
    channel_axis: options.ChannelAxis = "auto",
    objective: Annotated[
        str,
        typer.Option(
            help=f"Training objective: a name, or weights as mse=1,ssim=0.1. One of: "
            f"{', '.join(registry.objectives.names())}.",
            metavar="NAMES",
            rich_help_panel=options.TRAINING,
        ),
    ] = "mse",
    corruption: Annotated[
        str | None,
        options.named(
            "--corruption",
            registry.corruptions,
            "Corruption of what the encoder sees, as gaussian:0-0.5.",
            panel=options.TRAINING,
            parse=parse_corruption,
        ),
    ] = None,
    consistency: Annotated[
        str | None,
        options.named(
            "--consistency",
            registry.augmentations,
            "Augmentation under which a sample's code is to be recognised.",
            panel=options.TRAINING,
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Samples in a step.", min=1, rich_help_panel=options.TRAINING)
    ] = None,
    optimizer: Annotated[
        str, options.named("--optimizer", registry.optimizers, "Optimizer.", extra=("auto",), panel=options.TRAINING)
    ] = "auto",
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate.", rich_help_panel=options.TRAINING)
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Validations without improvement after which training stops.",
            min=1,
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            help="What samples are: auto, signals, table or images.", metavar="NAME", rich_help_panel=options.READING
        ),
    ] = "auto",
    scaling: Annotated[
        str,
        typer.Option(
            help="Scaling of the values: auto, range or standard.", metavar="NAME", rich_help_panel=options.TRAINING
        ),
    ] = "auto",
    reading: options.Reading,
    columns: options.ColumnKinds,
    test: Annotated[
        str | None,
        typer.Option(
            help="Data that the report judges on.", show_default="a held-out tenth", rich_help_panel=options.READING
        ),
    ] = None,
    run: Run,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Write no report, only the model.", rich_help_panel=options.RUN)
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Train an auto-encoder on data without labels; writes the model and report.html.

    Examples:

      isthmus train digits

      isthmus train mnist --network conv --latent-dim 10 --minutes 2 -o digits-10

      isthmus train photos/ --mixed-sizes resize --latent-dim 32

      isthmus train table.csv --objective huber --epochs 50

      isthmus train mnist -o digits-10 --latent-dim 10 --minutes 2 --resume
    """
    size: Any = latent_dim if latent_dim == "auto" else options.integer(latent_dim, "--latent-dim")
    settings: dict[str, Any] = {
        "network": network,
        "latent_channels": latent_channels,
        "hidden": options.integers(hidden, "--hidden"),
        "channels": options.integers(channels, "--channels"),
        "activation": activation,
        "downsample": downsample,
        "upsample": upsample,
        "bottleneck": bottleneck,
        "channel_axis": options.axis(channel_axis),
        "objective": options.objective(objective),
        "corruption": corruption,
        "consistency": consistency,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "patience": patience,
        "kind": kind,
        "scaling": scaling,
    }
    code = latent_dim if latent_channels is None else f"{latent_channels}c"
    folder = run.into(output or Path(f"{as_path(data).stem}-{code}"))

    options.check_data(data, test)
    training, testing = training_and_test(data, test, reading, run.seed, columns)

    from isthmus import AutoEncoder  # slow to import: what can be wrong with the data is said before
    from isthmus.data.sample_kinds import in_words
    from isthmus.estimators.recipe import read_as

    told: dict[str, Any] = {"column_kinds": columns.kinds or None, "missing_values": columns.markers}
    model = AutoEncoder(size, **settings, **told, **run.settings)
    opening = partial(_training_data, data, test, reading, run.seed, columns)
    with output_of(as_json) as show:
        typer.echo(f"Data        {in_words(training, read_as(model, training))}")
        model.fit(run.data(training, opening), **folder.fit_options())
        folder.save(model)
        judged = None
        if not no_report:
            judged = write_report(model, folder.path, data, training, testing, saved_as=folder.path)
        typer.echo(f"Model       {folder.path}")
        show(
            {
                "model": str(folder.path),
                "data": data,
                **run_figures(model.seed_, model.seconds_, model.history_),
                "test": judged,
            }
        )


def _training_data(
    data: str, test: str | None, reading: options.Reading, seed: int, columns: options.ColumnKinds
) -> Source:
    """What a worker of a cluster trains on."""
    return training_and_test(data, test, reading, seed, columns)[0]
