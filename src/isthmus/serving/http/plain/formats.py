"""What bodies are written in: media types, suffixes of files, and which of them a client takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from isthmus.serving.http.limits import Refusal


@dataclass(frozen=True)
class Format:
    """media : its type. suffixes : of files; the first is written. others : further names that clients use."""

    media: str
    suffixes: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        return self.suffixes[0]


JSON = Format("application/json", (".json",))
CSV = Format("text/csv", (".csv",))
PARQUET = Format(
    "application/vnd.apache.parquet", (".parquet", ".pq"), ("application/parquet", "application/x-parquet")
)
NPY = Format("application/x-npy", (".npy",), ("application/npy",))
PNG = Format("image/png", (".png",))
JPEG = Format("image/jpeg", (".jpg", ".jpeg", ".jfif"), ("image/jpg",))
TIFF = Format("image/tiff", (".tif", ".tiff"))
WEBP = Format("image/webp", (".webp",))
BMP = Format("image/bmp", (".bmp",), ("image/x-ms-bmp",))
WAV = Format("audio/wav", (".wav",), ("audio/x-wav", "audio/wave", "audio/vnd.wave"))
ARCHIVE = Format("application/x-isthmus", (".isth",), ("application/octet-stream",))
ZIP = Format("application/zip", (".zip",))
MULTIPART = "multipart/form-data"

TABLES = (CSV, PARQUET)
IMAGES = (PNG, JPEG, TIFF, WEBP, BMP)
FILES = (*TABLES, NPY, *IMAGES, WAV)  # that hold samples
_ALL = (JSON, *FILES, ARCHIVE, ZIP)


def format_of(media: str, name: str = "") -> Format | None:
    """The format that a file's name or its media type says; None where neither does.

    >>> format_of("image/png").suffix, format_of("application/octet-stream", "a.jpeg").media
    ('.png', 'image/jpeg')
    """
    suffix, media = PurePosixPath(name).suffix.lower(), media_type(media)
    named = next((one for one in _ALL if suffix in one.suffixes), None)
    return named or next((one for one in _ALL if media == one.media or media in one.others), None)


def media_type(header: str) -> str:
    """A Content-Type without its parameters, in lower case."""
    return header.partition(";")[0].strip().lower()


def chosen(accept: str, possible: Sequence[Format]) -> Format:
    """The one of the possible formats that a client likes best; the first of those that it likes equally.

    accept : the header Accept (RFC 9110, section 12.5.1); empty for anything. Raises `Refusal` where it takes none.

    >>> chosen("text/csv;q=0.5, application/json", [CSV, JSON]).media
    'application/json'
    >>> chosen("image/*", [CSV])
    Traceback (most recent call last):
    isthmus.serving.http.limits.Refusal: the answer can be text/csv; Accept is 'image/*'
    """
    liked = {one: _liking(accept or "*/*", one) for one in possible}
    best = max(liked.values())
    if best <= 0:
        raise Refusal(406, f"the answer can be {', '.join(one.media for one in possible)}; Accept is {accept[:100]!r}")
    return next(one for one in possible if liked[one] == best)


def _liking(accept: str, one: Format) -> float:
    """From 0 to 1, as the most specific of the ranges of an Accept header says."""
    found: tuple[int, float] = (-1, 0.0)
    for text in accept.split(","):
        media, *parameters = (part.strip().lower() for part in text.split(";"))
        for exactness, names in enumerate((("*/*",), (one.media.partition("/")[0] + "/*",), (one.media, *one.others))):
            if media in names and exactness > found[0]:
                found = exactness, _quality(parameters)
    return found[1]


def _quality(parameters: Sequence[str]) -> float:
    text = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    return float(text) if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit() else 0.0
