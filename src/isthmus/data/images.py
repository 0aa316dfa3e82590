"""One image file: what it says of itself, and its pixels with every value that it holds.

Pillow decodes it where that gives all values, tifffile what Pillow cannot or would shorten. What neither can read
faithfully is refused in one line.
"""

from __future__ import annotations

import io
import math
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from isthmus.data.limits import check_expansion
from isthmus.data.reading import reading
from isthmus.errors import IsthmusError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image

JPEG = (".jpg", ".jpeg", ".jfif")
TIFF = (".tif", ".tiff")
SUFFIXES = (".png", *JPEG, ".webp", *TIFF, ".bmp", ".gif")

PILLOW_MODES = {(): "L", (3,): "RGB", (4,): "RGBA"}  # of 8-bit images, by what follows height and width

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")  # Pillow's names; MPO is found as JPEG
_GREY = ("1", "L")
_WITH_ALPHA = ("LA", "PA", "La", "RGBa", "RGBA")
_INTEGERS = {(1, 32): "uint32", (2, 32): "int32", (2, 16): "int16"}  # (sample format, bits) of Pillow's mode "I"
_ANIMATED = ("GIF", "PNG", "WEBP")  # an MPO is a photograph with previews of itself
_SAMPLE_FORMAT, _BITS, _EXTRA_SAMPLES, _PLANAR, _DESCRIPTION = 339, 258, 338, 284, 270  # TIFF tags
_ORIENTATION = 0x0112  # the Exif tag, and the TIFF tag
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # its values -> Pillow's Transpose that undoes them
_AXES = ("YX", "YXS", "SYX")  # tifffile's names for those of a single picture


@dataclass(frozen=True)
class Kind:
    """Of an image's values: their dtype, and what follows height and width in the shape, () or (channels,)."""

    dtype: str
    channels: tuple[int, ...] = ()

    def __str__(self) -> str:
        names = {"uint8": "8-bit", "uint16": "16-bit", "float32": "floating-point"}
        what = {(): "grey", (3,): "colour", (4,): "colour with transparency"}
        channels = "".join(map(str, self.channels))
        return f"{names.get(self.dtype, self.dtype)} {what.get(self.channels, f'with {channels} channels')}"


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before it is decoded; height and width are those of the upright image.

    frames : of an animation or a stack; 1 for a single picture.
    """

    height: int
    width: int
    kind: Kind
    frames: int = 1

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width


def read_header(path: Path) -> Header:
    """The header of an image file, without decoding it; IsthmusError that names it where it cannot be read."""
    from PIL import UnidentifiedImageError

    with reading(path, "an image"):
        try:
            with _opened(path) as image:
                kind, frames = _pillow_kind(image), _frames(image)
                if kind is not None or frames > 1:
                    height, width = image.height, image.width
                    turned = _orientation(image) > 4
                    return Header(*(width, height) if turned else (height, width), kind or Kind("uint8"), frames)
        except UnidentifiedImageError:
            if path.suffix.lower() not in TIFF:
                raise
        return _tifffile_header(path)


def read_image(path: Path) -> np.ndarray:
    """An image file upright, with all that it holds: (height, width), or (height, width, channels)."""
    from PIL import UnidentifiedImageError

    with reading(path, "an image"):
        try:
            with _opened(path) as image:
                if (frames := _frames(image)) > 1:
                    raise _several(path, frames)
                return _turned(stored(image, path), _UPRIGHT.get(_orientation(image)))
        except UnidentifiedImageError:
            if path.suffix.lower() not in TIFF:
                raise
        return _tifffile_pixels(path)


def stored(image: Image.Image, path: Path) -> np.ndarray:
    """The pixels of an opened image file as they are stored, with all that it holds."""
    kind = _pillow_kind(image)
    return _tifffile_pixels(path) if kind is None else _pixels(image, kind, path)


def read_8_bits(path: Path, mode: str, fit: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """An image file upright in Pillow's mode L, RGB or RGBA; 16 bits a channel become 8. fit : what is done to it."""
    from PIL import Image

    with reading(path, "an image"), _opened(path) as opened:
        kind, turn = _pillow_kind(opened), _UPRIGHT.get(_orientation(opened))
        image: Image.Image = opened
        if kind is None or kind.dtype == "uint16":
            image, turn = Image.fromarray(_high_bytes(read_image(path))), None
        image = image if image.mode == mode else image.convert(mode)  # which would copy it
        return np.asarray(fit(image if turn is None else image.transpose(Image.Transpose(turn))))


def from_pillow(image: Image.Image) -> np.ndarray:
    """An image of Pillow's as its file would be read: a bit as 0 or 255, a palette as its colours."""
    kind, name = _pillow_kind(image), getattr(image, "filename", "")
    if kind is None or (kind.channels and kind.dtype == "uint16" and not name):
        raise IsthmusError("this PIL image has values that Pillow shortens; give the path of its file, or an array")
    return _pixels(image, kind, Path(name))


def decoded(content: BinaryIO) -> np.ndarray:
    """An image in an open file as it is stored, with all that it holds; ValueError where Pillow shortens it."""
    with opened_image(content, "the image") as image:
        kind = _pillow_kind(image)
        if kind is None or _frames(image) > 1:
            raise ValueError("it is no single picture that can be read as it is")
        return _pixels(image, kind, content)


@contextmanager
def any_size() -> Iterator[None]:
    """Let Pillow open images of any size: the user's own files are no attack. Threads may be inside together."""
    from PIL import Image

    with _lock:
        _limits.append(_limits[0] if _limits else Image.MAX_IMAGE_PIXELS)
        Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _lock:
            limit = _limits.pop()
            if not _limits:
                Image.MAX_IMAGE_PIXELS = limit


_lock = threading.Lock()
_limits: list[int | None] = []  # Pillow's own, once for each who is inside


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file opened by Pillow."""
    with path.open("rb") as file, opened_image(file, path) as image:
        yield image


@contextmanager
def opened_image(file: BinaryIO, name: Path | str) -> Iterator[Image.Image]:
    """An image in an open file, which may not unpack to far more than it weighs; Pillow opens what `SUFFIXES` say.

    Pillow knows other formats by their content, whatever a file is called, and runs other programs for some of them.
    """
    from PIL import Image

    with any_size(), Image.open(file, formats=_FORMATS) as image:
        place = file.tell()
        size = file.seek(0, 2)
        file.seek(place)
        bits = 16 if image.mode.startswith("I;16") else 32 if image.mode in ("I", "F") else 8
        pixels = image.width * image.height * len(image.getbands())
        check_expansion(name, size, pixels * bits // 8)
        yield image


def _pillow_kind(image: Image.Image) -> Kind | None:
    """What Pillow gives of an opened image without losing anything; None where it would."""
    mode, rawmode = image.mode, _rawmode(image)
    if mode.startswith("I;16"):
        return Kind("uint16")
    if image.format == "TIFF":
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        form, bits, extras = tags.get(_SAMPLE_FORMAT, (1,))[0], max(tags.get(_BITS, (1,))), tags.get(_EXTRA_SAMPLES, ())
        if 0 in extras:  # a band of no colour, which Pillow leaves out
            return None
        if mode == "I":
            return Kind(_INTEGERS[form, bits]) if (form, bits) in _INTEGERS else None
        if bits > 8 and mode != "F":
            whole = mode in ("RGB", "RGBA") and extras in ((), (2,)) and tags.get(_PLANAR, 1) == 1
            return Kind("uint16", (len(mode),)) if whole else None
        if mode == "L" and form == 2:
            return Kind("int8")
    elif rawmode.endswith(";16B"):  # a PNG in colour
        return Kind("uint16", (3,) if mode == "RGB" and "transparency" not in image.info else (4,))
    if mode in ("I", "F"):
        return Kind("int32" if mode == "I" else "float32")
    if mode in _WITH_ALPHA or "transparency" in image.info:
        return Kind("uint8", (4,))
    return Kind("uint8", () if mode in _GREY else (3,))


def _pixels(image: Image.Image, kind: Kind, file: Path | BinaryIO) -> np.ndarray:
    """The values of an opened image, as they are stored."""
    if kind.dtype == "uint8":
        mode = PILLOW_MODES[kind.channels]
        return np.asarray(image if image.mode == mode else image.convert(mode))
    if kind.channels:
        return _deep_colours(image, file)
    return np.asarray(image).astype(kind.dtype)  # from the machine's or another byte order, or wrapped by Pillow


def _high_bytes(values: np.ndarray) -> np.ndarray:
    return (values >> 8).astype(np.uint8) if values.dtype == np.uint16 else values


def _deep_colours(image: Image.Image, file: Path | BinaryIO) -> np.ndarray:
    """16 bits a channel: Pillow keeps one byte of each value, so the image is decoded for the high and the low ones."""
    if _rawmode(image) == "LA;16B":  # a grey value and its alpha are four bytes, as a pixel of RGBA is
        _read_as(image, "RGBA")
        pairs = np.asarray(image).view(">u2").astype(np.uint16)
        grey_and_alpha: np.ndarray = pairs[..., [0, 0, 0, 1]]
        return grey_and_alpha
    key = image.info.get("transparency")
    low = _low_bytes(image, file)
    values: np.ndarray = np.asarray(image).astype(np.uint16) << 8 | low
    if isinstance(key, tuple):  # the one colour that is transparent
        seen = (values != np.array(key, np.uint16)).any(-1, keepdims=True)
        values = np.concatenate([values, np.where(seen, np.uint16(65535), np.uint16(0))], -1)
    return values


def _low_bytes(image: Image.Image, file: Path | BinaryIO) -> np.ndarray:
    """The low bytes of an image of 16 bits a channel: what Pillow takes for the high ones in the other byte order."""
    mode, _, order = _rawmode(image).partition(";")
    native = "16L" if sys.byteorder == "little" else "16B"
    other = {"16L": "16B", "16B": "16L"}[native if order == "16N" else order]
    if not isinstance(file, Path):
        place = file.tell()
        file.seek(0)
        content = io.BytesIO(file.read())
        file.seek(place)
    with _opened(file) if isinstance(file, Path) else opened_image(content, "the image") as again:
        _read_as(again, f"{mode};{other}")
        return np.asarray(again)


def _rawmode(image: Image.Image) -> str:
    """How Pillow unpacks the bytes of an opened image; empty where its format has no choice."""
    tile: Any = getattr(image, "tile", None)
    args = tile[0][3] if tile else ""
    found = args[0] if isinstance(args, tuple) and args else args
    return found if isinstance(found, str) else ""


def _read_as(image: Any, rawmode: str) -> None:
    """Let Pillow unpack an opened image in another way."""
    image.tile = [
        tile._replace(args=rawmode if isinstance(tile.args, str) else (rawmode, *tile.args[1:])) for tile in image.tile
    ]


def _frames(image: Image.Image) -> int:
    """How many images an opened file holds, of a stack or an animation."""
    if image.format == "TIFF":
        return max(getattr(image, "n_frames", 1), _described(image))
    if image.format in _ANIMATED and getattr(image, "is_animated", False):
        return int(getattr(image, "n_frames", 1))
    return 1


def _described(image: Any) -> int:
    """How many images a TIFF file says it holds: ImageJ keeps large stacks as one page, and tifffile on request."""
    about = str(image.tag_v2.get(_DESCRIPTION, ""))
    of_imagej = re.search(r"^images=(\d+)", about, re.M)
    if of_imagej:
        return int(of_imagej[1])
    of_tifffile = re.match(r'\{"shape": \[([\d, ]+)\]', about)
    values = math.prod(map(int, of_tifffile[1].split(","))) if of_tifffile else 1
    page = int(image.width) * int(image.height) * len(image.getbands())
    return max(1, values // page)


def _orientation(image: Image.Image) -> int:
    """The Exif orientation that is still to be applied, 1 to 8."""
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1  # Pillow turns TIFF itself; and it would decode a whole PNG to look for Exif at its end
    orientation: int = image.getexif().get(_ORIENTATION, 1)
    return orientation


def _turned(array: np.ndarray, turn: int | None) -> np.ndarray:
    """An image turned by Pillow's Transpose of that number."""
    match turn:
        case 0:
            return array[:, ::-1]
        case 1:
            return array[::-1]
        case 2 | 3 | 4:
            return np.rot90(array, turn - 1)
        case 5:
            return array.swapaxes(0, 1)
        case 6:
            return np.rot90(array, 2).swapaxes(0, 1)
    return array


def _tifffile_header(path: Path) -> Header:
    """The header of a TIFF file that Pillow would shorten."""
    with _tifffile(path) as file:
        series, turn = _single(file)
        if not file.series:
            raise ValueError("it holds no images")
        if series is None:
            return Header(0, 0, Kind("uint8"), max(2, len(file.pages)))
        check_expansion(path, path.stat().st_size, series.nbytes)
        height, width, *channels = _channels_last(series.shape, series.axes)
        size = (width, height) if turn in (2, 4, 5, 6) else (height, width)
        return Header(*size, Kind(series.dtype.name, tuple(channels)))


def _tifffile_pixels(path: Path) -> np.ndarray:
    """The values of a TIFF file that Pillow would shorten, upright."""
    with _tifffile(path) as file:
        series, turn = _single(file)
        if series is None:
            raise _several(path, len(file.pages))
        check_expansion(path, path.stat().st_size, series.nbytes)
        values = series.asarray()
        if series.axes == "SYX":
            values = np.moveaxis(values, 0, -1)
        return _turned(values.astype(values.dtype.newbyteorder("="), copy=False), turn)


def _tifffile(path: Path) -> Any:
    try:
        import tifffile
    except ImportError as error:
        raise MissingExtraError(f"{path}, whose values Pillow would shorten,", "formats") from error
    return tifffile.TiffFile(path)


def _single(file: Any) -> tuple[Any, int | None]:
    """The only image of an opened TIFF file, and how it is turned; None where it holds several."""
    series = file.series
    if len(series) != 1 or series[0].axes not in _AXES:
        return None, None
    tag = series[0].pages[0].keyframe.tags.get(_ORIENTATION)
    return series[0], None if tag is None else _UPRIGHT.get(int(tag.value))


def _channels_last(shape: tuple[int, ...], axes: str) -> tuple[int, ...]:
    return (*shape[1:], shape[0]) if axes == "SYX" else tuple(shape)


def _several(path: Path, frames: int) -> IsthmusError:
    return IsthmusError(f"{path} holds {frames} images, and a file of one is needed here")
