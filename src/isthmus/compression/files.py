"""Files to archives and back: folders, images, arrays and data sets, under their own names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from isthmus.compression.codec import Codec
from isthmus.compression.coding.archive import Reader
from isthmus.compression.coding.chunks import DTYPES, Member
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.reading import read_images, read_one
from isthmus.compression.images import open_images
from isthmus.compression.unpacking import Unpacker
from isthmus.data.images import SUFFIXES, read_image
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG, read_config
from isthmus.files import atomic_path


@dataclass(frozen=True)
class Packed:
    """What went into an archive. samples : how many. plain_bytes : of their values without compression."""

    samples: int
    plain_bytes: int


@dataclass(frozen=True)
class Unpacked:
    """What came out of an archive. samples : how many are intact. problems : a line for each thing that is not."""

    samples: int
    problems: Sequence[str]


def pack(
    codec: Codec,
    inputs: Sequence[str],
    archive: Path,
    *,
    quality: float | None = None,
    embed_model: bool = False,
    name: str = "",
) -> Packed:
    """Compress folders, files, arrays and data sets into one archive, in constant memory.

    Folders come back as folders, with their file names and formats; files that are no images are kept as they are.
    quality, embed_model, name : see `Codec.write`.
    """
    plain = 0

    def counted() -> Iterator[Member]:
        nonlocal plain
        for sample in samples_of(inputs, without=archive):
            plain += len(sample.file or b"") if sample.image is None else sample.image.nbytes
            yield sample

    with atomic_path(archive) as temporary, temporary.open("wb") as file:
        count = codec.write(file, counted(), quality=quality, embed_model=embed_model, name=name)
    return Packed(count, plain)


def unpack(
    archive: Path, folder: Path, *, model: str | None = None, sample: int | None = None, overwrite: bool = False
) -> Unpacked:
    """Bring back what an archive holds, exactly, as files in a folder; of a damaged one, all that is intact.

    model : folder of the codec; by default the one inside, or one near the archive. sample : the number of the only
    sample wanted, counted from 0. overwrite : whether files that exist are replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise IsthmusError(f"{folder} is a file; name a folder with --output")
    with archive.open("rb") as file:
        reader = open_archive(file, archive)
        problems = list(reader.damaged)
        found = find_model(reader, archive, model)
        with Unpacker(folder, archive.stem, overwrite) as unpacker:
            if sample is not None:
                unpacker.add(*read_one(reader, found, sample))
            else:
                for item in read_images(reader, found, lambda error: problems.append(str(error))):
                    unpacker.add(*item)
    return Unpacked(unpacker.count, [*problems, *unpacker.refused])


def verify(archive: Path, model: str | None = None) -> Unpacked:
    """Check every byte of an archive and decode all of it."""
    with archive.open("rb") as file:
        reader = open_archive(file, archive)
        problems = list(reader.damaged)
        found = find_model(reader, archive, model)
        count = sum(1 for _ in read_images(reader, found, lambda error: problems.append(str(error))))
    return Unpacked(count, problems)


def samples_of(inputs: Iterable[str], without: Path | None = None) -> Iterator[Member]:
    """Every sample of every folder, file, array and data set, one after the other, with its name and format.

    without : the archive that is written, which may lie in one of the folders: it does not hold itself.
    """
    inputs = list(inputs)
    for text in inputs:
        path = Path(text).expanduser()
        if path.is_dir() and path.suffix != ".zarr":
            top = path.resolve().parent if len(inputs) > 1 else path.resolve()
            files = sorted(p for p in path.resolve().rglob("*") if p.is_file() and not _is_of(p, without))
            if not files:
                raise IsthmusError(f"folder {path} holds no files")
            yield from (_file_sample(file, file.relative_to(top).as_posix()) for file in files)
        elif path.is_file() and path.suffix.lower() in SUFFIXES:
            yield _file_sample(path, path.name)
        else:
            name = path.with_suffix(".npy").name if path.exists() else f"{text.replace(':', '-')}.npy"
            yield from (Member(image, (name, "npy")) for image in open_images(text))


def _is_of(path: Path, archive: Path | None) -> bool:
    """Whether a file is an archive, or the temporary one that is to become it."""
    if archive is None or path.parent != archive.resolve().parent:
        return False
    return path.name == archive.name or path.name.startswith(f".{archive.name}.")


def _file_sample(path: Path, name: str) -> Member:
    """An image file as pixels; any other, and an image that we cannot decode to 8 or 16 bits, as it is."""
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


def open_archive(file: BinaryIO, archive: Path) -> Reader:
    """A reader of an open file; an error that names the archive where it is none."""
    try:
        return Reader(file)
    except IsthmusError as error:
        raise IsthmusError(f"{archive}: {error}") from error


def find_model(reader: Reader, archive: Path, folder: str | None = None) -> CodecModel:
    """The model inside the archive, the one in `folder`, or the one in a folder nearby that has the right digest."""
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


def describe(archive: Path) -> dict[str, str]:
    """Rows of a table: what an archive holds."""
    with archive.open("rb") as file:
        reader = open_archive(file, archive)
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
            plain += math.prod(chunk.shape) * np.dtype(chunk.dtype).itemsize
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
