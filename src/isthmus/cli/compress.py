"""`isthmus compress`, `decompress` and `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.backend import Backend
from isthmus.cli.machine import to_text
from isthmus.remote.paths import as_path
from isthmus.words import count

Archive = Annotated[
    Path, typer.Argument(help="An archive that `isthmus compress` wrote.", metavar="ARCHIVE", show_default=False)
]
CodecFolder = Annotated[
    str | None,
    typer.Option("--model", help="Folder of the codec.", show_default="the one inside, or one near the archive"),
]

MaxPixels = Annotated[
    int | None,
    typer.Option(
        help="Largest number of pixels that the archive may hold, counting each channel.",
        show_default="4,194,304, and 4,096 for each byte",
    ),
]


@options.grouped
def compress(
    model: options.Model,
    files: Annotated[
        list[str],
        typer.Argument(
            help="Images, folders, arrays (npy, npz, IDX, Zarr, TIFF stacks) or names of data sets.",
            metavar="FILES",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="The archive, as photos.isth.", show_default=False)],
    quality: Annotated[
        float | None, typer.Option(help="Quality of a lossy codec: 1 to 100.", show_default="50")
    ] = None,
    target_mse: Annotated[
        float | None, typer.Option(help="Mean squared error to reach instead of a quality, in units of the range.")
    ] = None,
    target_bytes: Annotated[
        float | None, typer.Option(help="Size of the archive to reach instead of a quality.")
    ] = None,
    embed_model: Annotated[
        bool,
        typer.Option(
            "--embed-model", help="Put the model into the archive, so that nothing else is needed to read it."
        ),
    ] = False,
    backend: Backend,
    overwrite: options.Overwrite = False,
) -> None:
    """Compress images into one archive.

    Folders come back as folders, with their file names and formats. Image files that
    hold more than pixels, Exif data, colours and texts are kept as they are, and so are files that are not images.

    Examples:

      isthmus compress digits-codec mnist:test -o digits.isth

      isthmus compress photos-codec photos/ -o photos.isth --quality 40 --embed-model
    """
    from isthmus import Codec
    from isthmus.compression.files import pack
    from isthmus.compression.packing import Members

    options.check_not_input(output, *files)
    options.check_output(output, overwrite, folder=False)
    codec = Codec.load(model, device="cpu")
    wanted = {"quality": quality, "target_mse": target_mse, "target_bytes": target_bytes}
    measured = Members(files, lossy=True) if target_mse is not None or target_bytes is not None else ()
    images = [sample.image for sample in measured if sample.image is not None]
    quality = codec.find_quality(images, **wanted)
    packed = pack(
        codec,
        files,
        output,
        quality=quality,
        embed_model=embed_model,
        name=as_path(model).resolve().name,
        mapping=backend.stream(partial(_coding, model)),
    )
    size = output.stat().st_size
    share = f", {size / packed.plain_bytes:.1%} of the uncompressed values" if packed.plain_bytes else ""
    each = size / max(1, packed.samples)
    typer.echo(f"{count(packed.samples, 'sample')} in {output}: {size:,} bytes, {each:,.1f} each{share}")
    for line in packed.notes:
        typer.echo(f"isthmus: {line}", err=True)


def _coding(model: str) -> Any:
    """What a worker of a cluster codes with."""
    from isthmus import Codec

    return Codec.load(model, device="cpu").model_.coding


def decompress(
    archive: Archive,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files.", show_default=False)],
    model: CodecFolder = None,
    sample: Annotated[int | None, typer.Option(help="Number of the only sample to write, counted from 0.")] = None,
    overwrite: options.Overwrite = False,
    hidden: Annotated[
        bool, typer.Option("--hidden", help="Also write hidden files, whose name or folder begins with a dot.")
    ] = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Bring back what an archive holds, exactly.

    From a damaged archive everything that is intact is brought back; what is not is listed, and the exit status is 1.

    Examples:

      isthmus decompress photos.isth -o photos/

      isthmus decompress digits.isth --model digits-codec -o digits/
    """
    from isthmus.compression.files import unpack

    unpacked = unpack(
        archive, output, model=model, sample=sample, overwrite=overwrite, hidden=hidden, max_pixels=max_pixels
    )
    typer.echo(f"{count(unpacked.samples, 'sample')} in {output}")
    _report(archive, unpacked.problems)


def verify(
    archive: Archive, model: CodecFolder = None, max_pixels: MaxPixels = None, as_json: options.Json = False
) -> None:
    """Check every byte of an archive and decode all of it; the exit status is 1 if anything is damaged.

    Example:

      isthmus verify photos.isth
    """
    from isthmus.compression.files import verify

    verified = verify(archive, model, max_pixels=max_pixels)
    if as_json:
        intact, problems = verified.samples, list(verified.problems)
        typer.echo(to_text({"archive": str(archive), "intact": not problems, "samples": intact, "problems": problems}))
    else:
        are = "is" if verified.samples == 1 else "are"
        typer.echo(f"{count(verified.samples, 'sample')} of {archive} {are} intact")
    _report(archive, verified.problems)


def _report(archive: Path, problems: Sequence[str]) -> None:
    for line in problems:
        typer.echo(f"isthmus: {archive}: {line}", err=True)
    if problems:
        raise typer.Exit(1)
