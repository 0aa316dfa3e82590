"""How the functions of this folder are compiled: in each process anew.

Numba could keep on disk what it has compiled, but by pickle, which nothing of isthmus reads or writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

if getattr(numba.config, "DISABLE_JIT", 0):
    raise ImportError("Numba is told not to compile")

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function as machine code that runs without the interpreter's lock.

    Without fast-math: products and sums of float32 are rounded one by one, and the results are those of NumPy.
    """
    # Python's model of errors looks for divisions by zero, and then no division is a vector's.
    return cast(F, numba.njit(nogil=True, error_model="numpy")(function))


def inlined(function: F) -> F:
    """The same, put into each function that calls it: a call counts references to all arrays it is given."""
    return cast(F, numba.njit(nogil=True, error_model="numpy", inline="always")(function))
