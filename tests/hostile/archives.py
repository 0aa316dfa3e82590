"""Archives as an attacker would alter them: sections are changed, their checksums made right again."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from tests.hostile.values import altered_json

from isthmus import Codec
from isthmus.compression.coding.archive import Reader
from isthmus.compression.coding.chunk import read_varint, varint
from isthmus.compression.coding.chunks import Member
from isthmus.compression.coding.model import CodecModel
from isthmus.compression.coding.reading import read_images
from isthmus.compression.unpacking import Unpacker

GOLDEN = Path(__file__).parents[1] / "golden" / "models"
CODECS = ("codec-levels", "codec-tones", "codec-lossy-patches", "codec-lossy-two-parts")
HEAD, TRAILER = 14, 12
MAX_PIXELS = 1 << 18  # as a service would allow: no case may take seconds


def cases(rng: np.random.Generator) -> Iterator[tuple[str, bytes, Callable[[bytes], None]]]:
    """Without end: a name, an altered archive, and what reads it (AssertionError: wrong data)."""
    made = [(name, *_archive(name)) for name in CODECS]
    while True:
        name, data, originals = made[int(rng.integers(len(made)))]
        exact = None if "lossy" in name else originals
        yield name, altered(data, rng), partial(read, originals=exact, unpack=bool(rng.random() < 0.1))


def read(data: bytes, *, originals: set[bytes] | None, unpack: bool) -> None:
    """Read all of an archive with the model inside, and write it to a folder that is removed."""
    reader = Reader(io.BytesIO(data))
    inside = reader.model
    if inside is None:
        return
    model = CodecModel.from_bytes(inside)
    with tempfile.TemporaryDirectory() as folder, Unpacker(Path(folder), "a", overwrite=True) as unpacker:
        for chunk, within, image in read_images(reader, model, lambda error: None, MAX_PIXELS):
            assert originals is None or image.tobytes() in originals, "other pixels than those that were written"
            if unpack:
                unpacker.add(chunk, within, image)


def altered(data: bytes, rng: np.random.Generator) -> bytes:
    """An archive of which one section is changed, with checksums that fit."""
    sections, tail = parse(data)
    number = int(rng.integers(len(sections)))
    kind, payload = sections[number]
    identity = data[6:HEAD]
    if kind == b"M" and rng.random() < 0.8:
        payload, identity = _altered_model(payload, rng)
    elif kind == b"D" and rng.random() < 0.8:
        payload = zlib.compress(json.dumps(altered_json(json.loads(zlib.decompress(payload)), rng)).encode())
    else:
        payload = altered_bytes(payload, rng)
    sections[number] = (kind, payload)
    return sealed(data[:6] + identity, sections, tail)


def parse(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The sections of an intact archive, and what ends it."""
    at, sections = HEAD, []
    while data[at : at + 1] in (b"C", b"M", b"D"):
        length, start = read_varint(data, at + 1)
        sections.append((data[at : at + 1], data[start + 2 : start + 2 + length]))
        at = start + 2 + length + 4
        if sections[-1][0] == b"D":
            break
    return sections, data[at:]


def sealed(head: bytes, sections: list[tuple[bytes, bytes]], tail: bytes) -> bytes:
    """An archive of sections, all checksums right."""
    out, directory = bytearray(head), 0
    for kind, payload in sections:
        directory = len(out) if kind == b"D" else directory
        start = kind + varint(len(payload))
        out += start + struct.pack("<H", zlib.crc32(start) & 0xFFFF) + payload + struct.pack("<I", zlib.crc32(payload))
    return bytes(out) + (struct.pack("<Q", directory) + tail[8:] if len(tail) == TRAILER else tail)


def altered_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes of which some are flipped, cut out, doubled, or replaced by a large number."""
    broken = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, other = sorted(rng.integers(0, max(1, min(len(broken), 64 if rng.random() < 0.5 else 1 << 30)), 2).tolist())
        match int(rng.integers(6)):
            case 0:
                broken[at : at + 1] = bytes([int(rng.integers(256))])
            case 1:
                del broken[at:other]
            case 2:
                broken[at:at] = broken[at:other]
            case 3:
                broken[at : at + 1] = varint(1 << int(rng.integers(7, 63)))
            case 4:
                broken[at : at + 1] = varint(int(rng.integers(1, 1 << 22)))
            case _:
                del broken[other:]
    return bytes(broken)


def _altered_model(payload: bytes, rng: np.random.Generator) -> tuple[bytes, bytes]:
    """A model inside with other settings or tensors, and its id."""
    length = int.from_bytes(payload[:8], "little")
    described = json.loads(json.loads(payload[8 : 8 + length])["__metadata__"]["model"])
    tensors = load_tensors(payload)
    if rng.random() < 0.5:
        described = altered_json(described, rng)
    else:
        tensors = altered_tensors(tensors, rng)
    whole = save_tensors(tensors, metadata={"model": json.dumps(described)})
    if not isinstance(described, dict) or {"kind", "config"} - described.keys():
        return whole, bytes(8)
    return whole, CodecModel(described["kind"], described["config"], tensors).id


def altered_tensors(tensors: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Tensors of which one is missing, renamed, of another shape or dtype, or holds other numbers."""
    names = sorted(tensors)
    name = names[int(rng.integers(len(names)))]
    array, others = tensors[name], {key: value for key, value in tensors.items() if key != name}
    match int(rng.integers(6)):
        case 0:
            return others
        case 1:
            return others | {name + "x": array}
        case 2:
            return others | {name: array.reshape(-1)[: int(rng.integers(array.size + 1))].copy()}
        case 3:
            return others | {name: array.astype(["f4", "f8", "i8", "u1", "i4"][int(rng.integers(5))])}
        case 4:
            return others | {name: np.ascontiguousarray(np.repeat(array[None], 3, 0))}
        case _:
            flat = array.reshape(-1).copy()
            values = [np.nan, np.inf, -1, 1 << 30, 255, 0] if flat.dtype.kind == "f" else [-1, 127, 0, 255]
            with np.errstate(all="ignore"):
                flat[int(rng.integers(max(1, flat.size))) % max(1, flat.size) :] = np.array(
                    values[int(rng.integers(len(values)))]
                ).astype(flat.dtype)
            return others | {name: flat.reshape(array.shape)}


def _archive(name: str) -> tuple[bytes, set[bytes]]:
    """A small archive with the model inside: images with names and without, a file as it is, an array."""
    codec, X = Codec.load(GOLDEN / name / "model", device="cpu"), np.load(GOLDEN / name / "input.npy")
    X = np.resize(X, (7, *X.shape[1:]))
    frame = {"before": "QUJD", "after": "", "padding": 1}
    members = [
        Member(X[0], ("a/b.png", "png")),
        Member(X[1], ("c.bmp", "bmp"), frame=frame),
        Member(X[2], ("d.webp", "webp")),
        Member(None, ("e.txt", "txt"), b"as it is" * 9),
        *(Member(x, ("f.npy", "npy")) for x in X[3:]),
    ]
    buffer = io.BytesIO()
    codec.write(buffer, members, embed_model=True, name="m")
    return buffer.getvalue(), {*(x.tobytes() for x in X), b"as it is" * 9}
