"""Whole numbers of 64 bits, exactly: identifiers and times in nanoseconds are larger than what float64 holds.

Numbers far above 2^53 differ from their neighbours by less than float64 can tell. So a base is taken off first, in
whole numbers, and only the rest becomes floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isthmus.data.base import Source, SubsetSource

if TYPE_CHECKING:
    import torch

_EXACT = 1 << 53  # up to here float64 holds every whole number
_LOW = 0xFFFFFFFF  # the lower half of 64 bits
_MOST = np.uint64(0xFFFFFFFFFFFFFFFF)


def find_base(source: Source, *, columns: bool) -> np.ndarray | None:
    """The least value of a source, or of each of its columns, in its own dtype; None where float64 holds all values."""
    if source.dtype.kind not in "iu" or source.dtype.itemsize < 8:
        return None
    ends = [(chunk.min(axis=0), chunk.max(axis=0)) for chunk in source.chunks()]
    least, most = np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)
    if int(most.max()) <= _EXACT and int(least.min()) >= -_EXACT:
        return None
    base: np.ndarray = np.asarray(least if columns else least.min())
    return base


class AboveBase(SubsetSource):
    """How much the samples of a source are above a base, as float64."""

    def __init__(self, source: Source, base: np.ndarray) -> None:
        super().__init__(source, np.arange(len(source)))
        self.dtype, self._base = np.dtype(np.float64), base

    def _take(self, indices: np.ndarray) -> np.ndarray:
        import torch

        rest: np.ndarray = above_base(torch.from_numpy(super()._take(indices)), self._base).numpy()
        return rest


def above_base(x: torch.Tensor, base: np.ndarray) -> torch.Tensor:
    """x - base as float64, rounded once: the halves of the 64 bits are subtracted each, so nothing overflows."""
    import torch

    a, b = _signed(x), _signed(torch.as_tensor(base, device=x.device))
    high = (a >> 32).double() - (b >> 32).double()
    low = (a & _LOW).double() - (b & _LOW).double()
    return high * 2.0**32 + low


@np.errstate(over="ignore")  # what is signed is shifted to uint64 and back, modulo 2^64
def onto_base(rest: np.ndarray, base: np.ndarray) -> np.ndarray:
    """base + rest, rounded, in the base's dtype and clipped to what that holds."""
    shift = np.uint64(1 << 63 if base.dtype.kind == "i" else 0)
    start = base.astype(np.uint64) + shift  # how far the base is above the least number of its dtype
    step = np.rint(rest)
    fits = (step >= -start.astype(np.float64)) & (step < (_MOST - start).astype(np.float64))
    size = np.where(fits, np.abs(step), 0).astype(np.uint64)
    moved = np.where(step < 0, start - np.minimum(size, start), start + size)
    return (np.where(fits, moved, np.where(step < 0, np.uint64(0), _MOST)) - shift).astype(base.dtype)


def _signed(x: torch.Tensor) -> torch.Tensor:
    """int64 in the order of x, which may be uint64."""
    import torch

    return x if x.dtype == torch.int64 else x.contiguous().view(torch.int64) ^ torch.iinfo(torch.int64).min
