"""Files to archives and back: folders, images, arrays and data sets, under their own names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.compression.codec import Codec, Mapper
from isthmus.compression.coding.archive import Reader
from isthmus.compression.coding.chunks import Member
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.reading import needed_max_pixels, read_images, read_one
from isthmus.compression.description import open_archive
from isthmus.compression.packing import Members
from isthmus.compression.unpacking import Unpacker, lies_inside
from isthmus.errors import IsthmusError
from isthmus.estimators.model_folder import CONFIG, read_config
from isthmus.files import atomic_path

_UNLIKELY = "these samples take so few bytes that the archive is only unpacked with --max-pixels {}"


@dataclass(frozen=True)
class Packed:
    """What went into an archive.

    samples : how many. plain_bytes : of their values without compression. notes : a line for everything that the
    archive does not hold, or not under its own name, and for image files that are kept as they are.
    """

    samples: int
    plain_bytes: int
    notes: Sequence[str] = ()


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
    mapping: Mapper | None = None,
) -> Packed:
    """Compress folders, files, arrays and data sets into one archive, in constant memory.

    Folders come back as folders, with their file names and formats. Image files that can be rebuilt whole from their
    pixels and what is around them are kept as these two; all others are kept as files. quality, embed_model, name,
    mapping : see `Codec.write`.
    """
    plain = 0
    members = Members(inputs, lossy=codec.model_.kind == "lossy", without=archive)

    def counted() -> Iterator[Member]:
        nonlocal plain
        for sample in members:
            plain += len(sample.file or b"") if sample.image is None else sample.image.nbytes
            yield sample

    with atomic_path(archive) as temporary:
        with temporary.open("wb") as file:
            count = codec.write(file, counted(), quality=quality, embed_model=embed_model, name=name, mapping=mapping)
        with temporary.open("rb") as written:
            needed = needed_max_pixels(Reader(written), codec.model_)
    notes = members.notes if needed is None else [*members.notes, _UNLIKELY.format(needed)]
    return Packed(count, plain, notes)


def unpack(
    archive: Path,
    folder: Path,
    *,
    model: str | Codec | None = None,
    sample: int | None = None,
    overwrite: bool = False,
    hidden: bool = False,
    max_pixels: int | None = None,
) -> Unpacked:
    """Bring back what an archive holds, exactly, as files in a folder; of a damaged one, all that is intact.

    Nothing is written outside of the folder, nor through links below it.

    model : the codec or its folder; by default the one inside, or one near the archive. sample : the number of the only
    sample wanted, counted from 0. overwrite : whether files that exist are replaced. hidden : whether files are
    written that begin with a dot, or lie in a folder that does. max_pixels : see `Codec.decompress`.
    """
    if folder.exists() and not folder.is_dir():
        raise IsthmusError(f"{folder} is a file; name a folder with --output")
    with archive.open("rb") as file:
        reader = open_archive(file, archive)
        problems = list(reader.damaged)
        found = find_model(reader, archive, model)
        with Unpacker(folder, archive.stem, overwrite, hidden) as unpacker:
            if sample is not None:
                unpacker.add(*read_one(reader, found, sample, max_pixels))
            else:
                for item in read_images(reader, found, lambda error: problems.append(str(error)), max_pixels):
                    unpacker.add(*item)
    return Unpacked(unpacker.count, [*problems, *unpacker.problems])


def verify(archive: Path, model: str | None = None, *, max_pixels: int | None = None) -> Unpacked:
    """Check every byte of an archive, decode all of it, and see whether its names can be restored."""
    with archive.open("rb") as file:
        reader = open_archive(file, archive)
        problems = list(reader.damaged)
        found = find_model(reader, archive, model)
        count = 0
        for chunk, within, _ in read_images(reader, found, lambda error: problems.append(str(error)), max_pixels):
            count += 1
            if within < len(chunk.names) and not lies_inside(chunk.names[within][0]):
                problems.append(
                    f"sample {chunk.first + within:,} is called {chunk.names[within][0]!r} and cannot be unpacked"
                )
    return Unpacked(count, problems)


def find_model(reader: Reader, archive: Path, given: str | Codec | None = None) -> CodecModel:
    """The codec that is given, or in a folder that is; else the one inside the archive, or the one in a folder nearby
    that has the right digest."""
    wanted = reader.model_id.hex()
    called = f" {reader.description['model']!r}" if reader.description.get("model") else ""
    if given is not None:
        model = (given if isinstance(given, Codec) else Codec.load(given, device="cpu")).model_
        if model.id != reader.model_id:
            what = "this one" if isinstance(given, Codec) else given
            raise IsthmusError(
                f"{archive} was written with model{called} ({wanted}), and {what} is {model.id.hex()}; give that one"
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
