"""The command line: thin, over the estimators; a file for each command.

Nothing heavy is imported until a command runs, so that --help answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from isthmus import __version__
from isthmus.cli import (
    completion,
    compress,
    data,
    denoise,
    detect,
    embed,
    errors,
    evaluate,
    explore,
    export,
    impute,
    info,
    interpolate,
    map,
    reconstruct,
    report,
    sample,
    serve,
    share,
    similar,
    train,
    train_codec,
    train_denoiser,
    train_detector,
    watch,
)
from isthmus.cli.addresses import with_addresses

app = typer.Typer(
    name="isthmus",
    help="Auto-encoders for data without labels: learn representations, compress, denoise, map, find anomalies.",
    epilog="Example:  isthmus train mnist --latent-dim 10 --minutes 1 -o digits-10",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_AUTOENCODERS, _COMPRESSION, _DENOISING = "Auto-encoders and their codes", "Compression", "Denoising"
_MAPS, _TABLES, _ANOMALIES, _MODELS, _DATA = "Maps", "Tables", "Anomalies", "Any model", "Data"
_HELP = "Help"

app.command("train", rich_help_panel=_AUTOENCODERS, cls=train.TrainCommand)(with_addresses(train.train))
app.command("reconstruct", rich_help_panel=_AUTOENCODERS)(with_addresses(reconstruct.reconstruct))
app.command("sample", rich_help_panel=_AUTOENCODERS)(with_addresses(sample.sample))
app.command("interpolate", rich_help_panel=_AUTOENCODERS)(with_addresses(interpolate.interpolate))
app.command("embed", rich_help_panel=_AUTOENCODERS)(with_addresses(embed.embed))
app.command("similar", rich_help_panel=_AUTOENCODERS)(with_addresses(similar.similar))
app.command("evaluate", rich_help_panel=_AUTOENCODERS)(with_addresses(evaluate.evaluate))
app.command("export", rich_help_panel=_AUTOENCODERS)(with_addresses(export.export))
app.command("train-codec", rich_help_panel=_COMPRESSION)(with_addresses(train_codec.train_codec))
app.command("compress", rich_help_panel=_COMPRESSION)(with_addresses(compress.compress))
app.command("decompress", rich_help_panel=_COMPRESSION)(with_addresses(compress.decompress))
app.command("verify", rich_help_panel=_COMPRESSION)(with_addresses(compress.verify))
app.command("train-denoiser", rich_help_panel=_DENOISING)(with_addresses(train_denoiser.train_denoiser))
app.command("denoise", rich_help_panel=_DENOISING)(with_addresses(denoise.denoise))
app.command("map", rich_help_panel=_MAPS)(with_addresses(map.map_data))
app.command("impute", rich_help_panel=_TABLES)(with_addresses(impute.impute))
app.command("train-detector", rich_help_panel=_ANOMALIES)(with_addresses(train_detector.train_detector))
app.command("detect", rich_help_panel=_ANOMALIES)(with_addresses(detect.detect))
app.command("watch", rich_help_panel=_ANOMALIES)(with_addresses(watch.watch))
app.command("info", rich_help_panel=_MODELS)(with_addresses(info.info))
app.command("report", rich_help_panel=_MODELS)(with_addresses(report.report))
app.command("explore", rich_help_panel=_MODELS)(with_addresses(explore.explore))
app.command("serve", rich_help_panel=_MODELS)(with_addresses(serve.serve))
app.command("push", rich_help_panel=_MODELS)(with_addresses(share.push))
app.command("pull", rich_help_panel=_MODELS)(with_addresses(share.pull))
app.command("completion", rich_help_panel=_HELP)(completion.completion)
app.add_typer(data.app, name="data", rich_help_panel=_DATA)


def _version(ctx: typer.Context, wanted: bool) -> None:
    """Show the version alone or, after --verbose, which is looked at first, all that a report of a bug needs."""
    if not wanted:
        return
    if ctx.params["verbose"]:
        from isthmus.cli.about import about

        for name, value in about().items():
            typer.echo(f"{name}: {value}")
    else:
        typer.echo(f"isthmus {__version__}")
    raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, help="Show the version.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            is_eager=True,
            help="With --version: also the system, packages, devices and extras.",
        ),
    ] = False,
    max_expansion: Annotated[
        float | None,
        typer.Option(
            help="Largest size to which a packed file may unpack, in multiples of its own size; for data that you "
            "trust. Give it before the command's name.",
            min=1,
            show_default="100",
        ),
    ] = None,
) -> None:
    if max_expansion is not None:
        from isthmus.data.limits import set_max_expansion

        set_max_expansion(max_expansion)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default on the arguments of the process; returns the exit status, see `cli.errors`."""
    return errors.run(lambda: app(arguments, prog_name="isthmus", standalone_mode=False))
