"""Files of one sample each, read and written in their own format: images, .wav, .csv and .npy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import RaggedSource
from isthmus.data.folders import files_in
from isthmus.data.images import JPEG, SUFFIXES, any_size, read_image, stored
from isthmus.data.reading import reading
from isthmus.errors import IsthmusError
from isthmus.files import atomic_path

SIGNALS = (".wav", ".csv", ".npy")
READABLE = (*SUFFIXES, *SIGNALS)
_KEPT = ("exif", "icc_profile", "dpi", "compression", "gamma")  # what formats carry beside the pixels


@dataclass(frozen=True)
class FileContent:
    """What a file holds. array : an image (height, width[, channels]), a signal (length, channels) or another array.

    signal : whether it is a signal. shape : of the array in the file. extra : what is written beside it again.
    """

    array: np.ndarray
    signal: bool
    shape: tuple[int, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


class SampleFiles(RaggedSource):
    """Files of one sample each, in its own shape and dtype; each is read when it is asked for.

    upright : whether Exif orientation is applied to images; without it, they come as they are stored.
    """

    def __init__(self, paths: Sequence[Path], name: str, *, upright: bool = True) -> None:
        super().__init__(len(paths), name=name, paths=paths)
        self.paths: list[Path]
        self._upright = upright

    def _read(self, index: int) -> np.ndarray:
        path = self.paths[index]
        if not self._upright or path.suffix.lower() not in SUFFIXES:
            return read_file(path).array
        return read_image(path)


def sample_paths(folder: Path) -> list[Path]:
    """The files of a folder and its sub-folders that hold a sample, in natural order, at least one."""
    return files_in(folder, READABLE, "samples")


def sample_folder(folder: Path) -> SampleFiles:
    """The images of a folder and its sub-folders or, where there are none, its signals."""
    paths = sample_paths(folder)
    images = [path for path in paths if path.suffix.lower() in SUFFIXES]
    return SampleFiles(images or paths, str(folder))


def read_file(path: Path) -> FileContent:
    """One file; IsthmusError that names it where it cannot be read."""
    suffix = path.suffix.lower()
    kinds: dict[str, tuple[str, Callable[[Path], FileContent]]] = {
        ".wav": ("sound", _read_wav),
        ".csv": ("a table of numbers", _read_csv),
        ".npy": ("an array", _read_npy),
    }
    kind, read = kinds.get(suffix, ("an image", _read_image))
    with reading(path, kind):
        content = read(path)
    if content.array.dtype.kind not in "biuf" or 0 in content.array.shape:
        raise IsthmusError(f"{path} holds {content.array.dtype} of shape {content.array.shape}; numbers are needed")
    return content


def write_file(path: Path, content: FileContent, array: np.ndarray) -> None:
    """Write another array in place of the one that was read, in the same format, at once."""
    array = array.reshape(*content.shape[:-1], -1) if content.signal and len(content.shape) > 1 else array
    array = array[:, 0] if content.signal and len(content.shape) == 1 else array
    with atomic_path(path) as temporary:
        match path.suffix.lower():
            case ".wav":
                from scipy.io import wavfile

                wavfile.write(temporary, content.extra["rate"], array)
            case ".csv":
                names = ",".join(content.extra["names"])
                rows = array.reshape(len(array), -1)
                np.savetxt(temporary, rows, "%.9g", ",", header=names, comments="")
            case ".npy":
                with temporary.open("wb") as file:
                    np.save(file, array, allow_pickle=False)
            case _:
                _write_image(temporary, content, array)


def _read_wav(path: Path) -> FileContent:
    from scipy.io import wavfile

    rate, values = wavfile.read(path)
    return FileContent(values.reshape(len(values), -1), True, values.shape, {"rate": rate})


def _read_csv(path: Path) -> FileContent:
    from isthmus.data.tables import Columns, csv_source

    source = csv_source(path, Columns())
    values = source.take(np.arange(len(source)))
    values = values if values.dtype.kind == "f" else values.astype(np.float64)  # numbers as text have no range
    return FileContent(values, True, values.shape, {"names": source.feature_names or ()})


def _read_npy(path: Path) -> FileContent:
    values = np.load(path, allow_pickle=False)
    return FileContent(values.reshape(len(values), -1) if values.ndim == 1 else values, values.ndim == 1, values.shape)


def _read_image(path: Path) -> FileContent:
    from PIL import Image

    with any_size(), Image.open(path) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise IsthmusError(f"{path} holds {image.n_frames} images; give it by itself")  # type: ignore[attr-defined]
        extra = {name: image.info[name] for name in _KEPT if image.info.get(name)}
        if image.format == "PNG":
            extra["text"] = dict(getattr(image, "text", {}))
        array = stored(image, path)
    return FileContent(array, False, array.shape, extra)


def _write_image(path: Path, content: FileContent, array: np.ndarray) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    suffix, extra = path.suffix.lower(), dict(content.extra)
    texts = extra.pop("text", {})
    if suffix not in (".tif", ".tiff"):
        extra.pop("compression", None)
    if suffix == ".png" and texts:
        extra["pnginfo"] = PngInfo()
        for name, text in texts.items():
            extra["pnginfo"].add_text(name, str(text))
    if suffix in JPEG:
        extra |= {"quality": 95, "subsampling": 0}
    if suffix == ".webp":
        extra |= {"lossless": True}
    Image.fromarray(array).save(path, **extra)
