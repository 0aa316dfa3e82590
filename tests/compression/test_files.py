"""Files to archives and back, in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from isthmus import Codec, datasets
from isthmus.compression.files import describe, pack, unpack, verify


def test_folders_come_back_as_folders(tmp_path: Path) -> None:
    images = datasets.load("digits").test.images[:6]
    folder = tmp_path / "digits"
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("six digits")
    codec = Codec(epochs=1, random_state=0).fit(datasets.load("digits").train.images)
    archive = tmp_path / "digits.isth"

    packed = pack(codec, [str(folder)], archive, embed_model=True, name="digits")
    assert (packed.samples, packed.plain_bytes) == (7, images.nbytes + len("six digits"))
    assert "7 in" in describe(archive)["samples"]
    assert verify(archive).samples == 7 and not verify(archive).problems

    unpacked = unpack(archive, tmp_path / "back")
    assert unpacked.samples == 7 and not unpacked.problems
    assert (tmp_path / "back" / "notes.txt").read_text() == "six digits"
    for i, image in enumerate(images):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "back" / f"{i}.png")), image)
    assert len(unpack(archive, tmp_path / "back").problems) == 7, "nothing is overwritten unless asked"
