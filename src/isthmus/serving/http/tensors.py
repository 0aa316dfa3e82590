"""Tensors of the Open Inference Protocol V2, as JSON and as bytes, to arrays and back.

https://github.com/kserve/open-inference-protocol and, for bytes, Triton's "binary tensor data extension".
Nothing that a request claims is believed: a shape is held against the values that came, before anything is made of it.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from isthmus.errors import unknown_name
from isthmus.serving.http.limits import Limits, Refusal

DATATYPES: Mapping[str, type[np.generic]] = {
    "BOOL": np.bool_,
    **{f"UINT{bits}": getattr(np, f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": getattr(np, f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": getattr(np, f"float{bits}") for bits in (16, 32, 64)},
    "BYTES": np.object_,
}
_NAMES = {np.dtype(kind): name for name, kind in DATATYPES.items()}
_LEAVES: Mapping[str, set[type]] = {
    "b": {bool},
    "i": {int},
    "u": {int},
    "f": {int, float, type(None)},
    "O": {str, type(None)},
}
_MOST_DIMENSIONS = 8
_LENGTH = struct.Struct("<I")
_DTYPES = {name: np.dtype(kind).newbyteorder("<") for name, kind in DATATYPES.items()}


@dataclass(frozen=True)
class Asked:
    """What an inference request holds.

    tensors : arrays by name; texts are objects, str or bytes. outputs : by name, whether as bytes; empty where the
    request names none. binary : whether outputs are bytes where it does not say. id : of the request. seconds : that
    the client waits for an answer.
    """

    tensors: Mapping[str, np.ndarray]
    outputs: Mapping[str, bool] = field(default_factory=dict)
    binary: bool = False
    id: str | None = None
    seconds: float | None = None


def datatype_of(dtype: np.dtype) -> str:
    """The protocol's name of a dtype.

    >>> datatype_of(np.dtype("float32"))
    'FP32'
    """
    return _NAMES.get(dtype.newbyteorder("="), "BYTES")


def read_json(text: bytes) -> Any:
    """The JSON of a request; a `Refusal` where it is none. NaN and Infinity are no JSON.

    >>> read_json(b"[1, 2]")
    [1, 2]
    """
    try:
        return _JSON.decode(text.decode())
    except RecursionError as error:
        raise Refusal(400, "the body's JSON is nested too deep") from error
    except ValueError as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise Refusal(400, f"the body is not JSON: {' '.join(str(error).split())[:200]}") from error


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON; missing values are null")


_JSON = json.JSONDecoder(parse_constant=_no_constant)


def read_request(body: bytes, header_length: str | None, limits: Limits) -> Asked:
    """An inference request. header_length : the header Inference-Header-Content-Length, bytes of JSON before tensors.

    Raises `Refusal` with what is wrong and where.
    """
    length = len(body)
    if header_length is not None:
        if not header_length.isascii() or not header_length.isdigit() or int(header_length[:20]) > len(body):
            raise Refusal(400, f"Inference-Header-Content-Length (={header_length[:40]!r}) must be at most {len(body)}")
        length = int(header_length)
    if length > limits.json_bytes:
        raise Refusal(413, f"{length:,} bytes of JSON; at most {limits.json_bytes:,} are read: send tensors as bytes")
    request = _object(read_json(body[:length]), "the body")
    raw = memoryview(body)[length:]
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise Refusal(400, "the body must have inputs: a list of tensors")
    tensors: dict[str, np.ndarray] = {}
    for number, entry in enumerate(inputs):
        where = f"inputs[{number}]"
        name = _text(_object(entry, where), "name", where)
        if name in tensors:
            raise Refusal(400, f"{where}: there is another input of the name {name[:60]!r}")
        tensors[name], raw = _tensor(entry, where, raw, limits)
    if len(raw):
        raise Refusal(400, f"{len(raw):,} bytes follow the last tensor; its binary_data_size must tell of them")
    parameters = _object(request.get("parameters", {}), "parameters")
    id_ = request.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise Refusal(400, "id must be a text")
    binary = parameters.get("binary_data_output") is True
    return Asked(tensors, _outputs(request.get("outputs"), binary), binary, id_, _seconds(parameters.get("timeout")))


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(400, f"{where} must be an object, not {_shown(value)}")
    return value


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise Refusal(400, f"{where} must have a {key}: a text, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return json.dumps(value)[:60] if isinstance(value, str | int | float | bool | None) else type(value).__name__


def _seconds(microseconds: Any) -> float | None:
    """The protocol's timeout; Triton counts microseconds."""
    if microseconds is None or microseconds == 0:
        return None
    if type(microseconds) is not int or not 0 < microseconds < 1 << 63:
        raise Refusal(400, f"timeout must be a number of microseconds, not {_shown(microseconds)}")
    return microseconds / 1e6


def _outputs(entries: Any, binary: bool) -> dict[str, bool]:
    """The names of the outputs that are wanted, with whether as bytes."""
    if not isinstance(entries, list | None):
        raise Refusal(400, f"outputs must be a list, not {_shown(entries)}")
    wanted = {}
    for number, entry in enumerate(entries or ()):
        where = f"outputs[{number}]"
        name = _text(_object(entry, where), "name", where)
        parameters = _object(entry.get("parameters", {}), f"{where}.parameters")
        for foreign in ("shared_memory_region", "classification"):
            if parameters.get(foreign):
                raise Refusal(400, f"{where}: {foreign} is not supported")
        wanted[name] = parameters.get("binary_data", binary) is True
    return wanted


def _tensor(entry: Mapping[str, Any], where: str, raw: memoryview, limits: Limits) -> tuple[np.ndarray, memoryview]:
    """A tensor, and the bytes that follow it."""
    datatype, shape = _text(entry, "datatype", where), entry.get("shape")
    if datatype not in DATATYPES:
        raise Refusal(400, f"{where}: {unknown_name('datatype', datatype[:40], DATATYPES)}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise Refusal(400, f"{where}: shape must be a list of whole numbers")
    if not 1 <= len(shape) <= _MOST_DIMENSIONS:
        raise Refusal(400, f"{where}: shape has {len(shape)} numbers; 1 to {_MOST_DIMENSIONS} are read")
    count = math.prod(shape)
    if count > limits.values or shape[0] > limits.rows:
        raise Refusal(
            413, f"{where} has shape {shape[:8]}; at most {limits.rows:,} rows and {limits.values:,} values are read"
        )
    parameters = _object(entry.get("parameters", {}), f"{where}.parameters")
    if "shared_memory_region" in parameters:
        raise Refusal(400, f"{where}: shared memory is not supported")
    size = parameters.get("binary_data_size")
    if size is None:
        return _from_json(entry.get("data"), datatype, shape, where), raw
    if type(size) is not int or not 0 <= size <= len(raw):
        raise Refusal(400, f"{where}: binary_data_size is {_shown(size)}, and {len(raw):,} bytes are left of the body")
    return _from_bytes(raw[:size], datatype, shape, count, where), raw[size:]


def _from_json(data: Any, datatype: str, shape: Sequence[int], where: str) -> np.ndarray:
    """Values that came as one list, or as lists in lists of that shape."""
    if not isinstance(data, list):
        raise Refusal(400, f"{where} must have data: a list, or bytes of which binary_data_size tells")
    flat, nested = data, [len(data)]
    while flat and set(map(type, flat)) == {list}:
        lengths = set(map(len, flat))
        if len(lengths) > 1 or len(nested) > len(shape):
            raise Refusal(400, f"{where}: data is not in the shape {list(shape)}")
        nested.append(lengths.pop())
        flat = list(chain.from_iterable(flat))
    if len(flat) != math.prod(shape) or (len(nested) > 1 and nested != list(shape)):
        raise Refusal(400, f"{where}: data has shape {nested}, and shape says {list(shape)}")
    dtype = np.dtype(DATATYPES[datatype])
    wrong = set(map(type, flat)) - _LEAVES[dtype.kind]
    if wrong:
        position = next(i for i, value in enumerate(flat) if type(value) in wrong)
        raise Refusal(400, f"{where}: value {position} of data is {_shown(flat[position])}, which is no {datatype}")
    try:
        with np.errstate(over="ignore"):
            return np.array(flat, dtype).reshape(shape)
    except (OverflowError, ValueError) as error:
        raise Refusal(
            400, f"{where}: data does not fit into {datatype}: {' '.join(str(error).split())[:100]}"
        ) from error


def _from_bytes(raw: memoryview, datatype: str, shape: Sequence[int], count: int, where: str) -> np.ndarray:
    """Values in row-major order, little-endian; texts each after its length in 4 bytes."""
    if datatype == "BYTES":
        return _texts(raw, count, where).reshape(shape)
    dtype = _DTYPES[datatype]
    if len(raw) != count * dtype.itemsize:
        raise Refusal(
            400, f"{where}: {len(raw):,} bytes, but {datatype} of shape {list(shape)} has {count * dtype.itemsize:,}"
        )
    if datatype == "BOOL":
        truths: np.ndarray = (np.frombuffer(raw, np.uint8) != 0).reshape(shape)
        return truths
    own = np.frombuffer(bytearray(raw), dtype)  # a copy that holds on to the interpreter, unlike those of NumPy
    numbers: np.ndarray = own.astype(dtype.newbyteorder("="), copy=False).reshape(shape)
    return numbers


def _texts(raw: memoryview, count: int, where: str) -> np.ndarray:
    if count * _LENGTH.size > len(raw):
        raise Refusal(400, f"{where}: {len(raw):,} bytes cannot hold {count:,} texts")
    found, start = np.empty(count, object), 0
    for i in range(count):
        stop = start + _LENGTH.size
        length = _LENGTH.unpack(raw[start:stop])[0] if stop <= len(raw) else len(raw)
        if stop + length > len(raw):
            raise Refusal(400, f"{where}: text {i} is longer than the bytes that are left")
        found[i] = bytes(raw[stop : stop + length])
        start = stop + length
    if start != len(raw):
        raise Refusal(400, f"{where}: {len(raw) - start:,} bytes follow the last text")
    return found


def write_response(head: Mapping[str, Any], outputs: Mapping[str, np.ndarray], binary: Mapping[str, bool]) -> Answer:
    """The body of an answer, and its headers.

    head : model_name and so on. binary : of each output, whether as bytes.
    """
    entries, raw = [], []
    for name, array in outputs.items():
        datatype = datatype_of(array.dtype)
        entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if binary.get(name, False):
            raw.append(_bytes_of(array, datatype))
            entry["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            entry |= _json_of(array)
        entries.append(entry)
    text = json.dumps({**head, "outputs": entries}, allow_nan=False, separators=(",", ":")).encode()
    if not raw:
        return Answer(text, {"Content-Type": "application/json"})
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
    return Answer(b"".join((text, *raw)), headers)


@dataclass(frozen=True)
class Answer:
    """The body and the headers of an answer."""

    body: bytes
    headers: Mapping[str, str]


def _bytes_of(array: np.ndarray, datatype: str) -> bytes:
    if datatype != "BYTES":
        return np.ascontiguousarray(array, _DTYPES[datatype]).tobytes()
    texts = [value if isinstance(value, bytes) else str(value or "").encode() for value in array.ravel()]
    return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in texts))


def _json_of(array: np.ndarray) -> dict[str, Any]:
    """The values in row-major order; null for what is no number, base64 for bytes."""
    values = array.ravel().tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        values = [value if math.isfinite(value) else None for value in values]
    if any(isinstance(value, bytes) for value in values[:1]):
        texts = [base64.b64encode(value).decode() for value in values]
        return {"data": texts, "parameters": {"content_type": "base64"}}
    return {"data": values}
