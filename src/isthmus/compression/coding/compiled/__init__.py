"""The coding loops as machine code, by Numba: the same bytes and the same images, several times as fast.

The NumPy code beside this folder says what is computed; this folder computes the same integers. Nothing here is
imported before it pays: Numba takes half a second to load, and compiles for some seconds when it is used for the first
time on a machine.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache

_JIT = f"{__name__}.jit"
_PAYS = 1 << 18  # values from which on the loops pay for loading them


def pays(values: int) -> bool:
    """Whether images of so many values are coded sooner by compiled loops.

    >>> pays(-1)
    False
    """
    return values >= (0 if _JIT in sys.modules else _PAYS) and _compiles()


@cache
def _compiles() -> bool:
    """Whether Numba is installed, fits the installed NumPy and is not told to leave everything to the interpreter."""
    try:
        importlib.import_module(_JIT)
    except ImportError:
        return False
    return True
