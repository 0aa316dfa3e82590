"""Files of samples, read and written in their own format: images, .wav, .csv and .npy."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from isthmus.data.array_file import ArrayFile
from isthmus.data.base import RaggedSource
from isthmus.data.folders import files_in
from isthmus.data.images import SUFFIXES, TIFF, read_image
from isthmus.data.picture_file import PictureFile
from isthmus.data.reading import reading
from isthmus.data.sample_file import SampleFile
from isthmus.data.signal_files import TABLES, table_signal
from isthmus.data.text_signals import TextSignals
from isthmus.data.tiff_file import TiffFile
from isthmus.data.wave_file import WaveFile

_SIGNALS: dict[str, tuple[str, Callable[[Path], SampleFile]]] = {
    ".wav": ("sound", WaveFile),
    ".csv": ("a table of numbers", TextSignals),
    ".tsv": ("a table of numbers", TextSignals),
    ".npy": ("an array", ArrayFile),
}
READABLE = (*SUFFIXES, *_SIGNALS)


class SampleFiles(RaggedSource):
    """Files of one sample each, in its own shape and dtype; each is read when it is asked for."""

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        super().__init__(len(paths), name=name, paths=paths)
        self.paths: list[Path]

    def _read(self, index: int) -> np.ndarray:
        path = self.paths[index]
        suffix = path.suffix.lower()
        if suffix in SUFFIXES:
            return read_image(path)
        if suffix in TABLES:
            return table_signal(path)
        return next(open_sample(path).samples())


def sample_paths(folder: Path) -> list[Path]:
    """The files of a folder and its sub-folders that hold a sample, in natural order, at least one."""
    return files_in(folder, READABLE, "samples")


def sample_folder(folder: Path) -> SampleFiles:
    """The images of a folder and its sub-folders or, where there are none, its signals."""
    paths = sample_paths(folder)
    images = [path for path in paths if path.suffix.lower() in SUFFIXES]
    return SampleFiles(images or paths, str(folder))


def open_sample(path: Path) -> SampleFile:
    """A file whose samples can be read and replaced; IsthmusError that names it where it cannot be read."""
    kind, opened = _SIGNALS.get(path.suffix.lower(), ("an image", _image))
    with reading(path, kind):
        return opened(path)


def _image(path: Path) -> SampleFile:
    tiff = path.suffix.lower() in TIFF and importlib.util.find_spec("tifffile")
    return TiffFile(path) if tiff else PictureFile(path)
