"""Which pixels a pixel's probability is made of, and the order in which pixels are coded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.errors import IsthmusError
from isthmus.typed_json import typed

_GROUP = 4096  # pixels that an encoder looks at together
_SPARE = 16  # positions at the end, so that whole vectors can be read from any pixel on
_MOST_OFFSETS, _FARTHEST = 512, 32  # of a context: those that training makes have at most 100, 8 away


@dataclass(frozen=True)
class Context:
    """Neighbours above and to the left of a pixel, as (row, column) relative to it.

    `skew` is how many pixels a row lags behind the one above it: all pixels with the same column + skew * row are
    coded in one step, each from neighbours of earlier steps ("wavefront").
    """

    offsets: np.ndarray  # int (k, 2)
    skew: int = field(init=False)

    def __post_init__(self) -> None:
        rows, columns = np.asarray(self.offsets).reshape(-1, 2).T
        if not ((rows < 0) | ((rows == 0) & (columns < 0))).all():
            raise ValueError("a context holds only what is above a pixel, or left of it in its row")
        above = rows < 0
        object.__setattr__(self, "skew", 1 + int((columns[above] // -rows[above]).max(initial=0)))

    @classmethod
    def disk(cls, radius: float, skew: int) -> Context:
        """All neighbours within `radius` that leave the lag between rows at `skew`."""
        reach = int(radius)
        offsets = [
            (row, column)
            for row in range(-reach, 1)
            for column in range(-reach, reach + 1)
            if row * row + column * column <= radius * radius and column < -skew * row and (row, column) < (0, 0)
        ]
        return cls(np.array(offsets, np.int32))

    @classmethod
    def of_json(cls, window: Any) -> Context:
        """From the settings of a model; IsthmusError where they name none, or one that reaches too far."""
        offsets = typed(window, tuple[tuple[int, int], ...], "window")
        if len(offsets) > _MOST_OFFSETS or any(max(map(abs, offset)) > _FARTHEST for offset in offsets):
            raise IsthmusError(
                f"a context of {len(offsets)} neighbours is too large: at most {_MOST_OFFSETS}, {_FARTHEST} away"
            )
        return cls(np.array(offsets, np.int32).reshape(-1, 2))

    @property
    def rows(self) -> int:
        """How far up it reaches."""
        return int(-self.offsets[:, 0].min(initial=0))

    @property
    def margin(self) -> int:
        """How far it reaches to either side."""
        return int(np.abs(self.offsets[:, 1]).max(initial=0))

    def find(self, row: int, column: int) -> int:
        """Number of the neighbour at an offset."""
        return int(np.flatnonzero((self.offsets == (row, column)).all(1))[0])


class Canvas:
    """Images of any sizes below one another in one flat array, with room around each for the context.

    values : (positions, channels), filled with `fill` outside the images. starts : where in them each image begins.
    stride : between two rows. steps : from a pixel to each neighbour in its context.
    """

    def __init__(self, sizes: np.ndarray, channels: int, context: Context, fill: int, dtype: type = np.int16) -> None:
        self.sizes = np.asarray(sizes, np.int64).reshape(-1, 2)
        self.context = context
        self.stride = int(self.sizes[:, 1].max(initial=0)) + context.margin
        heights = (self.sizes[:, 0] + context.rows) * self.stride
        self.starts = np.cumsum(heights) - heights + context.rows * self.stride + context.margin
        positions = int(heights.sum()) + self.stride + context.margin + _SPARE
        self.values: np.ndarray = np.full((positions, channels), fill, dtype)
        self.steps = (context.offsets[:, 0] * self.stride + context.offsets[:, 1]).astype(np.intp)

    def positions(self, image: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Where pixels lie in `values`."""
        positions: np.ndarray = self.starts[image] + row * self.stride + column
        return positions

    def view(self, image: int) -> np.ndarray:
        """The values of one image, (height, width, channels), to be written to."""
        height, width = self.sizes[image]
        start = self.starts[image]
        rows = self.values[start : start + height * self.stride].reshape(height, self.stride, -1)
        return rows[:, :width]

    def neighbours(self, positions: np.ndarray) -> np.ndarray:
        """What the context holds at each position, (n, k, channels)."""
        neighbours: np.ndarray = self.values[positions[:, None] + self.steps]
        return neighbours

    def pixels(self) -> Pixels:
        """All pixels of all images, one row after the other."""
        image, row, column = cells(self.sizes)
        return Pixels(image, row, column, self.positions(image, row, column))

    def wave(self) -> Wave:
        """All pixels of all images in the order of coding."""
        return Wave(self)


def cells(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grid, row and column of every cell of grids of several sizes, int (n, 2)."""
    rows, columns = sizes.T
    counts = rows * columns
    grid = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(grid)) - np.repeat(np.cumsum(counts) - counts, counts)
    return grid, *np.divmod(number, np.maximum(columns, 1)[grid])


@dataclass(frozen=True)
class Pixels:
    """Some pixels of a canvas: image, row, column and position in `values`, each int (n,)."""

    image: np.ndarray
    row: np.ndarray
    column: np.ndarray
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)


class Wave(Pixels):
    """All pixels of a canvas in the order of coding, sorted by step."""

    _bounds: list[int]

    def __init__(self, canvas: Canvas) -> None:
        pixels = canvas.pixels()
        step = pixels.column + canvas.context.skew * pixels.row
        order = np.argsort(step, kind="stable")
        super().__init__(*(values[order] for values in vars(pixels).values()))
        bounds = np.flatnonzero(np.diff(step[order], prepend=-1, append=-1)).tolist()
        object.__setattr__(self, "_bounds", bounds if len(order) else [0])

    def __getitem__(self, pixels: slice) -> Pixels:
        return Pixels(self.image[pixels], self.row[pixels], self.column[pixels], self.positions[pixels])

    def steps(self) -> Iterator[slice]:
        """The pixels of each step."""
        for start, stop in pairwise(self._bounds):
            yield slice(start, stop)

    def groups(self) -> Iterator[tuple[slice, list[slice]]]:
        """Runs of whole steps of a few thousand pixels, and the steps in each relative to its start."""
        inside: list[slice] = []
        first = 0
        for step in self.steps():
            inside.append(slice(step.start - first, step.stop - first))
            if step.stop - first >= _GROUP or step.stop == len(self):
                yield slice(first, step.stop), inside
                inside, first = [], step.stop
