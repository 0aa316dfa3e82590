"""Samples that may differ in shape as a source of one shape, where they do not differ."""

from __future__ import annotations

import numpy as np

from isthmus.data.base import Source
from isthmus.errors import IsthmusError


def in_one_shape(samples: Source, image_mode: str | None = None) -> Source:
    """Samples of one shape and dtype as a uniform source; others as they are.

    Of image files only the headers are read; other samples are read one by one until one differs.
    image_mode : "grey", "rgb" or "rgba" that image files are read in, as `open_source` takes it.

    >>> import numpy as np
    >>> from isthmus import open_source
    >>> in_one_shape(open_source([np.zeros((2, 3)), np.ones((2, 3))], on_mixed_sizes="keep")).shape
    (2, 2, 3)
    """
    if samples.uniform:
        return samples
    from isthmus.data.folders import ImageFiles
    from isthmus.data.images import SUFFIXES
    from isthmus.data.signal_files import SOUNDS, SignalFiles

    suffixes = {path.suffix.lower() for path in samples.paths or ()}
    try:
        if suffixes and suffixes <= {*SUFFIXES}:
            return ImageFiles(samples.paths or (), name=samples.name, labels=samples.labels, image_mode=image_mode)
        if suffixes == {*SOUNDS}:
            return SignalFiles(samples.paths or (), name=samples.name)
    except IsthmusError:  # of several sizes or kinds
        return samples
    first = samples[0]
    for index in range(1, len(samples)):
        other = samples[index]
        if (other.shape, other.dtype) != (first.shape, first.dtype):
            return samples
    return _OneShape(samples, first)


class _OneShape(Source):
    """Samples of another source, which are known to have the shape and dtype of its first one."""

    def __init__(self, samples: Source, first: np.ndarray) -> None:
        shape = (len(samples), *first.shape)
        super().__init__(shape, first.dtype, name=samples.name, labels=samples.labels, paths=samples.paths)
        self._samples = samples

    def _take(self, indices: np.ndarray) -> np.ndarray:
        return np.stack([self._samples[index] for index in indices.tolist()])

    def location(self, index: int) -> str:
        return self._samples.location(index)
