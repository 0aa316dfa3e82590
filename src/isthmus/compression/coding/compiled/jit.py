"""How the functions of this folder are compiled, and when they are compiled anew."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

if getattr(numba.config, "DISABLE_JIT", 0):
    raise ImportError("Numba is told not to compile")

F = TypeVar("F", bound=Callable[..., Any])

# Numba compiles a cached function anew when its own file changes, but not when a function that it calls does. What is
# called from outside takes this as the default of an argument: a default is a part of the key in the cache.
SOURCES = zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))


def compiled(function: F) -> F:
    """The function as machine code that runs without the interpreter's lock, kept on disk where there is a place.

    Without fast-math: products and sums of float32 are rounded one by one, and the results are those of NumPy.
    """
    try:
        return _compiled(function, cache=True)
    except RuntimeError:  # neither the folder of the source nor that of the user can be written to
        return _compiled(function, cache=False)


def _compiled(function: F, *, cache: bool) -> F:
    # Python's model of errors looks for divisions by zero, and then no division is a vector's.
    return cast(F, numba.njit(nogil=True, error_model="numpy", cache=cache)(function))
