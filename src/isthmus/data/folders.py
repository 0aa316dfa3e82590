"""Image files and folders of them as sources: PNG, JPEG, WebP, TIFF and BMP, decoded when they are asked for."""

from __future__ import annotations

import copy
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from isthmus.data.base import Source
from isthmus.data.reading import reading
from isthmus.errors import IsthmusError, unknown_name

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")
R = TypeVar("R")

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
ON_MIXED_SIZES = ("refuse", "crop", "resize", "keep")  # the last makes another source: `SampleFiles`
IMAGE_MODES = {"grey": "L", "rgb": "RGB", "rgba": "RGBA"}  # the user's name -> Pillow's

_WIDENING = ("L", "RGB", "RGBA")  # each holds all that the ones before it hold
_DTYPES = {"I;16": np.uint16, "I": np.int32, "F": np.float32}  # modes of grey images that are deeper than 8 bits
_CHANNELS = {"RGB": (3,), "RGBA": (4,)}
_ORIENTATION = 0x0112  # the Exif tag
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # its values -> Pillow's Transpose that undoes them


@dataclass(frozen=True)
class _Header:
    """What an image file says of itself before it is decoded."""

    height: int
    width: int
    mode: str  # one of _WIDENING or of _DTYPES

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width


class ImageFiles(Source):
    """Image files of one size and mode; each is decoded when it is asked for, several at a time.

    Samples are uint8 arrays (height, width) where all images are grey, (height, width, 3) where some are in colour
    and (height, width, 4) where some are transparent; uint16 and float32 where all are 16-bit or floating-point
    grey. 16-bit colour images are read at 8 bits a channel. Exif orientation is applied.

    on_mixed_sizes : what to do where sizes differ. "refuse" raises an error; "crop" cuts the middle of each image
        to the smallest height and the smallest width; "resize" scales each image, without regard to its aspect
        ratio, to the size that more than half of them have, or else to the median height and width.
    image_mode : "grey", "rgb" or "rgba" to read every image so; None for the narrowest mode that holds them all.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        name: str,
        labels: np.ndarray | None = None,
        on_mixed_sizes: str = "refuse",
        image_mode: str | None = None,
    ) -> None:
        headers = _parallel(_header, paths)
        self._mode = _common_mode(paths, headers, image_mode, name)
        self._headers = headers
        self._resize = on_mixed_sizes == "resize"
        height, width = _common_size(paths, headers, on_mixed_sizes, name)
        shape = (len(paths), height, width, *_CHANNELS.get(self._mode, ()))
        dtype = np.dtype(_DTYPES.get(self._mode, np.uint8))
        super().__init__(shape, dtype, name=name, labels=labels, paths=paths)
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

        _parallel(fill, range(len(indices)))
        return block

    def _decode(self, index: int) -> np.ndarray:
        header = self._headers[index]
        return _decoded(self.paths[index], _Header(header.height, header.width, self._mode), self._fitted)

    def _fitted(self, image: Image.Image) -> Image.Image:
        """`image` in the size of the source."""
        height, width = self.shape[1:3]
        if image.size == (width, height):
            return image
        if self._resize:
            from PIL import Image

            return image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))


def image_source(path: Path, **options: Any) -> ImageFiles:
    """One image file, as a source of one sample."""
    return ImageFiles([path], name=str(path), **options)


def folder_source(folder: Path, **options: Any) -> ImageFiles:
    """All images in a folder and its sub-folders, in natural order (2.png before 10.png); others are passed over.

    Where every image lies in a sub-folder, the names of the first-level sub-folders are the labels.
    """
    paths = files_in(folder, SUFFIXES, "images")
    relative = [path.relative_to(folder) for path in paths]
    labels = np.array([path.parts[0] for path in relative]) if all(len(p.parts) > 1 for p in relative) else None
    return ImageFiles(paths, name=str(folder), labels=labels, **options)


def files_in(folder: Path, suffixes: tuple[str, ...], what: str) -> list[Path]:
    """The files of a folder and its sub-folders whose names end so, in natural order; hidden ones are left out.

    what : they hold, for the IsthmusError where there are none.
    """
    paths = sorted(_walk(folder, suffixes), key=_natural)
    if not paths:
        seen = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        holds = f"it holds {', '.join(seen[:4])}{', ...' if len(seen) > 4 else ''}" if seen else "it is empty"
        raise IsthmusError(f"folder {folder} holds no {what} ({', '.join(suffixes)}); {holds}")
    return paths


def read_image(path: Path) -> np.ndarray:
    """An image file as it is, upright: (height, width), or (height, width, 3 or 4) in colour."""
    return _decoded(path, _header(path))


def _walk(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """The files under a folder, through links too, but each folder once; hidden ones are left out."""
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


def _decoded(
    path: Path, expected: _Header, fit: Callable[[Image.Image], Image.Image] = lambda image: image
) -> np.ndarray:
    """An image file in the mode of a header, upright, through `fit`."""
    from PIL import Image

    with reading(path, "an image"), Image.open(path) as opened:
        turn = _UPRIGHT.get(_orientation(opened))
        image = converted(opened, expected.mode)
        if turn is not None:
            image = image.transpose(Image.Transpose(turn))
        if (image.height, image.width) != expected.size:
            raise ValueError(f"it is {image.width}×{image.height} now and was {_size(expected)} before")
        return np.asarray(fit(image))


def _header(path: Path) -> _Header:
    """Size and mode of an image, without decoding it."""
    from PIL import Image

    with reading(path, "an image"), Image.open(path) as image:
        if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
            raise IsthmusError(f"{path} holds several images; give it by itself, not in a folder with others")
        turned = _orientation(image) > 4
        height, width = (image.width, image.height) if turned else (image.height, image.width)
        return _Header(height, width, plain_mode(image))


def plain_mode(image: Image.Image) -> str:
    """The mode in which an image loses nothing, among those we offer."""
    mode = image.mode
    if mode.startswith("I;16"):
        return "I;16"
    if mode in _DTYPES:
        return mode
    if mode in ("LA", "PA", "La", "RGBa", "RGBA") or "transparency" in image.info:
        return "RGBA"
    return "L" if mode in ("1", "L") else "RGB"


def _orientation(image: Image.Image) -> int:
    """The Exif orientation that is still to be applied, 1 to 8."""
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1  # Pillow turns TIFF itself; and it would decode a whole PNG to look for Exif at its end
    orientation: int = image.getexif().get(_ORIENTATION, 1)
    return orientation


def converted(image: Image.Image, mode: str) -> Image.Image:
    """An image in one of the modes that `plain_mode` gives."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)  # in the machine's byte order
        return Image.fromarray(values if mode == "I;16" else (values >> 8).astype(np.uint8)).convert(mode)
    return image if image.mode == mode else image.convert(mode)  # which would copy it


def _common_mode(paths: Sequence[Path], headers: Sequence[_Header], image_mode: str | None, name: str) -> str:
    """The mode of the whole source."""
    if image_mode is not None and image_mode not in IMAGE_MODES:
        raise unknown_name("image_mode", image_mode, IMAGE_MODES)
    first = {header.mode: path for path, header in reversed(list(zip(paths, headers, strict=True)))}
    narrow = set(first) <= {*_WIDENING, "I;16"}
    if image_mode is not None:
        if not narrow:
            odd = next(mode for mode in first if mode in ("I", "F"))
            raise IsthmusError(f"{first[odd]} has values of {_depth(odd)}, which image_mode={image_mode!r} cannot hold")
        return IMAGE_MODES[image_mode]
    if set(first) <= set(_WIDENING):
        return max(first, key=_WIDENING.index)
    if len(first) > 1:
        modes = sorted(first, key=_depth)
        cure = "; image_mode='grey' or 'rgb' reads all of them at 8 bits" if narrow else ""
        raise IsthmusError(
            f"{name} mixes {first[modes[0]]} ({_depth(modes[0])}) and {first[modes[-1]]} ({_depth(modes[-1])}){cure}"
        )
    return next(iter(first))


def _depth(mode: str) -> str:
    return {"I;16": "16-bit grey", "I": "32-bit grey", "F": "floating-point grey"}.get(mode, "8 bits")


def _common_size(paths: Sequence[Path], headers: Sequence[_Header], on_mixed_sizes: str, name: str) -> tuple[int, int]:
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
    raise IsthmusError(
        f"{name} has images of {len(sizes)} sizes, as {paths[one]} ({_size(headers[one])}) and {paths[other]} "
        f"({_size(headers[other])}); choose on_mixed_sizes='crop' "
        "(--mixed-sizes crop; the middle of each, as large as the smallest) or "
        "'resize' (scale all to the usual size)"
    )


def _size(header: _Header) -> str:
    return f"{header.width}×{header.height}"


def _parallel(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`map` on a few threads: Pillow decodes without holding Python's lock."""
    workers = min(os.cpu_count() or 1, 16, len(items))
    if workers < 2:
        return [function(item) for item in items]
    parts = [items[i::workers] for i in range(workers)]
    results: list[Any] = [None] * len(items)
    with ThreadPoolExecutor(workers) as pool:
        for i, part in enumerate(pool.map(lambda part: [function(item) for item in part], parts)):
            results[i::workers] = part
    return results
