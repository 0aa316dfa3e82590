"""Archives of earlier versions are read for ever, to the same pixels."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

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
