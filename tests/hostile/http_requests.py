"""Requests to the service as an attacker would send them: the bytes of each, from the method to the end of the body."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from PIL import Image
from tests.hostile.archives import altered_bytes
from tests.hostile.values import altered_json

Request = tuple[str, bytes]  # a name, and what is sent
PEOPLE = [{"age": 31, "sex": "f", "since": "2020-01-31", "weight": None}, {"age": 40, "sex": "m", "weight": 33.5}]
_TABLES = ("people/encode", "people/reconstruct", "people/score", "people/explain", "imputer/impute")
_PICTURES = ("digits/encode", "digits/reconstruct", "denoiser/denoise", "codec/compress")
_NAMES = (
    "a.png", "../../../etc/passwd", "a\0b.png", "x" * 5000 + ".png", "a.exe", "", ".", "a.png\r\nX: y", "/dev/zero",
    "CON.png", "-.png", "a.png;b", '".png', "ä.png", "body.png", "a.csv", "a.npy",
)  # fmt: skip
_FIELDS = ("file", "file", "", "x" * 3000, "file[]", "../")
_NAMES_IN_PATHS = ("../x", "%2e%2e%2f", "%00", "x" * 3000, "digits%2fencode", "*", "", "digits;a=b", "ä", "{name}")
_HEADERS = (
    f"Accept: {'a/b,' * 2000}", "Accept: ;;;q=x", "Accept: image/*;q=nan", "Accept: \t", "Range: bytes=0-",
    "X-Request-ID: " + "x" * 4000, "Expect: 100-continue", "Content-Type: ;", "Host: other",
)  # fmt: skip
_OPTIONS = (
    "", "?n=-1", "?n=1e9", "?seed=-1", f"?seed={10**30}", "?k=x", "?quality=nan", "?quality=inf", "?embed_model=maybe",
    "?n=1&n=2", "?" + "a=b&" * 500, "?%00",
)  # fmt: skip
_TURNS = 10
_JSON, _BYTES = "application/json", "application/octet-stream"


def requests(rng: np.random.Generator) -> Iterator[Request]:
    """Without end; all kinds take turns, and the costly ones come more rarely."""
    while True:
        for _ in range(_TURNS):
            for kind in (tensors, binary_tensors, rows, files, forms, lengths, heads):
                yield kind(rng)
        yield bombs(rng)


def post(path: str, body: bytes, media: str, *more: str, length: str | None = None) -> bytes:
    """A request. length : what it says of the body's length."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Type: {media}", *more]
    lines += [f"Content-Length: {len(body)}" if length is None else length, "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def tensors(rng: np.random.Generator) -> Request:
    """Open Inference Protocol in JSON: other shapes, types, names, numbers and nesting."""
    model, tensor = one_of(rng, list(_TENSORS.items()))
    request = {"inputs": tensor, "outputs": [{"name": one_of(rng, ["code", "score", "filled", "cleaned"])}]}
    body = json.dumps(altered_json(request, rng)).encode()
    if rng.random() < 0.3:
        body = altered_bytes(body, rng)
    return f"tensors {model}", post(f"/v2/models/{model}/infer", body, _JSON)


def binary_tensors(rng: np.random.Generator) -> Request:
    """The binary extension: headers and sizes that lie."""
    tensor = {"name": "input", "datatype": "UINT8", "shape": [1, 8, 8], "parameters": {"binary_data_size": 64}}
    head = json.dumps(altered_json({"inputs": [tensor]}, rng)).encode()
    length = one_of(rng, [len(head), len(head), len(head) - 1, len(head) + 64, 10**30, -1, "x", "٣", ""])
    body = (head + rng.bytes(64))[: int(rng.integers(1, len(head) + 80))]
    return "binary", post("/v2/models/digits/infer", body, _BYTES, f"Inference-Header-Content-Length: {length}")


def rows(rng: np.random.Generator) -> Request:
    """Rows in JSON, records and lists."""
    value: Any = PEOPLE
    path = one_of(rng, [*_TABLES, "people/sample?n=2"])
    if rng.random() < 0.5:
        path = one_of(rng, ["digits/encode", "digits/decode", "detector/score", "detector/explain", "denoiser/denoise"])
        value = one_of(rng, [[[0.5, 1.0, 2.0, -1.0]] * 3, [[[0] * 8] * 8]])
    body = json.dumps(altered_json(value, rng)).encode()
    if rng.random() < 0.3:
        body = altered_bytes(body, rng)
    return f"rows {path}", post(f"/models/{path}", body, _JSON)


def files(rng: np.random.Generator) -> Request:
    """Files of every format, altered, or sent as another one."""
    media, content = one_of(rng, list(originals().items()))
    paths = (*_TABLES, "detector/score") if media in (_T, _P) else _PICTURES
    path = "codec/decompress" if media == "application/x-isthmus" else one_of(rng, paths)
    if rng.random() < 0.1:
        media = one_of(rng, list(originals()))
    return f"file {media}", post(f"/models/{path}", altered_bytes(content, rng), media)


def forms(rng: np.random.Generator) -> Request:
    """Forms: boundaries, names, parts and ends that lie."""
    content, name, field = originals()["image/png"], one_of(rng, _NAMES), one_of(rng, _FIELDS)
    part = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'.encode()
    part += b"Content-Type: image/png\r\n\r\n" + content + b"\r\n"
    body = part * int(one_of(rng, [1, 1, 2, 3, 300])) + b"--b--\r\n"
    kind = int(rng.integers(6))
    if kind == 0:
        body = altered_bytes(body, rng)
    elif kind == 1:
        body = body[: int(rng.integers(len(body)))]
    elif kind == 2:
        body = body.replace(b"\r\n\r\n", b"\r\nX-A: " + b"y" * 100_000 + b"\r\n\r\n")
    elif kind == 3:
        body = body.replace(b"form-data", b"attachment")
    boundary = one_of(rng, ["b", "b", "b", "c", "", "x" * 500, '"b'])
    given = f"multipart/form-data; boundary={boundary}"
    media = one_of(rng, [given, given, "multipart/form-data", "multipart/mixed; boundary=b"])
    return "form", post(f"/models/{one_of(rng, _PICTURES)}", body, media)


def bombs(rng: np.random.Generator) -> Request:
    """Little that claims, or unpacks to, much."""
    name, path, media, make = one_of(rng, BOMBS)
    return f"bomb {name}", post(f"/models/{path}", _made(name, make), media)


def lengths(rng: np.random.Generator) -> Request:
    """Content lengths and encodings that lie. What is left of a body may look like the next request."""
    body = json.dumps([[[0] * 8] * 8]).encode()
    size = len(body)
    length = one_of(rng, [
        f"Content-Length: {size - 5}", f"Content-Length: {size + 5}", "Content-Length: -1", "Content-Length: x",
        f"Content-Length: {10**12}", f"Content-Length: {10**40}", "Content-Length: 0x10", "Content-Length: +7",
        f"Content-Length: {size}\r\nContent-Length: {size + 1}", "Transfer-Encoding: chunked", "Content-Length: ",
        f"Content-Length: {size}\r\nTransfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked",
        f"Content-Length: {size}\r\nContent-Encoding: gzip",
    ])  # fmt: skip
    path = one_of(rng, ["/models/digits/encode", "/v2/models/digits/infer"])
    return f"length {length[:40]!r}", post(path, body, _JSON, length=length)


def heads(rng: np.random.Generator) -> Request:
    """Paths, methods, options and headers."""
    odd, more, options = one_of(rng, _NAMES_IN_PATHS), one_of(rng, _HEADERS), one_of(rng, _OPTIONS)
    verb = one_of(rng, ["encode", "sample", "compress", "infer", "nothing", odd])
    method = one_of(rng, ["POST", "POST", "POST", "PUT", "DELETE", "PATCH", "G ET", "post"])
    request = post(f"/models/{one_of(rng, ['people', 'codec', odd])}/{verb}{options}", b"[[1]]", _JSON, more)
    return f"head {method} {verb[:20]}", request.replace(b"POST", method.encode(), 1)


def one_of(rng: np.random.Generator, values: Any) -> Any:
    """One of them."""
    return values[int(rng.integers(len(values)))]


@cache
def originals() -> dict[str, bytes]:
    """A whole file of each format, by media type."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    table = pa.Table.from_pylist(PEOPLE)
    found = {"text/csv": _csv(table), _P: _parquet(table), "application/x-npy": _npy(pixels)}
    for media in ("image/png", "image/jpeg", "image/tiff", "image/webp", "image/bmp"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, media.partition("/")[2])
        found[media] = buffer.getvalue()
    found["audio/wav"] = _wav(200)
    found["application/x-isthmus"] = b"ISTH" + bytes(40)
    return found


def with_archive(archive: bytes) -> None:
    """Let archives be altered that a model of the server has written."""
    originals()["application/x-isthmus"] = archive


def _csv(table: Any) -> bytes:
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer)
    return buffer.getvalue()


def _parquet(table: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _claiming_npy(shape: str, dtype: str = "|u1") -> bytes:
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head) + 1) + head + b"\n" + bytes(100)


def _wav(frames: int, claimed: int | None = None) -> bytes:
    size = 2 * frames if claimed is None else claimed
    head = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    chunks = b"WAVEfmt \x10\0\0\0" + head + b"data" + struct.pack("<I", size) + bytes(2 * frames)
    return b"RIFF" + struct.pack("<I", 36 + 2 * frames) + chunks


def _png(width: int, height: int, *, whole: bool, bits: int = 8, colour: int = 0) -> bytes:
    """Black; where it is not whole, a header alone that claims the size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    line = 1 + width * bits // 8 * (3 if colour == 2 else 1)
    packed = zlib.compress(bytes(line * height), 9) if whole else b"x"
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _one_text(rows: int, letters: int) -> Any:
    """A table of a text that is stored once."""
    return pa.table({"sex": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["x" * letters])})


def _tiff_of_many(count: int) -> bytes:
    buffer = io.BytesIO()
    pages = [Image.new("L", (64, 64)) for _ in range(count)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    return buffer.getvalue()


def _wide_csv(columns: int) -> bytes:
    return ",".join(f"c{i}" for i in range(columns)).encode() + b"\n" + ",".join("1" * columns).encode()


_TENSORS: dict[str, list[dict[str, Any]]] = {
    "digits": [{"name": "input", "datatype": "UINT8", "shape": [1, 8, 8], "data": [[[0] * 8] * 8]}],
    "people": [
        {"name": "age", "datatype": "INT64", "shape": [1], "data": [31]},
        {"name": "sex", "datatype": "BYTES", "shape": [1], "data": ["f"]},
        {"name": "since", "datatype": "BYTES", "shape": [1], "data": ["2020-01-31"]},
        {"name": "weight", "datatype": "FP64", "shape": [1], "data": [62.5]},
    ],
    "detector": [{"name": "input", "datatype": "FP64", "shape": [2, 4], "data": [0.5] * 8}],
    "denoiser": [{"name": "input", "datatype": "UINT8", "shape": [1, 8, 8], "data": [0] * 64}],
    "codec": [{"name": "input", "datatype": "UINT8", "shape": [1, 8, 8], "data": [0] * 64}],
}
_P, _T = "application/vnd.apache.parquet", "text/csv"
BOMBS: list[tuple[str, str, str, Callable[[], bytes]]] = [
    ("png 30,000", "digits/encode", "image/png", lambda: _png(30_000, 30_000, whole=False)),
    ("png 2^31", "denoiser/denoise", "image/png", lambda: _png(2**31 - 1, 2**31 - 1, whole=False)),
    ("png of zeros", "denoiser/denoise", "image/png", lambda: _png(8000, 8000, whole=True)),
    ("deep png of zeros", "codec/compress", "image/png", lambda: _png(6000, 6000, whole=True, bits=16, colour=2)),
    ("tiff of pages", "denoiser/denoise", "image/tiff", lambda: _tiff_of_many(1000)),
    ("npy of 2^60", "digits/encode", "application/x-npy", lambda: _claiming_npy(f"({2**60}, 8, 8)")),
    ("npy of -1", "digits/encode", "application/x-npy", lambda: _claiming_npy("(-1, 8, 8)")),
    ("npy of objects", "digits/encode", "application/x-npy", lambda: _claiming_npy("(3, 8, 8)", "|O")),
    ("npy of nothing", "digits/encode", "application/x-npy", lambda: _claiming_npy(f"({2**40}, 0, 8)")),
    ("wav of 4 GB", "denoiser/denoise", "audio/wav", lambda: _wav(100, 0xFFFFFFF0)),
    ("parquet of zeros", "imputer/impute", _P, lambda: _parquet(pa.table({"age": np.zeros(50_000_000)}))),
    ("parquet of one text", "people/encode", _P, lambda: _parquet(_one_text(60_000, 1_000_000))),
    ("csv of columns", "people/encode", _T, lambda: _wide_csv(200_000)),
    ("csv of fewer columns", "people/encode", _T, lambda: _wide_csv(9_000)),
    ("csv of lines", "detector/score", _T, lambda: b"1,2,3,4\n" * 4_000_000),
    ("csv of one line", "people/encode", _T, lambda: b"x" * 30_000_000),
    ("csv of quotes", "people/encode", _T, lambda: b'"' * 20_000_000),
    ("json of keys", "people/encode", _JSON, lambda: json.dumps([{f"k{i}": 1} for i in range(60_000)]).encode()),
    ("json of brackets", "digits/encode", _JSON, lambda: b"[" * 4_000_000),
    ("json of rows", "detector/score", _JSON, lambda: b"[" + b"[1]," * 1_000_000 + b"[1]]"),
    ("json of numbers", "digits/encode", _JSON, lambda: b"[[" + b"1," * 3_900_000 + b"1]]"),
    ("json of digits", "digits/decode", _JSON, lambda: b"[[" + b"1" * 4_000_000 + b"]]"),
    ("json of 20 MB", "digits/encode", _JSON, lambda: b"[" + b" " * 20_000_000 + b"]"),
]  # fmt: skip
_BOMBS: dict[str, bytes] = {}


def _made(name: str, make: Callable[[], bytes]) -> bytes:
    if name not in _BOMBS:
        _BOMBS[name] = make()
    return _BOMBS[name]
