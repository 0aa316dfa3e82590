"""The command line: thin, over the estimators.

Nothing heavy is imported until a command runs, so that --help answers at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from isthmus import __version__
from isthmus.cli import compression as codec
from isthmus.cli import data, embed, evaluate, explore, map, similar, train, use
from isthmus.cli import denoising as denoise

app = typer.Typer(
    name="isthmus",
    help="Auto-encoders for data without labels: learn representations, compress, denoise, map.",
    epilog="Example:  isthmus train mnist --latent-dim 10 --minutes 1 -o digits-10",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.train)
app.command("reconstruct")(use.reconstruct)
app.command("embed")(embed.embed)
app.command("evaluate")(evaluate.evaluate)
app.command("similar")(similar.similar)
app.command("map")(map.map_data)
app.command("denoise")(denoise.denoise)
app.command("compress")(codec.compress)
app.command("decompress")(codec.decompress)
app.command("verify")(codec.verify)
app.command("info")(use.info)
app.command("report")(use.report)
app.command("explore")(explore.explore)
app.command("export")(use.export)
app.add_typer(data.app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"isthmus {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 the data or the work failed, 2 the command was misused."""
    try:
        app()
    except (ValueError, OSError, MemoryError) as error:
        if os.environ.get("ISTHMUS_TRACEBACK"):
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"isthmus: {message}", file=sys.stderr)
        sys.exit(1)
