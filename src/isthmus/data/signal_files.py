"""Files of one signal each, as a source of one shape; each is read when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import Source
from isthmus.data.csv_dialect import Dialect
from isthmus.data.files import map_npy
from isthmus.data.folders import ON_MIXED_SIZES, holds
from isthmus.data.images import SUFFIXES
from isthmus.data.reading import reading
from isthmus.data.tables import Columns, csv_source
from isthmus.data.units import sound_scale
from isthmus.data.web_dataset import SUFFIX as SHARDS
from isthmus.errors import IsthmusError, unknown_name
from isthmus.words import count

SOUNDS, ARRAYS, TABLES = (".wav",), (".npy",), (".csv", ".tsv")


def suffixes_in(folder: Path) -> tuple[str, ...]:
    """The suffixes of a folder's signals: sounds, else arrays, else tables; none where it holds images."""
    if holds(folder, *SUFFIXES, SHARDS):
        return ()
    return next((suffixes for suffixes in (SOUNDS, ARRAYS, TABLES) if holds(folder, *suffixes)), ())


def table_signal(path: Path, drop: Sequence[str] = (), csv: Mapping[str, Any] | Dialect | None = None) -> np.ndarray:
    """A table as a signal (rows, columns) of floats. drop : columns that are left out. csv : see `open_source`."""
    with reading(path, "a table of numbers"):
        source = csv_source(path, Columns(drop=drop), csv)
        values = source.take(np.arange(len(source)))
    return values if values.dtype.kind == "f" else values.astype(np.float64)  # numbers as text have no range


class SignalFiles(Source):
    """Signals of one length, a file each.

    Sounds (.wav) are float32 arrays (length,), or (length, channels), of full scale 1, whatever the depth. Arrays
    (.npy) of one axis are signals (length,). Tables (.csv, .tsv) are signals (rows, columns) of floats.

    on_mixed_sizes : what to do where lengths differ: "refuse", or "crop" to take the middle of each.
    read_table : gives the signal in a table, as where columns are left out.
    """

    kind = "signals"

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        name: str,
        on_mixed_sizes: str = "refuse",
        read_table: Callable[[Path], np.ndarray] = table_signal,
    ) -> None:
        if on_mixed_sizes not in ON_MIXED_SIZES:
            raise unknown_name("on_mixed_sizes", on_mixed_sizes, ON_MIXED_SIZES)
        readers = ((SOUNDS, _sound), (ARRAYS, _array), (TABLES, read_table))
        self._readers = {suffix: reader for suffixes, reader in readers for suffix in suffixes}
        shapes, dtypes = {}, set()
        for path in paths:
            values = self._read(path)
            shapes[path] = values.shape
            dtypes.add(values.dtype)
        lengths, channels = {shape[0] for shape in shapes.values()}, {shape[1:] for shape in shapes.values()}
        short, long = min(shapes, key=lambda path: shapes[path][0]), max(shapes, key=lambda path: shapes[path][0])
        if len(channels) > 1:
            few, many = (pick(shapes, key=lambda path: shapes[path][1:]) for pick in (min, max))
            raise IsthmusError(
                f"{name} mixes signals of {_channels(shapes[few])}, as {few}, and of {_channels(shapes[many])}, as "
                f"{many}; give one kind at a time"
            )
        if len(lengths) > 1 and on_mixed_sizes != "crop":
            raise IsthmusError(
                f"{name} has recordings of {len(lengths)} lengths, as {short} ({shapes[short][0]:,} values) and {long} "
                f"({shapes[long][0]:,}); choose on_mixed_sizes='crop' (--mixed-sizes crop; the middle of each, as long "
                f"as the shortest), or cut them into pieces of one length"
            )
        super().__init__((len(paths), min(lengths), *channels.pop()), np.result_type(*dtypes), name=name, paths=paths)

    def _take(self, indices: np.ndarray) -> np.ndarray:
        assert self.paths is not None
        block = np.empty((len(indices), *self.shape[1:]), self.dtype)
        for row, index in enumerate(indices.tolist()):
            values = self._read(self.paths[index])
            start = (len(values) - self.shape[1]) // 2
            block[row] = values[start : start + self.shape[1]]
        return block

    def _read(self, path: Path) -> np.ndarray:
        return self._readers[path.suffix.lower()](path)


def _sound(path: Path) -> np.ndarray:
    from scipy.io import wavfile

    with reading(path, "sound"):
        values: np.ndarray = wavfile.read(path)[1]
        if not values.size:
            raise ValueError("it holds no sound")
    silence, loud = sound_scale(values.dtype)
    return ((values - np.float64(silence)) / loud).astype(np.float32)


def _array(path: Path) -> np.ndarray:
    values = np.array(map_npy(path))
    if values.ndim != 1 or values.dtype.kind not in "biuf" or not len(values):
        raise IsthmusError(
            f"{path} holds {values.dtype} of shape {values.shape}, where each file of a folder is to hold one signal: "
            "numbers on one axis"
        )
    return values


def _channels(shape: tuple[int, ...]) -> str:
    return count(shape[1] if len(shape) > 1 else 1, "channel")
