"""Reading an archive: its samples one after the other, or one of them alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from isthmus.compression.coding import chunks
from isthmus.compression.coding.archive import Reader
from isthmus.compression.coding.chunk import Chunk
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.parallel import in_parallel
from isthmus.errors import IsthmusError


def read_images(
    reader: Reader, model: CodecModel, on_damage: Callable[[IsthmusError], None] | None = None
) -> Iterator[tuple[Chunk, int, np.ndarray]]:
    """The samples of an archive in order, each with its chunk and its number in it; bands are put together.

    What is damaged is told to `on_damage` and left out; without it, IsthmusError is raised.
    """
    coding = model.coding

    def decoded(number: int) -> tuple[Chunk, np.ndarray] | IsthmusError:
        try:
            chunk = reader.chunk(number)
            return chunk, chunks.decode(chunk, coding)
        except IsthmusError as error:
            return error

    def intact() -> Iterator[tuple[Chunk, np.ndarray]]:
        for found in in_parallel(decoded, range(len(reader.chunks))):
            if not isinstance(found, IsthmusError):
                yield found
            elif on_damage is None:
                raise found
            else:
                on_damage(found)

    return _samples(intact())


def read_one(reader: Reader, model: CodecModel, sample: int) -> tuple[Chunk, int, np.ndarray]:
    """One sample as `read_images` gives it; no chunk but its own is read."""
    following = map(reader.chunk, range(reader.holding(sample), len(reader.chunks)))
    own = itertools.takewhile(lambda chunk: chunk.first <= sample, following)  # one, or the bands of one image
    for chunk, within, image in _samples((chunk, chunks.decode(chunk, model.coding)) for chunk in own):
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
