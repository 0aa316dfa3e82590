"""Commands of data compression: compress, decompress, verify, and the training and description of codecs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import options
from isthmus.cli.unpack import Unpacker
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG, best_validation, read_config

if TYPE_CHECKING:
    from isthmus.compression.coding.archive import Reader
    from isthmus.compression.coding.chunks import Member
    from isthmus.compression.coding.model import CodecModel
    from isthmus.training.progress import Listener

Archive = Annotated[Path, typer.Argument(help="An archive that `isthmus compress` wrote.", show_default=False)]
ModelFolder = Annotated[
    str | None,
    typer.Option("--model", help="Folder of the codec.", show_default="the one inside, or one near the archive"),
]


def train_codec(
    data: str,
    folder: Path,
    mode: str,
    epochs: int | None,
    minutes: float | None,
    *,
    seed: int,
    device: str,
    listeners: list[Listener],
) -> None:
    """Train a codec, save it and say what it reaches."""
    from isthmus import Codec

    codec = Codec(mode, epochs=epochs, minutes=minutes, device=device, random_state=seed)
    codec.fit(data, listeners=listeners)
    codec.save(folder)
    best = best_validation(codec.history_)
    if best is not None and mode == "lossless":
        typer.echo(f"Validation  {best:.4f} bits per value")
    typer.echo(f"Model       {folder} ({codec.model_.kind}, {codec.model_.nbytes:,} bytes)")


def compress(
    model: options.Model,
    files: Annotated[
        list[str],
        typer.Argument(
            help="Images, folders, arrays (npy, npz, IDX, Zarr, TIFF stacks) or names of data sets.", show_default=False
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The archive, as photos.isth.", show_default=False)],
    quality: Annotated[float | None, typer.Option(help="Of a lossy codec, 1 to 100.", show_default="50")] = None,
    target_mse: Annotated[
        float | None, typer.Option(help="In place of a quality: the mean squared error, in units of the range.")
    ] = None,
    target_bytes: Annotated[float | None, typer.Option(help="In place of a quality: the size of the archive.")] = None,
    embed_model: Annotated[
        bool, typer.Option("--embed-model", help="Put the model inside: nothing else is needed to read it.")
    ] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Compress images into one archive.

    Folders come back as folders, with their file names and formats; files that are no images are kept as they are.

    Examples:

      isthmus compress digits-codec mnist:test -o digits.isth

      isthmus compress photos-codec photos/ -o photos.isth --quality 40 --embed-model
    """
    from isthmus import Codec
    from isthmus.files import atomic_path

    options.check_output(output, overwrite, folder=False)
    codec = Codec.load(model, device="cpu")
    targets = {"quality": quality, "target_mse": target_mse, "target_bytes": target_bytes}
    looked_at = _images(files) if target_mse is not None or target_bytes is not None else []
    quality = codec.find_quality(looked_at, **targets)
    counts = {"plain": 0}
    with atomic_path(output) as temporary, temporary.open("wb") as file:
        name = Path(model).resolve().name
        count = codec.write(file, _samples(files, counts), quality=quality, embed_model=embed_model, name=name)
    size = output.stat().st_size
    share = f", {size / counts['plain']:.1%} of the uncompressed values" if counts["plain"] else ""
    typer.echo(f"{count:,} samples in {output}: {size:,} bytes, {size / max(1, count):,.1f} each{share}")


def decompress(
    archive: Archive,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files.", show_default=False)],
    model: ModelFolder = None,
    sample: Annotated[int | None, typer.Option(help="Only the sample of that number, counted from 0.")] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Bring back what an archive holds, exactly.

    From a damaged archive everything that is intact is brought back; what is not is listed, and the exit status is 1.

    Examples:

      isthmus decompress photos.isth -o photos/

      isthmus decompress digits.isth --model digits-codec -o digits/
    """
    from isthmus.compression.coding.reading import read_images, read_one

    if output.exists() and not output.is_dir():
        raise IsthmusError(f"{output} is a file; name a folder with --output")
    with archive.open("rb") as file:
        reader = _reader(file, archive)
        unpacker = Unpacker(output, archive.stem, overwrite)
        damaged = list(reader.damaged)
        found = _find_model(reader, archive, model)
        with unpacker:
            if sample is not None:
                unpacker.add(*read_one(reader, found, sample))
            else:
                for item in read_images(reader, found, lambda error: damaged.append(str(error))):
                    unpacker.add(*item)
    typer.echo(f"{unpacker.count:,} samples in {output}")
    _report_damage(archive, [*damaged, *unpacker.refused])


def verify(archive: Archive, model: ModelFolder = None) -> None:
    """Check every byte of an archive and decode all of it; the exit status is 1 if anything is damaged.

    Example:

      isthmus verify photos.isth
    """
    from isthmus.compression.coding.reading import read_images

    with archive.open("rb") as file:
        reader = _reader(file, archive)
        damaged = list(reader.damaged)
        found = read_images(reader, _find_model(reader, archive, model), lambda error: damaged.append(str(error)))
        count = sum(1 for _ in found)
    typer.echo(f"{count:,} samples of {archive} are intact")
    _report_damage(archive, damaged)


def describe_archive(archive: Path) -> dict[str, str]:
    """Rows of a table: what an archive holds."""
    with archive.open("rb") as file:
        reader = _reader(file, archive)
        counts: dict[str, int] = {}
        shapes: dict[str, int] = {}
        plain, damaged = 0, list(reader.damaged)
        for number in range(len(reader.chunks)):
            try:
                chunk = reader.chunk(number)
            except IsthmusError as error:
                damaged.append(str(error))
                continue
            counts[chunk.method] = counts.get(chunk.method, 0) + chunk.count
            shape = "file" if chunk.method == "file" else f"{' × '.join(map(str, chunk.shape[1:]))} {chunk.dtype}"
            shapes[shape] = shapes.get(shape, 0) + chunk.count
            plain += _size(chunk.shape, chunk.dtype)
        inside = reader.model
        rows = {
            "samples": f"{reader.count:,} in {len(reader.chunks):,} chunks",
            "kinds": ", ".join(f"{count:,} of {shape}" for shape, count in list(shapes.items())[:5]),
            "coded by": ", ".join(f"{method} {count:,}" for method, count in counts.items()),
            "bytes": f"{reader.size:,} ({reader.size / max(1, plain):.1%} of the plain values)",
            "model": f"{reader.description.get('model', '')} {reader.model_id.hex()}".strip()
            + (f", inside ({len(inside):,} bytes)" if inside else ""),
        }
    if damaged:
        rows["damaged"] = "; ".join(damaged)
    return rows


def _size(shape: tuple[int, ...], dtype: str) -> int:
    import math

    import numpy as np

    return math.prod(shape) * np.dtype(dtype).itemsize


def _samples(files: list[str], counts: dict[str, int]) -> Iterator[Member]:
    """Every sample of every file, folder, array and data set, one after the other."""
    from isthmus.compression.images import open_images
    from isthmus.data.folders import SUFFIXES

    for text in files:
        path = Path(text).expanduser()
        if path.is_dir() and path.suffix != ".zarr":
            top = path.resolve().parent if len(files) > 1 else path.resolve()
            inside = sorted(p for p in path.resolve().rglob("*") if p.is_file())
            pairs = [(p, p.relative_to(top).as_posix()) for p in inside]
        elif path.is_file() and path.suffix.lower() in SUFFIXES:
            pairs = [(path, path.name)]
        else:
            name = path.with_suffix(".npy").name if path.exists() else f"{text.replace(':', '-')}.npy"
            for image in open_images(text):
                counts["plain"] += image.nbytes
                yield Member(image, (name, "npy"))
            continue
        if not pairs:
            raise IsthmusError(f"folder {path} holds no files")
        for file, name in pairs:
            sample = _file_sample(file, name)
            counts["plain"] += len(sample.file or b"") if sample.image is None else sample.image.nbytes
            yield sample


def _images(files: list[str]) -> list[Any]:
    return [sample.image for sample in _samples(files, {"plain": 0}) if sample.image is not None]


def _file_sample(path: Path, name: str) -> Member:
    """An image file as pixels; any other, and an image that we cannot decode to 8 or 16 bits, as it is."""
    from isthmus.compression.coding.chunks import DTYPES, Member
    from isthmus.data.folders import SUFFIXES, read_image

    content = path.read_bytes()
    image = None
    if path.suffix.lower() in SUFFIXES:
        try:
            image = read_image(path)
        except IsthmusError:
            image = None
        if image is not None and image.dtype not in DTYPES:
            image = None
    return Member(image, (name, path.suffix.lower().removeprefix(".")), content)


def _reader(file: Any, archive: Path) -> Reader:
    from isthmus.compression.coding.archive import Reader

    try:
        return Reader(file)
    except IsthmusError as error:
        raise IsthmusError(f"{archive}: {error}") from error


def _find_model(reader: Reader, archive: Path, folder: str | None) -> CodecModel:
    """The model inside the archive, the one in `folder`, or the one in a folder nearby that has the right digest."""
    from isthmus import Codec
    from isthmus.compression.coding.model import CodecModel

    wanted = reader.model_id.hex()
    called = f" {reader.description['model']!r}" if reader.description.get("model") else ""
    if folder is not None:
        model = Codec.load(folder, device="cpu").model_
        if model.id != reader.model_id:
            raise IsthmusError(
                f"{archive} was written with model{called} ({wanted}), and {folder} is {model.id.hex()}; give that one"
            )
        return model
    inside = reader.model
    if inside is not None:
        model = CodecModel.from_bytes(inside)
        if model.id == reader.model_id:
            return model
    for place in dict.fromkeys((archive.resolve().parent, Path.cwd())):
        for config in (*place.glob(CONFIG), *place.glob(f"*/{CONFIG}")):
            try:
                if read_config(config.parent).get("id") == wanted:
                    return Codec.load(config.parent, device="cpu").model_
            except IsthmusError:
                continue
    raise IsthmusError(
        f"{archive} was written with model{called} ({wanted}), which is neither inside nor in a folder nearby; give "
        f"its folder with --model"
    )


def _report_damage(archive: Path, damaged: list[str]) -> None:
    if damaged:
        for line in damaged:
            typer.echo(f"isthmus: {archive}: {line}", err=True)
        raise typer.Exit(1)
