"""Writes the golden archives that are not there yet; every later version must read them all.

python tests/golden/make.py
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.compression.coding.models import MODELS, example, lossy_model, two_part_model  # noqa: E402
from tests.compression.coding.test_archive import written  # noqa: E402

from isthmus.compression.coding import chunks  # noqa: E402
from isthmus.compression.coding.archive import Writer  # noqa: E402
from isthmus.compression.coding.chunks import Member  # noqa: E402
from isthmus.compression.coding.model import CodecModel  # noqa: E402


def main() -> None:
    for version in (1, 2):
        digests = {}
        for name in ("levels", "colour", "16 bits"):
            members = [Member(image) for image in (*example(name, 5, 9, 8), *example(name, 2, 4, 11))]
            if version == 2:  # coded in pieces, and with what files hold around their pixels
                members += [Member(example(name, 1, *size)[0]) for size in ((300, 2), (3, 290))]
                members.append(
                    Member(example(name, 1, 6, 5)[0], ("a.png", "png"), None, {"before": "AAE=", "png": True})
                )
            path = HERE / f"v{version}-{name.replace(' ', '-')}.isth"
            _write(path, written(members, model=MODELS[name], embed=True))
            plain = b"".join(member.image.tobytes() for member in members if member.image is not None)
            digests[path.name] = {"samples": len(members), "sha256": hashlib.sha256(plain).hexdigest()}
        (HERE / f"v{version}.json").write_text(json.dumps(digests, indent=2) + "\n")
    _lossy("lossy", lossy_model(), example("grey", 3, 13, 18), (0.7,))
    _lossy("two-parts", two_part_model(), example("levels", 6, 8, 8), (0.1, 0.5, 0.9))  # one part, both, the other


def _lossy(name: str, model: CodecModel, images: np.ndarray, dials: Sequence[float]) -> None:
    """With loss: the archive, a chunk for each place of the dial, and the pixels that it had when it was written."""
    file, pixels, decoded = io.BytesIO(), io.BytesIO(), []
    writer = Writer(file, model.id, model=model.to_bytes())
    for dial in dials:
        for group in chunks.grouped(Member(image) for image in images):
            for chunk in chunks.encode(group, model.coding, dial):
                writer.add(replace(chunk, first=writer.count))
                decoded.append(chunks.decode(chunk, model.coding))
    writer.finish({"model": "m"})
    np.save(pixels, np.concatenate(decoded))
    if _write(HERE / f"v1-{name}.isth", file.getvalue()):
        (HERE / f"v1-{name}.npy").write_bytes(pixels.getvalue())


def _write(path: Path, data: bytes) -> bool:
    """Write a file that does not exist; an archive of the past stays as it is."""
    if path.exists():
        return False
    return bool(path.write_bytes(data))


if __name__ == "__main__":
    main()
