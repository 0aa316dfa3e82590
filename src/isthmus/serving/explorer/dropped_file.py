"""Files that a user drops on a page, as samples that fit the model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from isthmus.data.csv_files import read_csv
from isthmus.data.files import read_npy
from isthmus.data.images import SUFFIXES, decoded
from isthmus.data.reading import reading
from isthmus.data.scaling import to_dtype, unit_of
from isthmus.data.tables import Columns, arrow_source
from isthmus.errors import IsthmusError, ReadingError
from isthmus.words import count

MOST_BYTES = 1 << 26  # of a file
_KINDS = {".npy": "a .npy file", ".csv": "a table of numbers"}


@dataclass(frozen=True)
class Dropped:
    """A file of the user's as a sample. done : in words, what was changed so that it fits the model."""

    sample: np.ndarray
    done: str


def read_dropped(name: str, content: bytes | str, columns: Sequence[str] | None = None) -> np.ndarray:
    """A dropped file as an array of finite numbers: an image (height, width[, channels]), or what a .npy or .csv holds.

    columns : the features of a table, where they have names; they are found by these in the file.

    Raises IsthmusError, in one line, for any other file.
    """
    raw = content.encode() if isinstance(content, str) else content
    if not raw:
        raise IsthmusError(f"{name} is empty")
    suffix = PurePath(name).suffix.lower()
    if suffix not in (".npy", ".csv", *SUFFIXES):
        raise IsthmusError(f"{name} is of no kind that can be dropped; these are: images, .npy and .csv")
    with reading(name, _KINDS.get(suffix, "an image")):
        if suffix == ".npy":
            array = _npy(raw)
        elif suffix == ".csv":
            array = _numbers(name, raw, columns)
        else:
            array = decoded(io.BytesIO(raw))
    if array.dtype.kind not in "biuf" or not array.size or not 1 <= array.ndim <= 4:
        raise IsthmusError(f"{name} holds {array.dtype} of shape {array.shape}; numbers of one to four axes are needed")
    if array.dtype.kind == "f" and (wrong := array.size - int(np.isfinite(array).sum())):
        what, them = ("is no number", "it") if wrong == 1 else ("are no numbers", "them")
        raise IsthmusError(f"{name} holds {count(wrong, 'value')} that {what} (NaN or infinite); fill {them} first")
    return array


def _npy(raw: bytes) -> np.ndarray:
    """A .npy file, which holds what it claims and nothing else."""
    file = io.BytesIO(raw)
    array = read_npy(file, len(raw))
    if left := len(raw) - file.tell():
        raise ValueError(f"{left:,} bytes follow its numbers")
    return array


def fitted(
    array: np.ndarray, shape: tuple[int, ...], dtype: str, axis: int | None, ends: tuple[float, float]
) -> Dropped:
    """An array as one sample of a model: images are made grey or coloured, cut, resized and given its range.

    axis : of the channels within a sample; None where there is none. ends : the model's values of black and white.
    """
    if array.shape == (1, *shape):
        array = array[0]
    if len(shape) == 1 and array.ndim == 2 and array.shape[1:] == shape:
        return Dropped(to_dtype(array[0], np.dtype(dtype)), f"the first of {len(array):,} rows")
    wanted = len(shape) - (axis is not None)
    if array.shape == shape and array.dtype == dtype:
        return Dropped(array, "")
    if wanted != 2 or array.ndim not in (2, 3):
        if array.shape != shape:
            raise IsthmusError(f"the file holds an array of shape {array.shape}; the model takes samples of {shape}")
        return Dropped(to_dtype(array, np.dtype(dtype)), "")
    done: list[str] = []
    pixels = array.dtype.kind in "bu" and array.dtype.itemsize < 8
    unit, (low, high) = (unit_of(array.dtype), ends) if pixels else (1.0, (0.0, 1.0))  # others: the model's units
    plane = _channels(array[..., None] if array.ndim == 2 else array, 1 if axis is None else shape[axis], done)
    plane = _resized(plane, tuple(size for i, size in enumerate(shape) if i != axis), done)
    plane = to_dtype(low + plane.astype(np.float64) / unit * (high - low), np.dtype(dtype))
    return Dropped(plane[..., 0] if axis is None else np.moveaxis(plane, -1, axis), ", ".join(done))


def _numbers(name: str, raw: bytes, columns: Sequence[str] | None) -> np.ndarray:
    """The numbers of a text table; without names in it, its columns are those of the model in their order."""
    try:
        table, dialect = read_csv(raw, name=name)
        only = columns if dialect.header else None
        rows = arrow_source(table, Columns(only=only), name, index=dialect.index).resident()
    except ReadingError as error:  # nothing can be said here of how to read it
        raise IsthmusError(error.fact) from error
    assert rows is not None
    return rows[0] if len(rows) == 1 else rows[:, 0] if rows.shape[1] == 1 else rows


def _channels(plane: np.ndarray, channels: int, done: list[str]) -> np.ndarray:
    """(height, width, c) with as many channels as the model takes."""
    given = plane.shape[-1]
    if given == channels:
        return plane
    if given in (2, 4) and channels != given:
        plane, given = plane[..., :-1], given - 1
        done.append("transparency left out")
    if given == 3 and channels == 1:
        done.append("made grey")
        grey: np.ndarray = (plane @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.float64)
        return grey
    if given == 1:
        return np.repeat(plane, channels, axis=-1)
    if given != channels:
        raise IsthmusError(f"the image has {given} channels; the model takes {channels}")
    return plane


def _resized(plane: np.ndarray, size: tuple[int, ...], done: list[str]) -> np.ndarray:
    """Cut to the model's proportions around the middle, then resized; values keep their units."""
    if plane.shape[:2] == size:
        return plane
    from PIL import Image

    height, width = plane.shape[:2]
    scale = min(height / size[0], width / size[1])
    cut = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - cut[0]) // 2, (width - cut[1]) // 2
    if cut != (height, width):
        done.append(f"cut to {cut[1]} × {cut[0]}")
        plane = plane[top : top + cut[0], left : left + cut[1]]
    if cut != size:
        done.append(f"resized from {cut[1]} × {cut[0]} to {size[1]} × {size[0]}")
        bands = [Image.fromarray(band.astype(np.float32)) for band in np.moveaxis(plane, -1, 0)]
        fitted_bands = [band.resize((size[1], size[0]), Image.Resampling.LANCZOS) for band in bands]
        plane = np.stack([np.asarray(band) for band in fitted_bands], axis=-1)
    return plane
