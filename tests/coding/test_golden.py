"""Archives of earlier versions are read for ever, to the same pixels."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

from isthmus.coding import chunks
from isthmus.coding.archive import Reader
from isthmus.coding.model import CodecModel

GOLDEN = Path(__file__).parents[1] / "golden"
ARCHIVES = {
    name: expected for path in sorted(GOLDEN.glob("v*.json")) for name, expected in json.loads(path.read_text()).items()
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_golden_archives_are_read(name: str) -> None:
    reader = Reader(io.BytesIO((GOLDEN / name).read_bytes()))
    assert reader.model is not None and not reader.damaged
    model = CodecModel.from_bytes(reader.model)
    assert model.id == reader.model_id
    plain = b"".join(
        image.tobytes()
        for number in range(len(reader.chunks))
        for image in chunks.decode(reader.chunk(number), model.coder)
    )
    assert reader.count == ARCHIVES[name]["samples"]
    assert hashlib.sha256(plain).hexdigest() == ARCHIVES[name]["sha256"]


def test_a_golden_archive_with_loss_has_the_same_codes_and_nearly_the_same_pixels() -> None:
    for path in sorted(GOLDEN.glob("v*-lossy.isth")):
        reader = Reader(io.BytesIO(path.read_bytes()))
        assert reader.model is not None and len(reader.chunks) == 1
        images = chunks.decode(reader.chunk(0), CodecModel.from_bytes(reader.model).coder)  # checks the codes
        assert np.abs(images.astype(int) - np.load(path.with_suffix(".npy"))).max() <= 1
