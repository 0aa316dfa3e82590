"""Long, narrow images as stacks of pieces.

Pixels are coded in steps, and images of height h and width w take w + skew · h of them, however few pixels a step has.
Cut into pieces of about the side of a square of as many pixels, they take about as many steps as that square.
"""

from __future__ import annotations

import math

import numpy as np

_LONG = 4  # times the side of a square of as many pixels, from which on a side is cut
_LEAST = 64  # side of a piece: each pays for its own border


def tile_of(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Height and width of the pieces of images of that shape, (n, height, width[, channels]); None where none is cut.

    >>> tile_of((1, 7000, 3)), tile_of((1, 512, 512))
    ((143, 3), None)
    """
    side = max(_LEAST, math.isqrt(math.prod(shape[:3])))
    height, width = (length if length <= _LONG * side else _even(length, side) for length in shape[1:3])
    return (height, width) if (height, width) != shape[1:3] else None


def pieces_shape(shape: tuple[int, ...], tile: tuple[int, int]) -> tuple[int, ...]:
    """The shape of what `cut` gives, (pieces, *tile[, channels])."""
    rows, columns = _grid(shape, tile)
    return (shape[0] * rows * columns, *tile, *shape[3:])


def cut(images: np.ndarray, tile: tuple[int, int]) -> np.ndarray:
    """Images (n, height, width[, channels]) in pieces, row by row; the last row and column fill them up."""
    rows, columns = _grid(images.shape, tile)
    missing = [(0, rows * tile[0] - images.shape[1]), (0, columns * tile[1] - images.shape[2])]
    padded = np.pad(images, [(0, 0), *missing, *[(0, 0)] * (images.ndim - 3)], mode="edge")
    split = padded.reshape(len(images), rows, tile[0], columns, tile[1], *images.shape[3:])
    return np.swapaxes(split, 2, 3).reshape(pieces_shape(images.shape, tile))


def together(pieces: np.ndarray, shape: tuple[int, ...], tile: tuple[int, int]) -> np.ndarray:
    """The images of that shape that `cut` made pieces of."""
    rows, columns = _grid(shape, tile)
    split = np.swapaxes(pieces.reshape(shape[0], rows, columns, *tile, *shape[3:]), 2, 3)
    whole = split.reshape(shape[0], rows * tile[0], columns * tile[1], *shape[3:])
    return whole[:, : shape[1], : shape[2]]


def _grid(shape: tuple[int, ...], tile: tuple[int, int]) -> tuple[int, int]:
    return -(-shape[1] // tile[0]), -(-shape[2] // tile[1])


def _even(length: int, side: int) -> int:
    """The side of equal pieces of about that side."""
    return -(-length // -(-length // side))
