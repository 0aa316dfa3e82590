"""Samples come back in order, from many threads, with little in memory, and never put together wrongly."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator

import numpy as np
import pytest
from tests.compression.coding.models import example, levels_model

from isthmus.compression.coding import chunks
from isthmus.compression.coding.archive import Reader, Writer
from isthmus.compression.coding.chunk import Chunk
from isthmus.compression.coding.chunks import Member
from isthmus.compression.coding.parallel import in_parallel
from isthmus.compression.coding.reading import read_images, read_one
from isthmus.errors import IsthmusError

MODEL = levels_model()
IMAGES = [example("levels", 1, 13, 8, seed)[0] for seed in range(3)]


@pytest.fixture
def banded(monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    """Three images of 13 rows, in bands of 5, 5 and 3."""
    monkeypatch.setattr(chunks, "MOST_VALUES", 60)
    monkeypatch.setattr(chunks, "_USUAL_VALUES", 40)
    members = [Member(image, (f"{number}.png", "png")) for number, image in enumerate(IMAGES)]
    return [chunk for group in chunks.grouped(members) for chunk in chunks.encode(group, MODEL.coding)]


def archive_of(some: list[Chunk], *, directory: bool = True) -> Reader:
    file = io.BytesIO()
    writer = Writer(file, MODEL.id)
    for chunk in some:
        writer.add(chunk)
    writer.finish({"model": "m"})
    if not directory:
        file.seek(-4, io.SEEK_END)
        file.write(b"????")
    return Reader(file)


def test_bands_are_put_together_and_keep_their_name(banded: list[Chunk]) -> None:
    reader = archive_of(banded)
    found = list(read_images(reader, MODEL))
    assert [chunk.names[within][0] for chunk, within, _ in found] == ["0.png", "1.png", "2.png"]
    for number, (_, _, image) in enumerate(found):
        np.testing.assert_array_equal(image, IMAGES[number])
        chunk, within, alone = read_one(reader, MODEL, number)
        assert chunk.names[within] == (f"{number}.png", "png")
        np.testing.assert_array_equal(alone, IMAGES[number])


def test_an_image_without_one_of_its_bands_is_left_out(banded: list[Chunk]) -> None:
    # The rest of the first image and the beginning of the second are lost, and nothing says that they were there.
    reader = archive_of([banded[0], *banded[4:]], directory=False)
    assert reader.damaged
    ((_, _, image),) = read_images(reader, MODEL)
    np.testing.assert_array_equal(image, IMAGES[2])
    with pytest.raises(IsthmusError, match="sample 0 is damaged"):
        read_one(reader, MODEL, 0)


def test_only_a_few_items_are_in_memory_and_they_keep_their_order() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    for number, result in enumerate(in_parallel(lambda item: item * item, items())):
        assert result == number * number
        time.sleep(0.001)  # whoever takes the results is slow
        assert len(taken) <= number + 1 + (os.cpu_count() or 1)
    assert len(taken) == 100
