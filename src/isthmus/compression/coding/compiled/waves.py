"""Which pixels are coded together: what `context.Wave` sorts, counted up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isthmus.compression.coding.compiled.jit import compiled
from isthmus.compression.coding.context import Canvas


class Grid(NamedTuple):
    """Images on a canvas.

    values : int32 (positions · channels,). channels : of a pixel. sizes : int64 (n, 2). starts : int64 (n,), positions
    of the images. offsets : int64 (k · channels,), from the first value of a pixel to those in its context. stride :
    positions between rows. skew, rows : of the context.
    """

    values: np.ndarray
    channels: int
    sizes: np.ndarray
    starts: np.ndarray
    offsets: np.ndarray
    stride: int
    skew: int
    rows: int

    @classmethod
    def of(cls, canvas: Canvas) -> Grid:
        """What compiled code needs of a canvas, whose values become int32: there is one loop for all of them."""
        canvas.values = canvas.values.astype(np.int32, copy=False)
        context, channels = canvas.context, canvas.values.shape[1]
        offsets = (canvas.steps[:, None] * channels + np.arange(channels)).ravel()
        places = canvas.sizes.copy(), canvas.starts, offsets, canvas.stride
        return cls(canvas.values.reshape(-1), channels, *places, context.skew, context.rows)

    def runs(self) -> np.ndarray:
        """Where values in a context begin that lie side by side, and how many these are, int64 (r, 2)."""
        first = np.flatnonzero(np.diff(self.offsets, prepend=-(1 << 60)) != 1)
        return np.stack([self.offsets[first], np.diff(first, append=len(self.offsets))], 1)

    def steps(self) -> int:
        """Of the whole wave."""
        filled = self.sizes[self.sizes.min(1) > 0]
        return int((filled[:, 1] + self.skew * (filled[:, 0] - 1)).max(initial=0))

    def cells(self) -> int:
        """Pixels of all images."""
        return int(self.sizes.prod(1).sum())

    def room(self) -> np.ndarray:
        """Room for the pixels of a step, int64 (4, pixels): image, row, column and first value of each."""
        rows, columns = self.sizes.T
        return np.empty((4, int(np.minimum(rows, columns // self.skew + 1).sum())), np.int64)


@compiled
def pixels_of(grid: Grid, step: int, pixels: np.ndarray) -> int:
    """Put the pixels of a step into `pixels`; how many these are."""
    n = 0
    for image in range(len(grid.sizes)):
        height, width = grid.sizes[image]
        if width == 0:
            continue
        first = max(0, -((width - 1 - step) // grid.skew))
        for row in range(first, min(height, step // grid.skew + 1)):
            column = step - grid.skew * row
            pixels[0, n], pixels[1, n], pixels[2, n] = image, row, column
            pixels[3, n] = (grid.starts[image] + row * grid.stride + column) * grid.channels
            n += 1
    return n
