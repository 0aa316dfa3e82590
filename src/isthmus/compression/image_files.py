"""Image files as pixels and what is around them: from both the file comes back, with all that it held.

Pixels are taken out of a file only where the file is proven to come back: a PNG with the same chunks in the same order
(depth, palette, colour space, gamma, Exif, texts, further frames: all but the packing of its pixels), an uncompressed
TIFF or BMP to the byte. Any other file is kept as it is, which is never wrong.
"""

from __future__ import annotations

import base64
import io
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.compression.coding.chunk import MOST_VALUES
from isthmus.data.images import any_size
from isthmus.errors import IsthmusError
from isthmus.typed_json import typed

if TYPE_CHECKING:
    from PIL import Image

_MOST_PADDING = 64  # bytes after a row of pixels: a BMP fills them up to a multiple of 4
_MOST_AROUND = 1 << 15  # bytes of a file that are not pixels: archives keep them in the list of names
_PNG = b"\x89PNG\r\n\x1a\n"
_DEPTH = 24  # where a PNG says how many bits a value has
_PNG_MODES = {(0, 1): "1", (0, 8): "L", (0, 16): "I;16", (2, 8): "RGB", (3, 8): "P", (4, 8): "LA", (6, 8): "RGBA"}
_COLOUR_TYPES = {0: "grey", 2: "colour", 3: "palette", 4: "transparent grey", 6: "transparent colour"}
_BMP_CHANNELS = {"L": 1, "P": 1, "BGR": 3, "BGRX": 4, "BGRA": 4}


@dataclass(frozen=True)
class Frame:
    """What an image file holds around its pixels.

    before, after : the bytes up to the pixels and after them. png : whether the pixels between are those of a PNG; in
    other files they are rows as they are. big_endian, reversed, bgr, padding : how rows are stored: the order of bytes,
    from the bottom up, blue before red, and how many zeros end each. suffix : what the file's name gets where pixels
    come back in another format.
    """

    before: bytes
    after: bytes
    png: bool = False
    big_endian: bool = False
    reversed: bool = False
    bgr: bool = False
    padding: int = 0
    suffix: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON values; what is empty is left out."""
        values = {**vars(self), "before": _text(self.before), "after": _text(self.after)}
        return {name: value for name, value in values.items() if value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Frame:
        """What `to_json` gave."""
        ends = {name: base64.b64decode(typed(values.get(name, ""), str, name)) for name in ("before", "after")}
        frame: Frame = typed({**values, **ends}, Frame, "a frame")
        if not 0 <= frame.padding <= _MOST_PADDING or "/" in frame.suffix:
            raise IsthmusError(f"a frame with {frame.padding:,} zeros after each row, and the suffix {frame.suffix!r}")
        return frame

    def around(self, pixels: np.ndarray) -> bytes:
        """The whole file with other pixels of the same shape and dtype."""
        if self.png:
            one_bit = self.before[_DEPTH] == 1
            return self.before + png_parts(png_file(pixels > 0 if one_bit else pixels))[1] + self.after
        return self.before + self._rows(pixels) + self.after

    def _rows(self, pixels: np.ndarray) -> bytes:
        rows = pixels[::-1] if self.reversed else pixels
        rows = _swapped(rows) if self.bgr else rows
        stored = np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder(">" if self.big_endian else "<")))
        flat = stored.view(np.uint8).reshape(len(rows), -1)
        return np.pad(flat, ((0, 0), (0, self.padding))).tobytes()


@dataclass(frozen=True)
class TakenApart:
    """A file's pixels (height, width[, channels]), uint8 or uint16, and what is around them; None for a PNG that
    `png_file` makes just so."""

    pixels: np.ndarray
    frame: Frame | None


class NotTakenApart(IsthmusError):
    """An image file that is kept as it is; the message says why."""


def take_apart(content: bytes, *, lossy: bool = False) -> TakenApart | None:
    """The pixels of an image file and the rest; None for what is no image, by its first bytes.

    lossy : values that another value near them cannot stand for, as numbers of a palette's colours, are refused; JPEG
    and WebP files give the pixels of a PNG with their Exif data, colour profile, XMP, comment and resolution.
    Raises NotTakenApart for a file that would not come back.
    """
    kinds: dict[bytes, Callable[[bytes, bool], TakenApart]] = {
        _PNG: _take_png,
        b"BM": _take_bmp,
        b"II*\0": _take_tiff,
        b"MM\0*": _take_tiff,
        b"\xff\xd8\xff": _take_lossy,
        b"RIFF": _take_lossy,
    }
    found = next((take for start, take in kinds.items() if content.startswith(start)), None)
    if found is None or (content[:4] == b"RIFF" and content[8:12] != b"WEBP"):
        return None
    try:
        with any_size(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever is odd: it is compared, or kept as it is
            taken = found(content, lossy)
    except NotTakenApart:
        raise
    except Exception as error:  # which types a damaged file raises is up to the decoders
        raise NotTakenApart("damaged") from error
    around = 0 if taken.frame is None else len(taken.frame.before) + len(taken.frame.after)
    if around > _MOST_AROUND:
        raise NotTakenApart(f"more than {_MOST_AROUND >> 10} KiB beside the pixels")
    if taken.pixels[0].size > MOST_VALUES:
        raise NotTakenApart(f"more than {MOST_VALUES:,} values in a row")
    return taken


def png_file(pixels: np.ndarray) -> bytes:
    """The PNG that Pillow makes of pixels (height, width[, 2 to 4])."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def png_parts(content: bytes) -> tuple[bytes, bytes, bytes]:
    """What comes before a PNG's pixels, these (the IDAT chunks), and what comes after them."""
    at, first, last = len(_PNG), 0, 0
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if kind == b"IDAT":
            if first and at != last:
                raise NotTakenApart("pixels in several places")
            first, last = first or at, end
        at = end if kind != b"IEND" else len(content)
    return content[:first], content[first:last], content[last:]


def _take_png(content: bytes, lossy: bool) -> TakenApart:
    depth, colour, _, _, interlaced = struct.unpack_from("BBBBB", content, _DEPTH)
    mode, described = _PNG_MODES.get((colour, depth)), f"{depth}-bit {_COLOUR_TYPES.get(colour, 'unknown')} PNG"
    before, _, after = png_parts(content)
    if mode is None or interlaced:
        raise NotTakenApart(f"interlaced {described}" if mode else described)
    if b"acTL" in before:
        raise NotTakenApart("animated PNG")
    if lossy and (mode in ("1", "P") or b"tRNS" in before):
        raise NotTakenApart(described if mode in ("1", "P") else "PNG with a transparent colour")
    pixels = _decoded(content, "PNG", mode)
    frame = Frame(before, after, png=True)
    plain = png_file(pixels)
    made = plain if png_parts(plain)[::2] == (before, after) else frame.around(pixels)
    if png_parts(made)[::2] != (before, after) or not np.array_equal(_decoded(made, "PNG", mode), pixels):
        raise NotTakenApart(f"a {described} that comes back otherwise")
    return TakenApart(pixels, None if made is plain else frame)


def _take_bmp(content: bytes, lossy: bool) -> TakenApart:
    with _opened(content, "BMP") as image:
        ((codec, (_, _, width, height), offset, (mode, stride, direction)),) = image.tile  # type: ignore[attr-defined]
        coloured = image.mode
    channels = _BMP_CHANNELS.get(mode)
    if codec != "raw" or channels is None:
        raise NotTakenApart(f"BMP of {mode}")
    if lossy and coloured == "P":
        raise NotTakenApart("palette BMP")
    rows = np.frombuffer(content, np.uint8, height * stride, offset).reshape(height, stride)
    pixels = rows[:, : width * channels].reshape(height, width, *((channels,) if channels > 1 else ()))
    pixels = _swapped(pixels) if channels > 1 else pixels
    pixels = pixels[::-1] if direction < 0 else pixels
    before, after = content[:offset], content[offset + rows.size :]
    frame = Frame(before, after, reversed=direction < 0, bgr=channels > 1, padding=stride - width * channels)
    return _to_the_byte(content, pixels, frame, "BMP")


def _take_tiff(content: bytes, lossy: bool) -> TakenApart:
    with _opened(content, "TIFF") as image:
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        pages, big = getattr(image, "n_frames", 1), content[:2] == b"MM"
    width, height, samples = tags[256], tags[257], tags.get(277, 1)
    depths, offsets, sizes = set(tags.get(258, (1,))), tags.get(273), tags.get(279)
    if pages > 1:
        raise NotTakenApart("TIFF of several pages")
    if tags.get(259, 1) != 1 or offsets is None or sizes is None:
        raise NotTakenApart("compressed or tiled TIFF")
    if len(depths) != 1 or not depths <= {8, 16} or (tags.get(284, 1) != 1 and samples > 1):
        raise NotTakenApart(f"{'- and '.join(map(str, sorted(depths)))}-bit TIFF")
    if lossy and (tags[262] not in (0, 1, 2) or tags.get(339, (1,))[0] != 1):
        raise NotTakenApart("TIFF of other values than grey or colour")
    dtype = np.dtype(f"{'>' if big else '<'}u{depths.pop() // 8}")
    if any(a + size != b for a, size, b in zip(offsets, sizes, offsets[1:], strict=False)):
        raise NotTakenApart("TIFF with pixels in several places")
    stored = np.frombuffer(content, dtype, height * width * samples, offsets[0])
    pixels = stored.reshape(height, width, *((samples,) if samples > 1 else ())).astype(dtype.newbyteorder("="))
    frame = Frame(content[: offsets[0]], content[offsets[0] + stored.nbytes :], big_endian=big)
    return _to_the_byte(content, pixels, frame, "TIFF")


def _take_lossy(content: bytes, lossy: bool) -> TakenApart:
    """A JPEG or a WebP file as the PNG that it comes back as."""
    from PIL.PngImagePlugin import PngInfo

    with _opened(content, "WEBP" if content[:4] == b"RIFF" else "JPEG", "MPO") as image:
        kind = str(image.format)
        if not lossy:
            raise NotTakenApart(kind)
        if image.mode not in ("L", "RGB", "RGBA") or getattr(image, "n_frames", 1) > 1:
            raise NotTakenApart(f"{kind} of several images or of {image.mode}")
        info, told = image.info, PngInfo()
        if xmp := info.get("xmp"):
            told.add_itxt("XML:com.adobe.xmp", xmp.decode())
        if comment := info.get("comment"):
            told.add_itxt("Comment", comment.decode(errors="replace"))
        kept = {name: info[name] for name in ("exif", "icc_profile", "dpi") if info.get(name)}
        buffer = io.BytesIO()
        image.save(buffer, "PNG", pnginfo=told, **kept)
        pixels = np.asarray(image)
    before, _, after = png_parts(buffer.getvalue())
    return TakenApart(pixels, Frame(before, after, png=True, suffix=".png"))


def _to_the_byte(content: bytes, pixels: np.ndarray, frame: Frame, kind: str) -> TakenApart:
    if frame.around(pixels) != content:
        raise NotTakenApart(f"a {kind} that does not come back to the byte")
    return TakenApart(np.ascontiguousarray(pixels), frame)


def _opened(content: bytes, *formats: str) -> Image.Image:
    from PIL import Image

    return Image.open(io.BytesIO(content), formats=formats)


def _decoded(content: bytes, kind: str, mode: str) -> np.ndarray:
    with _opened(content, kind) as image:
        image.load()
        if image.mode != mode:
            raise NotTakenApart(f"{kind} of {image.mode}")
        return np.asarray(image.convert("L") if mode == "1" else image)  # black and white as models have learned them


def _swapped(pixels: np.ndarray) -> np.ndarray:
    """Red and blue exchanged."""
    swapped = pixels.copy()
    swapped[..., 0], swapped[..., 2] = pixels[..., 2], pixels[..., 0]
    return swapped


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
