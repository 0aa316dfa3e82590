"""Reading an archive: its samples one after the other, or one of them alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from isthmus.compression.coding import chunks
from isthmus.compression.coding.archive import Reader
from isthmus.compression.coding.chunk import Chunk, which
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.parallel import in_parallel
from isthmus.errors import IsthmusError
from isthmus.spec import is_integer

FREE, A_BYTE = 1 << 22, 1 << 12  # values
_USUAL_MODEL = 1 << 23  # bytes: those that training makes have fewer


class Allowance:
    """How much work an archive may ask for, counted in values of pixels; steps of coding count as some, too.

    max_pixels : what whoever reads it allows; None for what its bytes make likely, `FREE` and `A_BYTE` for each byte of
    its chunks. A photograph takes a byte for a few values, a page of text for some hundreds; only large images of
    nothing at all take fewer bytes than this.
    """

    def __init__(self, model: CodecModel, max_pixels: int | None = None) -> None:
        if max_pixels is not None and not (is_integer(max_pixels) and max_pixels >= 1):
            raise IsthmusError(f"max_pixels (={max_pixels!r}) must be a whole number of at least 1")
        self._most, self.asked, self._bytes = max_pixels, 0, 0
        self._factor = 1 + model.nbytes // _USUAL_MODEL  # how much longer a value takes with a large model

    def charge(self, chunk: Chunk) -> Chunk:
        """The chunk; IsthmusError where the archive has asked for too much with it."""
        self._bytes += len(chunk.data)
        self.asked += self._factor * chunk.work
        likely = FREE + A_BYTE * self._bytes
        if self.asked <= (likely if self._most is None else self._most):
            return chunk
        reason = (
            f"max_pixels is {self._most:,}"
            if self._most is not None
            else f"the archive asks for more pixels than the {likely:,} that so few bytes make likely; if you trust "
            f"it, allow more with max_pixels (--max-pixels)"
        )
        raise IsthmusError(f"{which(chunk.first, chunk.count)} left out, and what follows: {reason}")


def needed_max_pixels(reader: Reader, model: CodecModel) -> int | None:
    """What `max_pixels` must be to read an archive; None where it may be left out."""
    allowance, is_likely = Allowance(model), True
    for number in range(len(reader.chunks)):
        try:
            allowance.charge(reader.chunk(number))
        except IsthmusError:
            is_likely = False
    return None if is_likely else allowance.asked


def read_images(
    reader: Reader,
    model: CodecModel,
    on_damage: Callable[[IsthmusError], None] | None = None,
    max_pixels: int | None = None,
) -> Iterator[tuple[Chunk, int, np.ndarray]]:
    """The samples of an archive in order, each with its chunk and its number in it; bands are put together.

    What is damaged is reported to `on_damage` and left out; without that, IsthmusError is raised. max_pixels : see
    `Allowance`; where an archive asks for more, nothing after that is read.
    """
    coding, allowance = model.coding, Allowance(model, max_pixels)

    def charged() -> Iterator[Chunk | IsthmusError]:
        for number in range(len(reader.chunks)):
            try:
                chunk = reader.chunk(number)
            except IsthmusError as error:
                yield error
                continue
            try:
                allowance.charge(chunk)
            except IsthmusError as error:
                yield error
                return
            yield chunk

    def decoded(chunk: Chunk | IsthmusError) -> tuple[Chunk, np.ndarray] | IsthmusError:
        if isinstance(chunk, IsthmusError):
            return chunk
        try:
            return chunk, chunks.decode(chunk, coding)
        except IsthmusError as error:
            return error

    def intact() -> Iterator[tuple[Chunk, np.ndarray]]:
        for found in in_parallel(decoded, charged()):
            if not isinstance(found, IsthmusError):
                yield found
            elif on_damage is None:
                raise found
            else:
                on_damage(found)

    return _samples(intact())


def read_one(
    reader: Reader, model: CodecModel, sample: int, max_pixels: int | None = None
) -> tuple[Chunk, int, np.ndarray]:
    """One sample as `read_images` gives it; no chunk but its own is read."""
    allowance = Allowance(model, max_pixels)
    following = map(reader.chunk, range(reader.holding(sample), len(reader.chunks)))
    own = itertools.takewhile(lambda chunk: chunk.first <= sample, following)  # one, or the bands of one image
    decoded = ((chunk, chunks.decode(allowance.charge(chunk), model.coding)) for chunk in own)
    for chunk, within, image in _samples(decoded):
        if chunk.first + within == sample:
            return chunk, within, image
    raise IsthmusError(f"sample {sample:,} is damaged: a part of it is missing")


def _samples(decoded: Iterable[tuple[Chunk, np.ndarray]]) -> Iterator[tuple[Chunk, int, np.ndarray]]:
    """Every sample of successive chunks; an image of which a band is missing is left out."""
    first: Chunk | None = None  # chunk of the uppermost band of an image
    bands: list[np.ndarray] = []
    for chunk, images in decoded:
        if chunk.band is None:
            yield from ((chunk, i, image) for i, image in enumerate(images))
            continue
        top, height = chunk.band
        if top == 0:
            first, bands = chunk, []
        if first is None or (chunk.first, top) != (first.first, sum(map(len, bands))):
            continue
        bands.append(images[0])
        if top + len(images[0]) == height:
            yield first, 0, np.concatenate(bands)
