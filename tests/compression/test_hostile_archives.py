"""Archives of strangers: no large work for few bytes, nothing outside the folder, and what is intact comes back."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from tests.hostile.archives import GOLDEN, HEAD, cases, parse, sealed

from isthmus import Codec
from isthmus.compression.coding import reading
from isthmus.compression.coding.archive import Reader
from isthmus.compression.coding.chunk import Chunk
from isthmus.compression.coding.chunks import Member
from isthmus.compression.files import pack, unpack
from isthmus.errors import IsthmusError

CODEC = Codec.load(GOLDEN / "codec-levels" / "model", device="cpu")
TRAILER = bytes(8) + b"HTSI"


def archive(*chunks: Chunk, places: list[list[int]] | None = None) -> bytes:
    """An archive of chunks, with a directory that claims what it likes."""
    head = b"ISTH" + bytes([1, 1]) + CODEC.model_.id
    sections = [(b"C", chunk.to_bytes()) for chunk in chunks]
    directory = zlib.compress(json.dumps({"chunks": places or []}).encode())
    return sealed(head, [*sections, (b"D", directory)], TRAILER)


def plain(value: int, side: int = 2048) -> Chunk:
    """A chunk of many equal pixels in few bytes."""
    import lzma

    pixels = np.full((1, side, side), value, np.uint8)
    data = lzma.compress(pixels.tobytes(), format=lzma.FORMAT_ALONE)
    return Chunk(0, "xz", pixels.shape, "uint8", (), zlib.crc32(pixels.tobytes()), data)


@pytest.mark.parametrize(
    "places", [[[HEAD, 1]] * 1000, [[HEAD, 1]] * 100_000, [[1 << 70, 1]], [[HEAD, 1 << 70]], [[5, 1]]]
)
def test_a_directory_that_does_not_fit_is_refused(places: list[list[int]]) -> None:
    reader = Reader(io.BytesIO(archive(plain(0, 64), places=places)))
    assert len(reader.chunks) == 1 and "directory is damaged" in reader.damaged[0]


def test_long_thin_images_in_few_bytes_are_charged_for_before_they_are_decoded() -> None:
    thin = Chunk(0, "model", (1, 1, 1 << 22), "uint8", (), 0, b"123")
    data = archive(thin, places=[[HEAD, 1]])
    with pytest.raises(IsthmusError, match="max_pixels"):
        CODEC.decompress(data)


def test_max_pixels_allows_more_and_less() -> None:
    images = np.zeros((3, 64, 64), np.uint8)
    data = CODEC.compress(images)
    np.testing.assert_array_equal(CODEC.decompress(data, max_pixels=10**9), images)
    with pytest.raises(IsthmusError, match="max_pixels is 100"):
        CODEC.decompress(data, max_pixels=100)


def test_whoever_writes_an_archive_is_told_what_allows_to_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "blank.npy", np.zeros((3, 64, 64), np.uint8))
    assert not pack(CODEC, [str(tmp_path / "blank.npy")], tmp_path / "a.isth", embed_model=True).notes
    monkeypatch.setattr(reading, "FREE", 100)
    monkeypatch.setattr(reading, "A_BYTE", 1)
    (note,) = pack(CODEC, [str(tmp_path / "blank.npy")], tmp_path / "a.isth", embed_model=True).notes
    most = int(note.rpartition("--max-pixels ")[2])
    assert unpack(tmp_path / "a.isth", tmp_path / "out", max_pixels=most - 1).problems
    assert unpack(tmp_path / "a.isth", tmp_path / "all", max_pixels=most).samples == 3


def test_nothing_is_written_through_links_and_hidden_names_only_when_asked_for(tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (out / "link").symlink_to(outside)
    (out / "file").symlink_to(outside / "file")
    names = ["link/evil", "file", ".bashrc", "a/.ssh/key", "../evil", "/evil", "C:/evil", "fine"]
    with (tmp_path / "a.isth").open("wb") as file:
        CODEC.write(file, [Member(None, (name, ""), name.encode()) for name in names], embed_model=True)
    unpacked = unpack(tmp_path / "a.isth", out, overwrite=True)
    assert unpacked.samples == 2 and len(unpacked.problems) == 6
    assert not list(outside.iterdir()) and not (out / "file").is_symlink() and (out / "fine").read_bytes() == b"fine"
    assert unpack(tmp_path / "a.isth", tmp_path / "all", hidden=True).samples == 5  # "link" is no link there
    assert (tmp_path / "all" / ".bashrc").exists()


def test_a_side_that_webp_does_not_hold_becomes_a_png(tmp_path: Path) -> None:
    members = [Member(np.zeros((1, 16_384), np.uint8), ("wide.webp", "webp")), Member(None, ("b", ""), b"b")]
    with (tmp_path / "a.isth").open("wb") as file:
        CODEC.write(file, members, embed_model=True)
    assert unpack(tmp_path / "a.isth", tmp_path / "out").samples == 2
    assert (tmp_path / "out" / "wide.webp.png").exists()


def test_sections_of_an_archive_can_be_sealed_again() -> None:
    """What the cases below are made with."""
    data = CODEC.compress(np.zeros((3, 8, 8), np.uint8), embed_model=True)
    sections, tail = parse(data)
    assert sealed(data[:HEAD], sections, tail) == data


def test_altered_archives_end_in_our_error_or_the_exact_data() -> None:
    source, outcomes = cases(np.random.default_rng(5)), set()
    for _ in range(150):
        _, data, read = next(source)
        try:
            read(data)
            outcomes.add("read")
        except IsthmusError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
