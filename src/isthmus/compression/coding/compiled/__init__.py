"""The coding loops as machine code, by Numba: the same bytes and the same images, several times as fast.

The NumPy code beside this folder says what is computed; this folder computes the same integers. Nothing here is
imported before it pays: Numba takes half a second to load, and compiles for some seconds when it is used for the first
time on a machine.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache

_PAYS = 1 << 18  # values from which on the loops pay for loading them


def pays(values: int) -> bool:
    """Whether images of so many values are coded sooner by compiled loops.

    >>> pays(100)
    False
    """
    return (values >= _PAYS or f"{__name__}.jit" in sys.modules) and _is_installed()


@cache
def _is_installed() -> bool:
    return importlib.util.find_spec("numba") is not None
