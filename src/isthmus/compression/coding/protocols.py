"""What every way of coding images offers: `CodecModel.coding` is one of these."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np


class LosslessCoding(Protocol):
    """Images to bytes and back to the same images."""

    def takes(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Whether images of this shape, (height, width) or (height, width, channels), and dtype can be coded."""
        ...

    def encode(self, images: np.ndarray) -> bytes:
        """Images (n, height, width[, channels]) to bytes."""
        ...

    def decode(self, data: bytes, shape: tuple[int, ...]) -> np.ndarray:
        """Bytes to images of `shape`, (n, height, width[, channels]).

        Damaged bytes give other images or an IsthmusError: the caller keeps a checksum of the images.
        """
        ...


@runtime_checkable
class LossyCoding(Protocol):
    """Images to bytes at a quality, and back to images like them."""

    def takes(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Whether images of this shape, (height, width) or (height, width, channels), and dtype can be coded."""
        ...

    def encode(self, images: np.ndarray, quality: float) -> tuple[bytes, int]:
        """Images (n, height, width[, channels]) at a quality from 0 to 1: bytes, and the CRC-32 of the codes in them.

        The checksum is of the codes because pixels may differ by one level between machines; codes do not.
        """
        ...

    def decode(self, data: bytes, shape: tuple[int, ...], check: int) -> np.ndarray:
        """Bytes to images of `shape`; IsthmusError where the codes do not have the checksum `check`."""
        ...

    def reconstruct(self, images: np.ndarray, quality: float) -> np.ndarray:
        """What `decode` gives for what `encode` makes of some images, without the bytes between."""
        ...
