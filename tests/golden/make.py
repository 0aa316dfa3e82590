"""Writes the golden archives, once for each version of the format; every later version must read them all.

python tests/golden/make.py
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "coding"))

from models import MODELS, example, lossy_model  # noqa: E402
from test_archive import written  # noqa: E402

from isthmus.coding import chunks  # noqa: E402
from isthmus.coding.archive import VERSION, Writer  # noqa: E402
from isthmus.coding.chunks import Sample  # noqa: E402


def main() -> None:
    digests = {}
    for name in ("levels", "colour", "16 bits"):
        images = list(example(name, 5, 9, 8)) + list(example(name, 2, 4, 11))
        path = HERE / f"v{VERSION}-{name.replace(' ', '-')}.isth"
        path.write_bytes(written([Sample(image) for image in images], model=MODELS[name], embed=True))
        plain = io.BytesIO(b"".join(image.tobytes() for image in images)).getvalue()
        digests[path.name] = {"samples": len(images), "sha256": hashlib.sha256(plain).hexdigest()}
    _lossy()
    (HERE / f"v{VERSION}.json").write_text(json.dumps(digests, indent=2) + "\n")


def _lossy() -> None:
    """With loss: the archive, and the pixels that it had when it was written."""
    model, images, file = lossy_model(), example("grey", 3, 13, 18), io.BytesIO()
    writer = Writer(file, model.id, model=model.to_bytes())
    for group in chunks.grouped(Sample(image) for image in images):
        for chunk in chunks.encode(group, model.coder, 0.7):
            writer.add(chunk)
            np.save(HERE / f"v{VERSION}-lossy.npy", chunks.decode(chunk, model.coder))
    writer.finish({"model": "m"})
    (HERE / f"v{VERSION}-lossy.isth").write_bytes(file.getvalue())


if __name__ == "__main__":
    main()
