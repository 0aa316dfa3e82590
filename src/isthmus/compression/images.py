"""What a codec takes: images that need not have one size."""

from __future__ import annotations

from typing import Any

from isthmus.data.base import ListSource
from isthmus.data.sources import Source, open_source
from isthmus.errors import IsthmusError


def open_images(X: Any) -> Source:
    """Images (height, width[, channels]), which may differ in shape and dtype.

    X : what `open_source` takes. IsthmusError where samples have another number of axes.
    """
    images = open_source(X, on_mixed_sizes="keep")
    if images.uniform and len(images.shape) not in (3, 4):
        raise _no_images(f"{images.name} has samples of shape {images.shape[1:]}")
    if isinstance(images, ListSource):  # in memory already
        for index, image in enumerate(images):
            if image.ndim not in (2, 3):
                raise _no_images(f"image {index} has shape {image.shape}")
    return images


def _no_images(what: str) -> IsthmusError:
    return IsthmusError(f"{what}; images have shape (height, width) or (height, width, channels)")
