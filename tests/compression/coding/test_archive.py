"""The archive: random access, damage that is found and survived, hostile files that are refused."""

from __future__ import annotations

import contextlib
import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.compression.coding.models import MODELS, example, levels_model

from isthmus.compression.coding import chunks
from isthmus.compression.coding.archive import Reader, Writer
from isthmus.compression.coding.chunk import Chunk, varint
from isthmus.compression.coding.chunks import Member, grouped
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.tiles import cut, tile_of, together
from isthmus.errors import IsthmusError

MODEL = levels_model()


def written(samples: list[Member], *, model: CodecModel = MODEL, directory: bool = True, embed: bool = False) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, model.id, model=model.to_bytes() if embed else None)
    for group in grouped(samples):
        for chunk in chunks.encode(group, model.coding):
            writer.add(chunk)
    writer.finish({"model": "m"} if directory else {})
    return file.getvalue()


def read(data: bytes, model: CodecModel = MODEL) -> tuple[list[np.ndarray], list[str]]:
    reader = Reader(io.BytesIO(data))
    images, damaged = [], list(reader.damaged)
    for number in range(len(reader.chunks)):
        try:
            images += list(chunks.decode(reader.chunk(number), model.coding))
        except IsthmusError as error:
            damaged.append(str(error))
    return images, damaged


def three_chunks() -> list[Member]:
    shapes = [(9, 8), (9, 8), (7, 5), (9, 8)]
    return [Member(example("levels", 1, *shape, seed)[0]) for seed, shape in enumerate(shapes)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        hnp.arrays(
            st.sampled_from([np.uint8, np.uint16, np.bool_]),
            hnp.array_shapes(min_dims=2, max_dims=3, max_side=6),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["levels", "colour", "16 bits"]),
)
def test_any_images_come_back_whatever_the_model(images: list[np.ndarray], name: str) -> None:
    back, damaged = read(written([Member(image) for image in images], model=MODELS[name]), MODELS[name])
    assert not damaged
    for image, other in zip(images, back, strict=True):
        assert other.dtype == image.dtype
        np.testing.assert_array_equal(other, image)


@pytest.mark.parametrize("directory", [True, False])
def test_one_sample_is_found_without_the_others(directory: bool) -> None:
    samples = three_chunks()
    reader = Reader(io.BytesIO(written(samples, directory=directory)))
    assert reader.count == 4
    for number, sample in enumerate(samples):
        chunk = reader.chunk(reader.holding(number))
        image = chunks.decode(chunk, MODEL.coding)[number - chunk.first]
        np.testing.assert_array_equal(image, sample.image)
    with pytest.raises(IsthmusError, match="there is no sample 4"):
        reader.holding(4)


def test_what_is_intact_is_read_and_what_is_not_is_named() -> None:
    samples = three_chunks()
    data = written(samples)
    offset = Reader(io.BytesIO(data)).chunks[1][0]
    broken = bytearray(data)
    broken[offset + 20] ^= 1
    images, damaged = read(bytes(broken))
    assert damaged == ["sample 2 is damaged"]
    assert len(images) == 3
    np.testing.assert_array_equal(images[2], samples[3].image)


def test_without_its_directory_a_damaged_archive_is_searched() -> None:
    samples = three_chunks()
    data = written(samples)
    places = [offset for offset, _, _ in Reader(io.BytesIO(data)).chunks]
    broken = bytearray(data[: places[2] + 5])  # the end is missing, and so is the directory
    images, damaged = read(bytes(broken))
    assert len(images) == 3 and damaged == ["bytes after sample 2 are damaged or missing"]
    broken = bytearray(data)
    broken[places[1] + 20] ^= 1
    broken[-20] ^= 1  # in the directory
    images, damaged = read(bytes(broken))
    assert len(images) == 3 and damaged == ["sample 2 is damaged or missing"]


def test_large_images_are_cut_into_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MOST_VALUES", 60)
    monkeypatch.setattr(chunks, "_USUAL_VALUES", 40)
    image = example("levels", 1, 13, 8)[0]
    reader = Reader(io.BytesIO(written([Member(image), Member(image[:2])])))
    assert [reader.chunk(i).band for i in range(4)] == [(0, 13), (5, 13), (10, 13), None]
    assert reader.count == 2
    with pytest.raises(IsthmusError, match="a row of 61 values"):
        written([Member(np.zeros((2, 61), np.uint8))])


@pytest.mark.parametrize("name", ["levels", "grey", "colour", "16 bits"])
@pytest.mark.parametrize("shape", [(1, 700, 3), (2, 3, 1000), (1, 900, 1)])
def test_long_narrow_images_are_coded_in_pieces(name: str, shape: tuple[int, int, int]) -> None:
    images, model = example(name, *shape), MODELS[name]
    data = written([Member(image) for image in images], model=model)
    tile = tile_of(images.shape)
    assert tile is not None and max(tile) < 100
    np.testing.assert_array_equal(together(cut(images, tile), images.shape, tile), images)
    chunk = Reader(io.BytesIO(data)).chunk(0)
    assert chunk.tile == (tile if chunk.method == "model" else None)
    assert data[4] == (2 if chunk.method == "model" else 1), "older versions must refuse what they cannot read"
    np.testing.assert_array_equal(read(data, model)[0], images)


def test_usual_images_are_coded_whole_and_in_the_first_version() -> None:
    assert tile_of((1, 4 * 64, 3)) is None and tile_of((1, 900, 300)) is None
    assert written(three_chunks())[4] == 1


def test_the_model_travels_inside() -> None:
    reader = Reader(io.BytesIO(written(three_chunks(), embed=True)))
    assert reader.model is not None
    assert CodecModel.from_bytes(reader.model).id == MODEL.id == reader.model_id


@pytest.mark.parametrize("directory", [True, False])
def test_random_damage_is_an_error_or_does_no_harm(directory: bool) -> None:
    samples = three_chunks() if directory else three_chunks()[:2]  # a lone chunk needs no directory
    data, rng = written(samples, directory=directory, embed=directory), np.random.default_rng(0)
    originals = {sample.image.tobytes() for sample in samples}
    for _ in range(700):
        broken = _mutated(data, rng)
        with contextlib.suppress(IsthmusError):
            images, damaged = read(broken)
            assert all(image.tobytes() in originals for image in images)
            assert len(images) == len(samples) or damaged


def _mutated(data: bytes, rng: np.random.Generator) -> bytes:
    broken = bytearray(data)
    kind = rng.integers(0, 5)
    at, other = sorted(rng.integers(0, len(data), 2).tolist())
    if kind == 0:
        broken[at] ^= 1 << int(rng.integers(0, 8))
    elif kind == 1:
        del broken[at:]
    elif kind == 2:
        del broken[at:other]
    elif kind == 3:
        broken[at:at] = broken[at:other]
    else:
        broken[at : at + 9] = b"\xff" * 8 + b"\x7f"  # a size of 2^63
    return bytes(broken)


def _payload(numbers: list[int], rest: bytes) -> bytes:
    return b"".join(map(varint, numbers)) + rest


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        _payload([0, 0, 0, 3, 1 << 62, 1 << 62, 5, 0], b"abcd"),
        _payload([0, 0, 0, 3, 0, 9, 8, 0], b"abcd"),
        _payload([0, 9, 0, 3, 1, 9, 8, 0], b"abcd"),
        _payload([0, 16, 0, 3, 1, 9, 8, 5, 6, 0], b"abcd"),
        _payload([0, 0, 0, 3, 1, 9, 8, 30], zlib.compress(b"[" * 100_000)),
        _payload([0, 0, 0, 3, 1, 9, 8, 20], zlib.compress(bytes(1 << 26))[:20]),
    ],
)
def test_impossible_chunks_are_refused(payload: bytes) -> None:
    with pytest.raises(IsthmusError, match="a chunk makes no sense"):
        Chunk.from_bytes(payload)


def test_small_chunks_do_not_unpack_to_gigabytes() -> None:
    import lzma

    bomb = lzma.compress(bytes(1 << 26), format=lzma.FORMAT_ALONE)
    chunk = Chunk(0, "xz", (1, 9, 8), "uint8", (), 0, bomb)
    with pytest.raises(IsthmusError, match="sample 0 is damaged"):
        chunks.decode(chunk, MODEL.coding)


@pytest.mark.parametrize(("data", "message"), [(b"", "begins with the bytes none"), (b"\x89PNG....", "89 50 4e 47")])
def test_other_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        Reader(io.BytesIO(data))


def test_newer_versions_are_refused() -> None:
    data = bytearray(written(three_chunks()))
    data[4] = 9
    with pytest.raises(IsthmusError, match="version 9"):
        Reader(io.BytesIO(bytes(data)))
