"""The coding loops as machine code, by Numba: the same bytes and the same images, several times as fast.

The NumPy code beside this folder says what is computed; this folder computes the same integers. Nothing here is
imported before it pays: Numba takes half a second to load, and compiles for two to five seconds in each process.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache

_JIT = f"{__name__}.jit"
_PAYS = 1 << 21  # values that NumPy codes in about the time that is compiled for
_coded = 0  # values, in this process


def pays(values: int) -> bool:
    """Whether images of so many more values are to be coded by compiled loops.

    They are once NumPy has worked for as long as compiling takes: the total is never more than twice the best possible,
    whatever is still to come.

    >>> pays(1)
    False
    """
    global _coded
    _coded += values
    return (_coded >= _PAYS or _JIT in sys.modules) and _compiles()


@cache
def _compiles() -> bool:
    """Whether Numba is installed, fits the installed NumPy and is not told to leave everything to the interpreter."""
    try:
        importlib.import_module(_JIT)
    except ImportError:
        return False
    return True
