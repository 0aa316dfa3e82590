"""The report of a codec: bytes of real archives beside those of general formats, and what comes back."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from isthmus.compression.formats import lossless_bytes, lossy_curves
from isthmus.data.base import evenly_spread
from isthmus.data.scaling import unit_of
from isthmus.evaluation.figures.charts import loss_curves
from isthmus.evaluation.figures.plain_charts import Curve, bars, curves
from isthmus.evaluation.figures.sample_rows import COLUMNS, SampleRow, as_cell, sample_rows
from isthmus.evaluation.figures.style import Plate
from isthmus.evaluation.metrics import decibels
from isthmus.evaluation.page import Headline, Row, Section, Table, times_smaller, training_headline, write_page
from isthmus.evaluation.some_samples import SomeSamples, some_samples
from isthmus.evaluation.theme import number
from isthmus.remote.paths import as_path
from isthmus.words import count

_MOST_IMAGES = 2_000
_MOST_VALUES = {"lossless": 1 << 23, "lossy": 1 << 21}  # that are measured: seconds, and tens of seconds
_ALONE = 49  # images that are also compressed each by itself
_QUALITIES = (10, 25, 50, 75, 90)
_SHOWN = (90, 50, 10)  # qualities of which images are shown
_MIDDLE = 50  # the quality that the headlines are about
_OTHERS = (5, 10, 20, 35, 50, 65, 80, 90, 95)  # qualities of the other formats


class Compressor(Protocol):
    """What the report needs to know about a codec."""

    history_: list[dict[str, Any]]
    model_: Any

    def compress(self, X: Any, *, quality: float | None = None) -> bytes:
        """An archive."""

    def decompress(self, data: bytes) -> Any:
        """The images of an archive."""

    def describe(self) -> dict[str, str]:
        """The codec in words."""


def report(
    codec: Compressor,
    X: Any,
    folder: str | Path,
    *,
    title: str | None = None,
    saved_as: str | Path | None = None,
) -> Path:
    """Measure a codec on images, write ``report.html`` and ``figures/*.png`` into `folder`, return the report's path.

    X : images that the codec was not trained on, in any form that it takes; at most 2,000 of them, and 8 million
        values (2 million with loss, at five qualities) are measured.
    title : by default the folder's name. saved_as : folder of the saved codec, for the lines that show how to use it;
        by default `folder`.

    Raises IsthmusError where images cannot be read or are of a kind that a codec does not take.
    """
    folder, lossy = as_path(folder), codec.model_.kind == "lossy"
    some = some_samples(X, _MOST_IMAGES, _MOST_VALUES["lossy" if lossy else "lossless"])
    headlines, sections = _with_loss(codec, some) if lossy else _without_loss(codec, some)
    learned = loss_curves(codec.history_, "bits and error" if lossy else "bits per value", wide=True)
    if learned is not None:
        sections.append(Section("How it learned", [learned]))
    n = len(some.arrays)
    return write_page(
        folder / "report.html",
        title=title or folder.resolve().name,
        data=some.name,
        lead=f"A {'lossy' if lossy else 'lossless'} codec on images of {some.shape}, {some.arrays[0].dtype}, measured "
        f"on {count(n, 'image')}",
        headlines=headlines + training_headline(codec.history_),
        sections=[*sections, _model_section(codec, as_path(saved_as or folder).resolve().name, lossy)],
        footer=f"Measured on {f'{n:,} of the' if n < some.given else 'all'} {count(some.given, 'image')}: bytes of "
        "real archives, which hold everything but the model. Who reads them needs that once, "
        f"{codec.model_.nbytes:,} bytes. The other formats hold the images below each other in few large files.",
    )


def _without_loss(codec: Compressor, some: SomeSamples) -> tuple[list[Headline], list[Section]]:
    ours = len(codec.compress(some.arrays))
    others = dict(sorted(lossless_bytes(some.arrays).items(), key=lambda item: item[1]))
    best, least = next(iter(others.items()))
    plain = sum(array.nbytes for array in some.arrays)
    rate = 8 / some.values
    headlines = [
        *_size_headlines(ours, some, f"{best} takes {number(rate * least)}"),
        _beside(least, ours, f"than {best}, the best of {_listed(list(others))}"),
    ]
    sizes = {"this codec": ours, **others, "pixels as they are": plain}
    ahead = min(sizes, key=lambda name: sizes[name])
    rows = [Row(name, _cells(size, some), 0 if name == ahead else None) for name, size in sizes.items()]
    chart = bars(
        "formats",
        f"Bits that a value takes, on average over {count(len(some.arrays), 'image')}; shorter is better.",
        [(name, rate * size) for name, size in sizes.items()],
        "bits per value",
    )
    return headlines, [
        Section("Beside general formats", [chart], Table(("bytes an image", "bits per value"), rows)),
        Section("From the easiest to the hardest", [_easy_and_hard(codec, some)]),
    ]


def _easy_and_hard(codec: Compressor, some: SomeSamples) -> Plate:
    """Images by the bytes that each takes alone."""
    places = evenly_spread(len(some.arrays), _ALONE).tolist()
    sizes = [len(codec.compress([some.arrays[i]])) for i in places]
    order = np.argsort(sizes, kind="stable")
    chosen = order[evenly_spread(len(order), COLUMNS)].tolist()
    images = [some.arrays[places[i]] for i in chosen]
    row = SampleRow(
        "original", "bytes of an archive", lambda theme: _pictures(images), [f"{sizes[i]:,} bytes" for i in chosen]
    )
    caption = (
        f"Of {count(len(places), 'image')}, each in an archive of its own, the easiest on the left and the hardest on "
        "the right. Images that share an archive take fewer bytes each."
    )
    return sample_rows("images", caption, [row])


@dataclass(frozen=True)
class _AtQuality:
    """Images at one quality. errors : mean squared error of each in units of the range, (n,)."""

    size: int
    decoded: list[np.ndarray]
    errors: np.ndarray

    @property
    def psnr(self) -> float:
        """Of the mean error, in decibels."""
        return decibels(float(self.errors.mean()))


def _with_loss(codec: Compressor, some: SomeSamples) -> tuple[list[Headline], list[Section]]:
    measured = {quality: _at(codec, some, quality) for quality in _QUALITIES}
    middle, rate = measured[_MIDDLE], 8 / some.values
    others = {
        name: Curve(name, [rate * size for size, _ in points], [decibels(error) for _, error in points])
        for name, points in lossy_curves(some.arrays, _OTHERS).items()
    }
    headlines = _size_headlines(middle.size, some, f"at quality {_MIDDLE}, {number(middle.psnr)} dB")
    bits = {name: _bits_at(curve, middle.psnr) for name, curve in others.items()}
    known = {name: value for name, value in bits.items() if np.isfinite(value)}
    if known:
        best = min(known, key=lambda name: known[name])
        headlines.append(_beside(known[best], rate * middle.size, f"than {best} with the same error"))
    ours = Curve("this codec", [rate * m.size for m in measured.values()], [m.psnr for m in measured.values()])
    chart = curves(
        "rate",
        f"Quality over size, at qualities {', '.join(map(str, _QUALITIES))} of this codec: farther up and to the left "
        "is better.",
        [_drawable(curve) for curve in (ours, *others.values())],
        "bits per value",
        "peak signal-to-noise ratio, decibels",
    )
    rows = [Row(f"quality {q}", (*_cells(m.size, some), number(m.psnr))) for q, m in measured.items()]
    table = Table(("bytes an image", "bits per value", "PSNR, decibels"), rows)
    return headlines, [
        Section("Size and quality", [chart], table),
        Section("What comes back", [_what_comes_back(some, measured)]),
    ]


def _at(codec: Compressor, some: SomeSamples, quality: int) -> _AtQuality:
    archive = codec.compress(some.arrays, quality=quality)
    decoded = list(codec.decompress(archive))
    errors = [
        float((((np.float64(a) - b) / unit_of(b.dtype)) ** 2).mean()) for a, b in zip(decoded, some.arrays, strict=True)
    ]
    return _AtQuality(len(archive), decoded, np.array(errors))


def _what_comes_back(some: SomeSamples, measured: Mapping[int, _AtQuality]) -> Plate:
    """Originals, and below them what is read from archives of several qualities."""
    order = np.argsort(measured[_MIDDLE].errors, kind="stable")
    chosen = order[evenly_spread(len(order), COLUMNS)].tolist()
    rows = [SampleRow("original", "", lambda theme: _pictures([some.arrays[i] for i in chosen]))]
    for quality in _SHOWN:
        found = measured[quality]
        rows.append(
            SampleRow(
                f"quality {quality}",
                f"{number(found.size / len(some.arrays))} bytes each",
                lambda theme, found=found: _pictures([found.decoded[i] for i in chosen]),  # type: ignore[misc]
                [_in_decibels(found.errors[i]) for i in chosen],
            )
        )
    caption = (
        f"Images by their error at quality {_MIDDLE}, the smallest on the left; below each what an archive of another "
        "quality holds of it, with the peak signal-to-noise ratio."
    )
    return sample_rows("images", caption, rows)


def _size_headlines(size: int, some: SomeSamples, detail: str) -> list[Headline]:
    plain, n = sum(array.nbytes for array in some.arrays), len(some.arrays)
    smaller = f"of {number(plain / n)} bytes of pixels: {number(plain / size)}\u00a0:\u00a01"
    return [
        Headline("An image", number(size / n), "bytes", smaller),
        Headline("A value", number(8 * size / some.values), "bits", detail),
    ]


def _beside(other: float, ours: float, detail: str) -> Headline:
    return Headline("Beside other formats", *times_smaller(other, ours), detail)


def _cells(size: int, some: SomeSamples) -> tuple[str, str]:
    return number(size / len(some.arrays)), number(8 * size / some.values)


def _pictures(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [as_cell(image[..., None] if image.ndim == 2 else image, _ends(image)) for image in images]


def _ends(image: np.ndarray) -> tuple[float, float]:
    """The values of black and white: those of the dtype, and of deep images, which seldom fill it, their own."""
    if image.dtype == np.uint8:
        return 0.0, 255.0
    return float(image.min()), float(max(image.max(), image.min() + 1))


def _in_decibels(error: float) -> str:
    return f"{decibels(error):.1f} dB" if error > 0 else "exact"


def _drawable(curve: Curve) -> Curve:
    """A curve without the places where nothing is lost, which are infinitely far up."""
    kept = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if np.isfinite(y)]
    return Curve(curve.label, [x for x, _ in kept], [y for _, y in kept])


def _bits_at(curve: Curve, psnr: float) -> float:
    """Bits per value at which a format has that quality; NaN where it was not measured so far up or down."""
    points = sorted(zip(curve.y, curve.x, strict=True))
    y, x = [p for p, _ in points], [math.log(b) for _, b in points]
    return math.exp(np.interp(psnr, y, x)) if y and y[0] <= psnr <= y[-1] else math.nan


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _model_section(codec: Compressor, name: str, lossy: bool) -> Section:
    quality = ", quality=50" if lossy else ""
    python = (
        f"from isthmus import Codec\n\ncodec = Codec.load({name!r})\ndata = codec.compress(X{quality})\n"
        f"X2 = codec.decompress(data)"
    )
    model = shlex.quote(name)
    shell = f"isthmus compress {model} photos/ -o photos.isth\nisthmus decompress photos.isth --model {model} -o back/"
    return Section(
        "The codec, and how to use it",
        facts=codec.describe(),
        examples={"In Python": python, "On the command line": shell},
    )
