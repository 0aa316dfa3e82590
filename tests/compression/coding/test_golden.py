"""Archives of earlier versions are read for ever, to the same pixels."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

from isthmus.compression.coding import chunks
from isthmus.compression.coding.archive import Reader
from isthmus.compression.coding.model import CodecModel

GOLDEN = Path(__file__).parents[2] / "golden"
ARCHIVES = {
    name: expected for path in sorted(GOLDEN.glob("v*.json")) for name, expected in json.loads(path.read_text()).items()
}


LOSSY = sorted(path.stem for path in GOLDEN.glob("v*.npy"))


def test_there_are_golden_archives_of_every_kind() -> None:
    kinds = ("levels", "colour", "16-bits")
    assert {f"v{version}-{kind}.isth" for version in (1, 2) for kind in kinds} <= set(ARCHIVES)
    assert {"v1-lossy", "v1-two-parts"} <= set(LOSSY)


@pytest.mark.parametrize("name", ARCHIVES)
def test_golden_archives_are_read(name: str) -> None:
    reader = Reader(io.BytesIO((GOLDEN / name).read_bytes()))
    assert reader.model is not None and not reader.damaged
    model = CodecModel.from_bytes(reader.model)
    assert model.id == reader.model_id
    plain = b"".join(
        image.tobytes()
        for number in range(len(reader.chunks))
        for image in chunks.decode(reader.chunk(number), model.coding)
    )
    assert reader.count == ARCHIVES[name]["samples"]
    assert hashlib.sha256(plain).hexdigest() == ARCHIVES[name]["sha256"]


@pytest.mark.parametrize("name", LOSSY)
def test_golden_archives_with_loss_have_the_same_codes_and_nearly_the_same_pixels(name: str) -> None:
    reader = Reader(io.BytesIO((GOLDEN / f"{name}.isth").read_bytes()))
    assert reader.model is not None and not reader.damaged
    coding = CodecModel.from_bytes(reader.model).coding
    numbers = range(len(reader.chunks))
    images = np.concatenate([chunks.decode(reader.chunk(number), coding) for number in numbers])  # checks the codes
    assert np.abs(images.astype(int) - np.load(GOLDEN / f"{name}.npy")).max() <= 1


def test_the_golden_archive_of_two_parts_uses_both() -> None:
    reader = Reader(io.BytesIO((GOLDEN / "v1-two-parts.isth").read_bytes()))
    assert [reader.chunk(number).data[0] for number in range(len(reader.chunks))] == [0, 255, 1]
