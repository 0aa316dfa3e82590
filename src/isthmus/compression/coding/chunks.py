"""Samples to chunks and back: by the model where it pays, otherwise as PNG or xz; large images in bands."""

from __future__ import annotations

import io
import json
import lzma
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.compression.coding.chunk import MOST_VALUES, Chunk, which
from isthmus.compression.coding.protocols import LosslessCoding, LossyCoding
from isthmus.compression.coding.tiles import cut, pieces_shape, tile_of, together
from isthmus.errors import IsthmusError, of_a_file

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.bool_))
_MOST_SAMPLES, _USUAL_VALUES = 512, 1 << 19  # in a chunk: few enough for random access
_MOST_IN_A_STEP = 1 << 15  # pixels of a chunk that are coded together: twice what `grouped` makes
_DOUBTFUL = 0.5  # share of the plain size above which the other methods are tried too


@dataclass(frozen=True)
class Group:
    """Successive members that become one chunk: (n, height, width[, channels]), or None for a file as it is.

    names : (name, format) of each, or none. files : what each looked like as a file, where it was one.
    band, frames : see `Chunk`.
    """

    first: int
    images: np.ndarray | None
    names: Sequence[tuple[str, str]] = ()
    files: Sequence[bytes] = ()
    band: tuple[int, int] | None = None
    frames: Sequence[Mapping[str, Any] | None] = ()


@dataclass(frozen=True)
class Member:
    """What an archive keeps under one number: an image, or a file as it is.

    image : (height, width[, channels]), uint8, uint16 or bool; None for a file as it is. name : (name, format) of the
    file that it was. file : the bytes of that file; they are kept in place of the image where they are fewer.
    frame : what the file holds around the pixels, as JSON values (see `image_files.Frame`); None where that is nothing.
    """

    image: np.ndarray | None
    name: tuple[str, str] | None = None
    file: bytes | None = None
    frame: Mapping[str, Any] | None = None


def grouped(members: Iterable[Member]) -> Iterator[Group]:
    """Groups of successive members of one shape."""
    waiting: list[Member] = []
    first = 0
    for number, member in enumerate(members):
        if waiting and not _fits(waiting, member):
            yield _together(first, waiting)
            waiting, first = [], number
        if member.image is None:
            assert member.name is not None and member.file is not None
            yield Group(number, None, [member.name], [member.file])
            first = number + 1
        elif member.image.size > MOST_VALUES:
            yield from _bands(number, member)
            first = number + 1
        else:
            waiting.append(member)
    if waiting:
        yield _together(first, waiting)


def _fits(waiting: Sequence[Member], member: Member) -> bool:
    one, other = waiting[0].image, member.image
    if one is None or other is None or _given(waiting[0]) != _given(member):
        return False
    room = len(waiting) < _MOST_SAMPLES and (len(waiting) + 1) * other.size <= _USUAL_VALUES
    return room and (one.shape, one.dtype) == (other.shape, other.dtype)


def _given(member: Member) -> tuple[bool, bool]:
    return member.name is not None, member.file is not None


def _together(first: int, members: Sequence[Member]) -> Group:
    names = [member.name for member in members if member.name is not None]
    files = [member.file for member in members if member.file is not None]
    images = [member.image for member in members if member.image is not None]
    return Group(first, np.stack(images), names, files, frames=_frames(members))


def _frames(members: Sequence[Member]) -> list[Mapping[str, Any] | None]:
    return [member.frame for member in members] if any(member.frame for member in members) else []


def _bands(number: int, member: Member) -> Iterator[Group]:
    """An image that is too large for one chunk, in bands of whole rows."""
    image = member.image
    assert image is not None
    row = math.prod(image.shape[1:])
    if row > MOST_VALUES:
        raise IsthmusError(f"a row of {row:,} values is too long: an image may have {MOST_VALUES:,} values in a row")
    step = max(1, _USUAL_VALUES // row)
    for top in range(0, len(image), step):
        names = [member.name] if top == 0 and member.name is not None else []
        frames = _frames([member]) if names else []
        yield Group(number, image[None, top : top + step], names, (), (top, len(image)), frames)


def encode(group: Group, coding: LosslessCoding | LossyCoding, quality: float | None = None) -> list[Chunk]:
    """The smallest of what the methods give: one chunk, or one for each file where the files are smaller.

    quality : 0 to 1, for a lossy coding.
    """
    if group.images is None:
        return _as_files(group)
    images = group.images
    if images.dtype not in DTYPES:
        raise IsthmusError(f"images of {images.dtype} cannot be compressed: give uint8, uint16 or bool")
    if images.dtype == np.bool_:
        images = images.view(np.uint8) != 0  # other libraries write true as 255, and the checksum is of the bytes
    chunk = replace(_smallest(group.first, images, coding, quality), names=group.names, band=group.band)
    chunk = replace(chunk, frames=group.frames)
    around = len(zlib.compress(json.dumps(group.frames).encode())) if group.frames else 0
    if group.files and sum(map(len, group.files)) < len(chunk.data) + around:
        return _as_files(group)
    return [chunk]


def encode_at(quality: float | None, coding: LosslessCoding | LossyCoding, group: Group) -> list[Chunk]:
    """`encode`, in the order in which other processes take it."""
    return encode(group, coding, quality)


def _smallest(first: int, images: np.ndarray, coding: LosslessCoding | LossyCoding, quality: float | None) -> Chunk:
    """The smallest chunk; with loss where a quality is given and the coding takes the images."""
    plain = images.astype(np.uint8) if images.dtype == np.bool_ else images
    candidates: dict[str, bytes] = {}
    tile = None
    if isinstance(coding, LossyCoding):
        if quality is not None and coding.takes(images.shape[1:], images.dtype):
            data, check = coding.encode(images, quality)
            return Chunk(first, "lossy", images.shape, str(images.dtype), (), check, data)
    else:
        tile = tile_of(plain.shape)
        pieces = plain if tile is None else cut(plain, tile)
        if coding.takes(pieces.shape[1:], plain.dtype):
            candidates["model"] = coding.encode(pieces)
    if not candidates or len(candidates["model"]) > _DOUBTFUL * images.nbytes:
        candidates["xz"] = lzma.compress(_plain_bytes(images), format=lzma.FORMAT_ALONE, preset=6)
        if len(images) == 1 and (png := _to_png(plain[0])) is not None:
            candidates["png"] = png
    method = min(candidates, key=lambda name: len(candidates[name]))
    check = zlib.crc32(_plain_bytes(images))
    tile = tile if method == "model" else None
    return Chunk(first, method, images.shape, str(images.dtype), (), check, candidates[method], tile=tile)


def _as_files(group: Group) -> list[Chunk]:
    return [
        Chunk(group.first + i, "file", (1, max(1, len(file))), "uint8", [name], zlib.crc32(file), file)
        for i, (file, name) in enumerate(zip(group.files, group.names, strict=True))
    ]


def decode(chunk: Chunk, coding: LosslessCoding | LossyCoding) -> np.ndarray:
    """The images of a chunk, (n, height, width[, channels]); for a file as it is, its bytes, uint8 (1, n).

    IsthmusError unless they are what was written: the same values or, with loss, the same codes.
    """
    with of_a_file(f"{which(chunk.first, chunk.count)} damaged", ours=True):
        return _decode(chunk, coding)


def _decode(chunk: Chunk, coding: LosslessCoding | LossyCoding) -> np.ndarray:
    tile = chunk.tile or chunk.shape[1:3]
    if chunk.method in ("model", "lossy") and chunk.shape[0] * min(tile) > _MOST_IN_A_STEP:
        raise IsthmusError(f"{chunk.shape[0]:,} images of {chunk.shape[1:]} are too many for one chunk")
    if chunk.method == "lossy":
        if not (isinstance(coding, LossyCoding) and coding.takes(chunk.shape[1:], np.dtype(chunk.dtype))):
            raise _foreign(chunk)
        return coding.decode(chunk.data, chunk.shape, chunk.check)
    dtype = np.dtype(chunk.dtype)
    stored = np.dtype(np.uint8) if dtype == np.bool_ else dtype
    if chunk.method == "model":
        shape = chunk.shape if chunk.tile is None else pieces_shape(chunk.shape, chunk.tile)
        if isinstance(coding, LossyCoding) or not coding.takes(shape[1:], stored):
            raise _foreign(chunk)
        images = coding.decode(chunk.data, shape)
        images = images if chunk.tile is None else together(images, chunk.shape, chunk.tile)
    elif chunk.method == "png":
        images = _from_png(chunk)
    elif chunk.method == "file":
        images = np.frombuffer(chunk.data, np.uint8)[None]
    else:
        size = math.prod(chunk.shape) * stored.itemsize
        content = _unpack(chunk, size)
        if len(content) != size:
            raise IsthmusError(f"{len(content):,} bytes for shape {chunk.shape}")
        images = np.frombuffer(content, stored.newbyteorder("<")).reshape(chunk.shape).astype(stored)
    images = images.astype(dtype) if dtype == np.bool_ else images
    if zlib.crc32(_plain_bytes(images)) != chunk.check:
        raise IsthmusError("the checksum is wrong")
    return images


def _foreign(chunk: Chunk) -> IsthmusError:
    return IsthmusError(f"shape {chunk.shape[1:]} and {chunk.dtype} do not belong to this model")


def _plain_bytes(images: np.ndarray) -> bytes:
    return images.astype(images.dtype.newbyteorder("<"), copy=False).tobytes()


def _unpack(chunk: Chunk, expected: int) -> bytes:
    """Never more than what is expected: a small damaged chunk must not fill the memory."""
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_ALONE, memlimit=1 << 28)
    return unpacker.decompress(chunk.data, max_length=expected)


def _to_png(image: np.ndarray) -> bytes | None:
    """PNG of an image that Pillow can write without loss; None for any other."""
    from PIL import Image

    if image.ndim == 3 and (image.dtype != np.uint8 or image.shape[2] not in (3, 4)):
        return None
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _from_png(chunk: Chunk) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(chunk.data), formats=["PNG"]) as image:
        if (1, image.height, image.width) != chunk.shape[:3]:
            raise IsthmusError(f"{image.width} × {image.height} pixels for shape {chunk.shape}")
        values = np.asarray(image)
    if values[None].shape != chunk.shape:
        raise IsthmusError(f"a PNG of shape {values.shape}")
    return values[None].astype(np.uint16 if chunk.dtype == "uint16" else np.uint8)
