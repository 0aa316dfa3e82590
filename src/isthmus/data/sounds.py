"""Sound files (.wav) as a source of signals; each is read when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isthmus.data.base import Source
from isthmus.data.folders import ON_MIXED_SIZES
from isthmus.data.reading import reading
from isthmus.data.units import sound_scale
from isthmus.errors import IsthmusError, unknown_name

SUFFIX = ".wav"


class SoundFiles(Source):
    """Recordings of one length as float32 arrays (length,), or (length, channels), of full scale 1, whatever the depth.

    on_mixed_sizes : what to do where lengths differ: "refuse", or "crop" to take the middle of each.
    """

    kind = "signals"

    def __init__(self, paths: Sequence[Path], *, name: str, on_mixed_sizes: str = "refuse") -> None:
        if on_mixed_sizes not in ON_MIXED_SIZES:
            raise unknown_name("on_mixed_sizes", on_mixed_sizes, ON_MIXED_SIZES)
        shapes = {path: _read(path).shape for path in paths}
        lengths, channels = {shape[0] for shape in shapes.values()}, {shape[1:] for shape in shapes.values()}
        short, long = min(shapes, key=lambda path: shapes[path][0]), max(shapes, key=lambda path: shapes[path][0])
        if len(channels) > 1:
            raise IsthmusError(f"{name} mixes recordings with one channel and with several; give one kind at a time")
        if len(lengths) > 1 and on_mixed_sizes != "crop":
            raise IsthmusError(
                f"{name} has recordings of {len(lengths)} lengths, as {short} ({shapes[short][0]:,} values) and {long} "
                f"({shapes[long][0]:,}); choose on_mixed_sizes='crop' (--mixed-sizes crop; the middle of each, as long "
                f"as the shortest), or cut them into pieces of one length"
            )
        super().__init__((len(paths), min(lengths), *channels.pop()), np.dtype(np.float32), name=name, paths=paths)

    def _take(self, indices: np.ndarray) -> np.ndarray:
        assert self.paths is not None
        block = np.empty((len(indices), *self.shape[1:]), np.float32)
        for row, index in enumerate(indices.tolist()):
            values = _read(self.paths[index])
            silence, loud = sound_scale(values.dtype)
            start = (len(values) - self.shape[1]) // 2
            block[row] = (values[start : start + self.shape[1]] - np.float64(silence)) / loud
        return block


def _read(path: Path) -> np.ndarray:
    from scipy.io import wavfile

    with reading(path, "sound"):
        values: np.ndarray = wavfile.read(path)[1]
        if not values.size:
            raise ValueError("it holds no sound")
    return values
