"""JSON from untrusted files: how much of it is read, and of which type each value must be."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.errors import IsthmusError, unknown_name

MOST_JSON = 1 << 26  # bytes of a settings file
_MOST_INTEGER = 1 << 64
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def read_json(text: bytes, what: str, *, most_values: int = MOST_JSON) -> Any:
    """JSON from a file; one line that begins with `what` where it is none, or more than a reader should take on.

    most_values : numbers, texts, lists and objects together: a few bytes of text make a hundred in memory.

    >>> read_json(b'{"blocks": [1, 2]}', "config.json")
    {'blocks': [1, 2]}
    """
    if len(text) > MOST_JSON:
        raise IsthmusError(f"{what} has {len(text):,} bytes of JSON; at most {MOST_JSON:,} are read")
    plain = _STRINGS.sub(b"", text)
    if sum(map(plain.count, (b",", b"[", b"{"))) > most_values:
        raise IsthmusError(f"{what} holds more than {most_values:,} values, which is more than belong there")
    try:
        return json.loads(text.decode())
    except RecursionError as error:
        raise IsthmusError(f"{what} is no settings file: its JSON is nested too deep") from error
    except ValueError as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise IsthmusError(f"{what} is not JSON: {' '.join(str(error).split())[:200]}") from error


def typed(value: Any, kind: Any, where: str) -> Any:
    """A JSON value from a file as a type says, lists as tuples where it says so; IsthmusError for any other value.

    kind : int, float, str, bool, None, a dataclass, list[X], tuple[X, ...], tuple[X, Y], Sequence[X], Mapping[str, X],
    Literal or X | Y of these; what is of any other type is handed on as it is. where : what the value is, for messages.

    >>> typed([3, 5], tuple[int, ...], "hidden")
    (3, 5)
    >>> typed({"seed": "7"}, Mapping[str, int], "config.json")
    Traceback (most recent call last):
    isthmus.errors.IsthmusError: config.json: seed must be a whole number, not '7'
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _one_of(value, parts, where)
    if origin in (list, tuple, Sequence):
        return _typed_list(value, origin, parts, where)
    if origin is Mapping or origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(where, "an object", value)
        return {key: typed(entry, parts[1], f"{where}: {key}") for key, entry in value.items()}
    if dataclasses.is_dataclass(kind):
        return _typed_fields(value, kind, where)
    if origin is typing.Literal:  # whoever takes a name says which there are
        return typed(value, type(parts[0]), where)
    if kind in _PLAIN:
        said, fits = _PLAIN[kind]
        if not fits(value):
            raise _wrong(where, said, value)
    return value


_PLAIN: dict[Any, tuple[str, Any]] = {
    int: ("a whole number", lambda value: type(value) is int and abs(value) < _MOST_INTEGER),
    float: ("a number", lambda value: type(value) is float or (type(value) is int and abs(value) < _MOST_INTEGER)),
    str: ("a text", lambda value: isinstance(value, str)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    type(None): ("null", lambda value: value is None),
}


def _one_of(value: Any, kinds: Sequence[Any], where: str) -> Any:
    """A value of one of several types; where there is but one beside None, what is wrong is said of that."""
    if value is None and type(None) in kinds:
        return None
    wanted = [kind for kind in kinds if kind is not type(None)]
    for kind in wanted[:-1]:
        try:
            return typed(value, kind, where)
        except IsthmusError:
            continue
    return typed(value, wanted[-1], where)


def _typed_list(value: Any, origin: Any, parts: Sequence[Any], where: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _wrong(where, "a list", value)
    if origin is tuple and parts[-1] is not Ellipsis:
        if len(value) != len(parts):
            raise _wrong(where, f"a list of {len(parts)}", value)
        return tuple(typed(entry, part, where) for entry, part in zip(value, parts, strict=True))
    read = (typed(entry, parts[0], where) for entry in value)
    return tuple(read) if origin is tuple else list(read)


def _typed_fields(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(where, "an object", value)
    known, hints = {f.name: f for f in dataclasses.fields(kind)}, _hints(kind)
    for key in value:
        if key not in known:
            raise unknown_name(f"{where} field", key, known)
    for name, one in known.items():
        if name not in value and one.default is one.default_factory is dataclasses.MISSING:
            raise IsthmusError(f"{where} lacks {name}")
    return kind(**{name: typed(entry, hints[name], f"{where}: {name}") for name, entry in value.items()})


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _wrong(where: str, wanted: str, value: Any) -> IsthmusError:
    seen = repr(value) if isinstance(value, int | float | str | None) else f"{type(value).__name__} of {len(value)}"
    return IsthmusError(f"{where} must be {wanted}, not {seen if len(seen) <= 60 else seen[:60] + '...'}")


def typed_array(arrays: Mapping[str, Any], name: str, dtype: str, *shape: int | None) -> Any:
    """An array from a file, of that NumPy dtype and shape (None: of any length); IsthmusError for any other.

    >>> import numpy as np
    >>> typed_array({"scores": np.zeros(3)}, "scores", "float64", None).shape
    (3,)
    """
    array = arrays.get(name)
    if array is None:
        raise IsthmusError(f"the weights lack {name}")
    found = tuple(array.shape)
    fits = len(found) == len(shape) and all(n in (None, m) for n, m in zip(shape, found, strict=True))
    if array.dtype.name != dtype or not fits:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise IsthmusError(f"the weights have {name} of shape {found}, {array.dtype}; it must be ({wanted}), {dtype}")
    return array
