"""Image files and folders of them as sources: decoded when they are asked for."""

from __future__ import annotations

import copy
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from isthmus.data.base import JoinedSource, Source, subset
from isthmus.data.images import (
    PILLOW_MODES,
    SUFFIXES,
    TIFF,
    Header,
    Kind,
    read_8_bits,
    read_header,
    read_image,
)
from isthmus.data.parallel import parallel
from isthmus.data.reading import reading
from isthmus.errors import IsthmusError, ReadingError, unknown_name, warn
from isthmus.files import printable
from isthmus.remote.paths import RemotePath
from isthmus.remote.ranges import fetch

if TYPE_CHECKING:
    from PIL import Image

OnMixedSizes = Literal["refuse", "crop", "resize", "keep"]  # the last makes another source: `SampleFiles`
ON_MIXED_SIZES: tuple[str, ...] = get_args(OnMixedSizes)
ImageMode = Literal["grey", "rgb", "rgba"]
IMAGE_MODES: dict[str, tuple[int, ...]] = {"grey": (), "rgb": (3,), "rgba": (4,)}  # what follows height and width

_PICTURES = tuple(PILLOW_MODES)  # each holds all that the ones before it hold
_NOTES = (".csv", ".tsv", ".txt", ".md", ".json", ".xml", ".yaml", ".yml", ".html", ".log", ".db", ".ini")  # no images


class ImageFiles(Source):
    """Image files of one size and kind; each is decoded when it is asked for, several at a time.

    Samples are arrays (height, width) where all images are grey, (height, width, 3) where some are in colour and
    (height, width, 4) where some are transparent: uint8, or uint16 where all images have 16 bits a channel. Images of
    other kinds, as floating-point ones or those of five bands, must all be of one kind. Exif orientation is applied.

    on_mixed_sizes : what to do where sizes differ. "refuse" raises an error; "crop" cuts the middle of each image
        to the smallest height and the smallest width; "resize" scales each image, without regard to its aspect
        ratio, to the size that more than half of them have, or else to the median height and width.
    image_mode : "grey", "rgb" or "rgba" to read every image so, at 8 bits a channel; None for the narrowest kind that
        holds them all.
    headers : of the files, where they have been read before.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        name: str,
        labels: np.ndarray | None = None,
        on_mixed_sizes: str = "refuse",
        image_mode: str | None = None,
        headers: Sequence[Header] | None = None,
    ) -> None:
        if headers is None:
            fetch(paths)
            headers = parallel(read_header, paths)
        for path, header in zip(paths, headers, strict=True):
            if header.frames > 1:
                raise IsthmusError(f"{path} holds {header.frames} images; give files of one image each")
        self._kind = _common_kind(paths, headers, image_mode, name)
        self._headers = headers
        self._resize = on_mixed_sizes == "resize"
        height, width = _common_size(paths, headers, on_mixed_sizes, name)
        shape = (len(paths), height, width, *self._kind.channels)
        super().__init__(shape, np.dtype(self._kind.dtype), name=name, labels=labels, paths=paths)
        self.paths: list[Path]

    def resized(self, height: int, width: int) -> ImageFiles:
        """The same images, each scaled to another size without regard to its aspect ratio."""
        other = copy.copy(self)
        other.shape, other._resize = (len(self), height, width, *self.shape[3:]), True
        return other

    def _take(self, indices: np.ndarray) -> np.ndarray:
        block = np.empty((len(indices), *self.shape[1:]), self.dtype)

        def fill(row: int) -> None:
            block[row] = self._decode(int(indices[row]))

        parallel(fill, range(len(indices)))
        return block

    def _decode(self, index: int) -> np.ndarray:
        path, header, channels = self.paths[index], self._headers[index], self._kind.channels
        if self._kind.dtype == "uint8" and channels in _PICTURES:
            return read_8_bits(path, PILLOW_MODES[channels], partial(self._fitted, header))
        values = read_image(path)
        with reading(path, "an image"):
            _check_size(header, *values.shape[:2])
            if Kind(values.dtype.name, values.shape[2:]) != header.kind:
                raise ValueError(f"its values are {values.dtype} of shape {values.shape} now, and were {header.kind}")
            return self._fitted_values(_widened(values, channels))

    def _fitted(self, header: Header, image: Image.Image) -> Image.Image:
        """An 8-bit image in the size of the source."""
        _check_size(header, image.height, image.width)
        height, width = self.shape[1:3]
        if image.size == (width, height):
            return image
        if self._resize:
            return _scaled(image, height, width)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))

    def _fitted_values(self, values: np.ndarray) -> np.ndarray:
        """An image of another depth in the size of the source."""
        from PIL import Image

        height, width = self.shape[1:3]
        if values.shape[:2] == (height, width):
            return values
        if not self._resize:
            top, left = (values.shape[0] - height) // 2, (values.shape[1] - width) // 2
            return values[top : top + height, left : left + width]
        if values.ndim == 2 and values.dtype in (np.uint16, np.int32, np.float32):  # what Pillow scales as it is
            return np.asarray(_scaled(Image.fromarray(values), height, width))
        bands = np.moveaxis(np.atleast_3d(values).astype(np.float32), -1, 0)
        scaled = np.stack([np.asarray(_scaled(Image.fromarray(band), height, width)) for band in bands], -1)
        if values.dtype.kind in "iu":
            limits = np.iinfo(values.dtype)
            scaled = np.clip(np.rint(scaled.astype(np.float64)), limits.min, limits.max)
        return scaled.reshape(height, width, *values.shape[2:]).astype(values.dtype)


def folder_source(folder: Path, **options: Any) -> Source:
    """All images in a folder and its sub-folders, in natural order (2.png before 10.png).

    Where every image lies in a sub-folder, the names of the first-level sub-folders are the labels. The images of a
    TIFF stack are samples, as when it is given alone. Files that are passed over are named in one line.
    """
    paths = files_in(folder, SUFFIXES, "images")
    fetch(paths)
    headers = parallel(read_header, paths)
    moving = {path for path, header in zip(paths, headers, strict=True)
              if header.frames > 1 and path.suffix.lower() not in TIFF}  # fmt: skip
    _tell_of_others(folder, moving)
    kept = [(path, header) for path, header in zip(paths, headers, strict=True) if path not in moving]
    if not kept:
        from isthmus.data.stacks import animation_source

        return JoinedSource([animation_source(path) for path in paths], name=str(folder))
    relative = [path.relative_to(folder) for path, _ in kept]
    labels = (
        np.array([printable(path.parts[0]) for path in relative]) if all(len(p.parts) > 1 for p in relative) else None
    )
    if all(header.frames == 1 for _, header in kept):
        paths, headers = map(list, zip(*kept, strict=True))
        return ImageFiles(paths, name=str(folder), labels=labels, headers=headers, **options)
    return _with_stacks(kept, folder, labels, options)


def _with_stacks(
    files: Sequence[tuple[Path, Header]], folder: Path, labels: np.ndarray | None, options: dict[str, Any]
) -> Source:
    """Single images and the images of TIFF stacks, in the order of their files."""
    from isthmus.data.stacks import tiff_source

    single = [(path, header) for path, header in files if header.frames == 1]
    images: Any = None
    if single:
        paths, headers = map(list, zip(*single, strict=True))
        images = ImageFiles(paths, name=str(folder), headers=headers, **options)
    parts: list[Source] = []
    counts: list[int] = []
    seen = 0
    for stacked, run in groupby(files, lambda file: file[1].frames > 1):
        run_paths = [path for path, _ in run]
        if stacked:
            stacks = [tiff_source(path) for path in run_paths]
            parts += stacks
            counts += [len(stack) for stack in stacks]
        else:
            parts.append(subset(images, np.arange(seen, seen + len(run_paths))))
            counts += [1] * len(run_paths)
            seen += len(run_paths)
    return JoinedSource(parts, name=str(folder), labels=None if labels is None else np.repeat(labels, counts))


def _tell_of_others(folder: Path, moving: set[Path]) -> None:
    """Name the files that are no images we read, in one line; notes and tables beside images are no surprise."""
    others = Counter(path.suffix.lower() or path.name for path in _walk(folder, ("",))
                     if not path.name.lower().endswith((*SUFFIXES, *_NOTES)))  # fmt: skip
    said = [f"{count:,} {suffix}" for suffix, count in others.most_common(5)]
    if len(others) > 5:
        said.append("others")
    if moving:
        said.append(f"{len(moving)} animation{'s' * (len(moving) > 1)}, as {min(moving)}")
    if said:
        warn(f"{folder}: passed over, since they are no images that can be read: {', '.join(said)}")


def files_in(folder: Path, suffixes: tuple[str, ...], what: str) -> list[Path]:
    """The files of a folder and its sub-folders with these suffixes, in natural order; hidden ones are left out.

    what : what they hold, for the IsthmusError where there are none.
    """
    paths = sorted(_walk(folder, suffixes), key=_natural)
    if not paths:
        seen = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        holds = f"it holds {', '.join(seen[:4])}{', ...' if len(seen) > 4 else ''}" if seen else "it is empty"
        raise IsthmusError(f"folder {folder} holds no {what} ({', '.join(suffixes)}); {holds}")
    return paths


def holds(folder: Path, *suffixes: str) -> bool:
    """Whether a folder or one of its sub-folders has a file whose name ends in one of these."""
    return next(_walk(folder, suffixes), None) is not None


def _walk(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """The files under a folder, through links too, but each folder once; hidden ones are left out."""
    if isinstance(folder, RemotePath):
        for path in folder.files:
            parts = path.parts[len(folder.parts) :]
            if not any(part.startswith((".", "__MACOSX")) for part in parts) and path.name.lower().endswith(suffixes):
                yield path
        return
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in files:
            if not name.startswith(".") and name.lower().endswith(suffixes):
                yield Path(parent, name)


def _natural(path: Path) -> tuple[list[list[tuple[int, str]]], str]:
    """A key that sorts numbers in names by their value."""
    parts = [[(int(t), "") if t.isdecimal() else (-1, t) for t in re.split(r"(\d+)", part.lower())]
             for part in path.parts]  # fmt: skip
    return (parts, str(path))


def _common_kind(paths: Sequence[Path], headers: Sequence[Header], image_mode: str | None, name: str) -> Kind:
    """The kind of the whole source."""
    if image_mode is not None and image_mode not in IMAGE_MODES:
        raise unknown_name("image_mode", image_mode, IMAGE_MODES)
    first = {header.kind: path for path, header in reversed(list(zip(paths, headers, strict=True)))}
    depths = {kind.dtype for kind in first}
    odd = [kind for kind in first if kind.dtype not in ("uint8", "uint16") or kind.channels not in _PICTURES]
    if image_mode is not None:
        if odd:
            raise IsthmusError(f"{first[odd[0]]} has values of {odd[0]}, which image_mode={image_mode!r} cannot hold")
        return Kind("uint8", IMAGE_MODES[image_mode])
    widest = max((kind.channels for kind in first), key=lambda c: _PICTURES.index(c) if c in _PICTURES else -1)
    if len(depths) == 1 and not odd:
        return Kind(depths.pop(), widest)
    if len(first) == 1:
        return odd[0]
    deep = [kind for kind in first if kind.dtype == "uint16"]
    if not odd and all(kind.channels for kind in deep):
        few = first[deep[0]]
        warn(f"{name}: images of 16 bits a channel, as {few}, are read at 8 bits, as the others have; keep them apart "
             "to read them at 16")  # fmt: skip
        return Kind("uint8", widest)
    kinds = sorted(first, key=str)
    cure = "" if odd else f"; isthmus.open_source({name!r}, image_mode='grey') or 'rgb' reads all of them at 8 bits"
    raise IsthmusError(f"{name} mixes {first[kinds[0]]} ({kinds[0]}) and {first[kinds[-1]]} ({kinds[-1]}){cure}")


def _widened(values: np.ndarray, channels: tuple[int, ...]) -> np.ndarray:
    """A grey or coloured image of 16 bits as one with more channels."""
    if values.shape[2:] == channels:
        return values
    colours = np.repeat(values[..., None], 3, -1) if values.ndim == 2 else values
    if channels == (4,):
        return np.concatenate([colours, np.full_like(colours[..., :1], np.iinfo(values.dtype).max)], -1)
    return colours


def _scaled(image: Image.Image, height: int, width: int) -> Image.Image:
    from PIL import Image

    return image.resize((width, height), Image.Resampling.BICUBIC)


def _check_size(header: Header, height: int, width: int) -> None:
    if (height, width) != header.size:
        raise ValueError(f"it is {width}×{height} now and was {_size(header)} before")


def _common_size(paths: Sequence[Path], headers: Sequence[Header], on_mixed_sizes: str, name: str) -> tuple[int, int]:
    """The height and width of every sample of the source."""
    if on_mixed_sizes not in ON_MIXED_SIZES:
        raise unknown_name("on_mixed_sizes", on_mixed_sizes, ON_MIXED_SIZES)
    sizes = Counter(header.size for header in headers)
    (usual, count), *others = sizes.most_common()
    if not others:
        return usual
    heights, widths = np.array([header.size for header in headers]).T
    if on_mixed_sizes == "crop":
        return int(heights.min()), int(widths.min())
    if on_mixed_sizes == "resize":
        return usual if 2 * count > len(headers) else (int(np.median(heights)), int(np.median(widths)))
    one, other = (next(i for i, h in enumerate(headers) if h.size == size) for size in (usual, others[0][0]))
    raise ReadingError(
        f"{name} has images of {len(sizes)} sizes, as {paths[one]} ({_size(headers[one])}) and {paths[other]} "
        f"({_size(headers[other])})",
        f"read them with isthmus.open_source({name!r}, on_mixed_sizes='crop') (the middle of each, as large as the "
        "smallest) or 'resize' (all scaled to the usual size)",
        "choose --mixed-sizes crop (the middle of each, as large as the smallest) or resize (all scaled to the usual "
        "size)",
    )


def _size(header: Header) -> str:
    return f"{header.width}×{header.height}"
